//! Making an image of a container.

use std::sync::Arc;

use types::container::ContainerConfig;

use crate::{
    Engine, blocking,
    end::log_failure,
    error::{Error, Result},
};

/// How a container is committed.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The image's name, if it gets one.
    pub reference: Option<image::Reference>,
    /// Who made it.
    pub author: String,
    /// A remark about it.
    pub comment: String,
    /// Members of the container's configuration in whose place these come, where they are set.
    pub config: Option<ContainerConfig>,
    /// Dockerfile instructions that change the configuration.
    pub changes: Vec<String>,
    /// Let none of its processes run meanwhile.
    pub pause: bool,
}

impl Engine {
    /// Makes an image of a container; answers its identifier.
    ///
    /// # Errors
    /// When there is no such container, an instruction is wrong, or the disk is full.
    pub async fn commit(
        self: &Arc<Self>,
        name: &str,
        commit: Commit,
        cancel: image::CancellationToken,
    ) -> Result<String> {
        let container = self.find(name)?;
        let record = container.record();
        let mut config = run_config(&record.config)?;
        if let Some(own) = &commit.config {
            config = replaced(config, run_config(own)?)?;
        }
        let request = image::Commit {
            reference: commit.reference.clone(),
            author: commit.author,
            comment: commit.comment,
            config,
            changes: commit.changes,
            command: record.argv().join(" "),
        };
        let state = container.state();
        let paused = if commit.pause && state.is_running() && !state.paused {
            match self.pause(&container.id).await {
                Ok(()) => true,
                // It ended, or somebody else paused it.
                Err(Error::NotRunning(_) | Error::Conflict(_)) => false,
                Err(error) => return Err(error),
            }
        } else {
            false
        };
        let (images, owners, id) = (self.images.clone(), self.owners(&container), record.id);
        let made = blocking(move || {
            let ids = |uid, gid| owners.inside(uid, gid);
            Ok(images.commit_container(&id, &request, &ids, &cancel)?)
        })
        .await;
        if paused {
            let resumed = self.unpause(&container.id).await;
            log_failure(&container, "cannot go on after the commit", resumed);
        }
        let image = made?.id.to_string();
        let mut details = vec![("imageID", image.clone())];
        if let Some(reference) = commit.reference {
            details.push(("imageRef", reference.with_default_tag().familiar()));
        }
        self.tell(&container, "commit", &details);
        Ok(image)
    }
}

/// The part of a container's configuration that an image has; the names are the same.
fn run_config(config: &ContainerConfig) -> Result<image::RunConfig> {
    let value = serde_json::to_value(config).and_then(serde_json::from_value);
    value.map_err(|e| Error::Invalid(format!("the configuration cannot be an image's: {e}")))
}

/// `base` with what `own` sets.
fn replaced(base: image::RunConfig, own: image::RunConfig) -> Result<image::RunConfig> {
    let fail = |e: serde_json::Error| Error::Invalid(e.to_string());
    let mut all = serde_json::to_value(base).map_err(fail)?;
    let own = serde_json::to_value(own).map_err(fail)?;
    if let (Some(all), serde_json::Value::Object(own)) = (all.as_object_mut(), own) {
        all.extend(own.into_iter().filter(|(_, v)| !types::json::is_zero(v)));
    }
    serde_json::from_value(all).map_err(fail)
}
