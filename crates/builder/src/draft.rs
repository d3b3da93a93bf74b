//! An image that is being made: layers, configuration and history, as far as a stage is.

use std::sync::Arc;

use image::{
    CacheRecord, Held, History, Image, ImageConfig, Platform, RunConfig, Store, StoredLayer,
};

use crate::{
    error::Result,
    vars::{Args, PATH},
};

/// What tools that look at histories know these files by.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// An image that is being made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub layers: Vec<StoredLayer>,
    /// What keeps the layers.
    pub held: Vec<Arc<Held>>,
    pub config: RunConfig,
    pub platform: Platform,
    pub author: Option<String>,
    pub history: Vec<History>,
    /// Arguments that stages which stand on it inherit.
    pub args: Args,
    /// Steps since the last layer that were run but wrote nothing: one that does the same again is
    /// another step.
    pub silent: Vec<String>,
    /// What the base image's `ONBUILD` says.
    pub triggers: Vec<String>,
    /// The steps that it was made by, for caches elsewhere.
    pub records: Vec<Arc<CacheRecord>>,
}

impl Draft {
    /// Nothing at all.
    pub(crate) fn scratch(platform: &Platform) -> Self {
        Self {
            config: RunConfig {
                env: vec![PATH.to_owned()],
                working_dir: "/".to_owned(),
                ..RunConfig::default()
            },
            platform: platform.clone(),
            ..Self::default()
        }
    }

    /// An image, to go on from.
    pub(crate) fn of(store: &Store, image: &Image) -> Result<Self> {
        let (layers, held) = store.layers_of(image)?;
        let mut config = image.config.config.clone();
        let triggers = config.on_build.take().unwrap_or_default();
        // `ENV PATH=/opt/bin:$PATH` must find one.
        let named = config.env.iter().any(|pair| pair.starts_with("PATH="));
        if !named && image.platform().os != "windows" {
            config.env.push(PATH.to_owned());
        }
        Ok(Self {
            layers,
            held: vec![Arc::new(held)],
            config,
            platform: image.platform(),
            author: image.config.author.clone(),
            history: image.config.history.clone(),
            triggers,
            args: Args::default(),
            silent: Vec::new(),
            records: Vec::new(),
        })
    }

    /// Adds what a step wrote, and the step to the history.
    pub(crate) fn push(
        &mut self,
        layer: Option<(StoredLayer, Held)>,
        created_by: String,
        created: String,
    ) {
        self.history.push(History {
            created: Some(created),
            created_by: Some(created_by),
            comment: Some(COMMENT.to_owned()),
            empty_layer: layer.is_none(),
            ..History::default()
        });
        if let Some((layer, held)) = layer {
            self.layers.push(layer);
            self.held.push(Arc::new(held));
            self.silent.clear();
        }
    }

    /// A step that only changed the configuration. Its time is that of the step before, so that
    /// doing it again gives the same image.
    pub(crate) fn note(&mut self, created_by: String) {
        let created = self.history.last().and_then(|h| h.created.clone());
        self.history.push(History {
            created,
            created_by: Some(created_by),
            comment: Some(COMMENT.to_owned()),
            empty_layer: true,
            ..History::default()
        });
    }

    /// Digests of its layers, and what was run since: what it has is what they say.
    pub(crate) fn base(&self) -> Vec<String> {
        let layers = self.layers.iter().map(|l| l.diff_id().to_string());
        layers.chain(self.silent.iter().cloned()).collect()
    }

    /// The configuration of an image. `created` stands in for times that nobody knows.
    pub(crate) fn image_config(&self, created: &str, epoch: Option<i64>) -> ImageConfig {
        let epoch = epoch
            .and_then(|e| jiff::Timestamp::from_second(e).ok())
            .map(|t| t.to_string());
        let mut history = self.history.clone();
        for step in &mut history {
            let time = step.created.get_or_insert_with(|| created.to_owned());
            if let Some(epoch) = epoch.as_ref().filter(|e| later(time, e)) {
                time.clone_from(epoch);
            }
        }
        let newest = history.last().and_then(|h| h.created.clone());
        let created = newest.unwrap_or_else(|| created.to_owned());
        ImageConfig {
            architecture: self.platform.architecture.clone(),
            variant: self.platform.variant.clone(),
            os: self.platform.os.clone(),
            created: Some(epoch.unwrap_or(created)),
            author: self.author.clone(),
            config: self.config.clone(),
            history,
            ..ImageConfig::default()
        }
    }
}

/// Whether a time is after another; what is no time is not.
fn later(time: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<jiff::Timestamp>().ok();
    matches!((parse(time), parse(other)), (Some(a), Some(b)) if a > b)
}
