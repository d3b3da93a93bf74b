//! Images for the API, done by the image store.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use api::backend::{self, Body, Progress as Lines, Result};
use async_trait::async_trait;
use engine::{Engine, Threads};
use futures_util::{StreamExt, stream};
use image::{CancellationToken, Deleted, Image, Import, Platform, Progress, Reference, Store};
use tokio::sync::{mpsc, oneshot};
use tokio_util::io::{StreamReader, SyncIoBridge};
use types::{
    ErrorKind, Failure,
    container::GraphDriver,
    image::{
        ErrorDetail, ImageDeleted, ImageInspect, ImageMetadata, ImageSummary, ProgressLine,
        RegistryAuth, RootFs,
    },
    options::{ImagesOptions, ImportOptions},
    registry::{Descriptor, ImageManifest, ManifestImage, ManifestSize, OciPlatform, UnpackedSize},
};

use super::{filters, no_thread, registries, web};
use crate::hello;

/// Threads for each way at the same time.
const THREADS: usize = 256;

pub(crate) struct Images {
    pub(super) engine: Arc<Engine>,
    /// Of what is taken in.
    incoming: Threads,
    /// Of what is given out.
    pub(super) outgoing: Threads,
    /// Which of them go by themselves.
    pub(super) policy: super::ImagePolicy,
}

impl Images {
    pub(crate) fn new(engine: Arc<Engine>, policy: super::ImagePolicy) -> Self {
        Self {
            engine,
            incoming: Threads::new("images", THREADS),
            outgoing: Threads::new("images", THREADS),
            policy,
        }
    }

    pub(super) fn store(&self) -> Store {
        self.engine.images().clone()
    }

    pub(super) fn tell(&self, action: &str, id: &str, name: &str) {
        let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.engine.events.tell("image", action, id, attributes);
    }

    /// The one manifest that an image has here.
    fn manifests(&self, image: &Image) -> Vec<ImageManifest> {
        let Some(manifest) = self.store().manifest_of(image) else {
            return Vec::new();
        };
        let id = image.id.to_string();
        let users = self.engine.users_of(&id).into_iter();
        let platform = image.platform();
        vec![ImageManifest {
            id: manifest.digest.clone(),
            descriptor: Descriptor {
                media_type: manifest.media_type,
                digest: manifest.digest,
                size: manifest.size,
            },
            available: true,
            size: ManifestSize {
                total: manifest.content + image.size,
                content: manifest.content,
            },
            kind: "image".to_owned(),
            image_data: Some(ManifestImage {
                platform: OciPlatform {
                    architecture: platform.architecture,
                    os: platform.os,
                    variant: platform.variant.unwrap_or_default(),
                },
                containers: users.map(|(container, _)| container).collect(),
                size: UnpackedSize {
                    unpacked: image.size,
                },
            }),
        }]
    }

    /// Tells of what is gone; the same as clients are answered.
    pub(super) fn told_gone(&self, gone: Vec<Deleted>) -> Vec<ImageDeleted> {
        let told = |one| match one {
            Deleted::Untagged(name) => {
                self.tell("untag", &name, &name);
                ImageDeleted {
                    untagged: Some(name),
                    deleted: None,
                }
            }
            Deleted::Deleted(id) => {
                self.tell("delete", &id, &id);
                ImageDeleted {
                    untagged: None,
                    deleted: Some(id),
                }
            }
        };
        gone.into_iter().map(told).collect()
    }
}

/// Steps of a long operation, sent to the client as they happen.
pub(super) struct Steps {
    sender: mpsc::UnboundedSender<ProgressLine>,
}

/// What a long operation runs with.
#[derive(Clone)]
pub(super) struct Reporter(mpsc::UnboundedSender<ProgressLine>);

impl Reporter {
    pub(super) fn line(&self, line: ProgressLine) {
        // The client may be gone; the operation is cancelled by then.
        let _ = self.0.send(line);
    }
}

impl Steps {
    /// Runs `work` and answers with its lines. An error before the first line is the answer; a
    /// later one is the last line. The client's going away cancels the work.
    pub(super) async fn run<F>(work: impl FnOnce(Reporter, CancellationToken) -> F) -> Result<Lines>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, mut lines) = mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let steps = Self { sender };
        let running = work(Reporter(steps.sender.clone()), cancel.clone());
        // From here on: a registry may take long to say its first word.
        let guard = cancel.drop_guard();
        let (ended, outcome) = oneshot::channel();
        tokio::spawn(async move {
            // The receiver is dropped only together with the lines.
            let _ = ended.send(running.await);
            drop(steps);
        });
        let first = lines.recv().await;
        let outcome = match first {
            Some(_) => Some(outcome),
            None => {
                told(outcome).await?;
                None
            }
        };
        let rest = stream::unfold(
            (lines, outcome, guard),
            |(mut lines, mut outcome, guard)| async {
                let line = match lines.recv().await {
                    Some(line) => line,
                    None => error_line(&told(outcome.take()?).await.err()?),
                };
                Some((line, (lines, outcome, guard)))
            },
        );
        Ok(stream::iter(first).chain(rest).boxed())
    }
}

/// How work ended; a task that panicked has not told.
async fn told(outcome: oneshot::Receiver<Result<()>>) -> Result<()> {
    outcome
        .await
        .unwrap_or_else(|_| Err(Failure::system("a task of the daemon failed")))
}

fn error_line(error: &Failure) -> ProgressLine {
    ProgressLine {
        error_detail: Some(ErrorDetail {
            code: None,
            message: error.message.clone(),
        }),
        error: Some(error.message.clone()),
        ..ProgressLine::default()
    }
}

pub(super) fn failure(error: image::Error) -> Failure {
    let kind = match error.kind() {
        // As Docker: a 401 would make its CLI ask for a password, which hangs scripts.
        ErrorKind::Unauthorized => ErrorKind::System,
        kind => kind,
    };
    Failure::new(kind, error)
}

pub(super) fn reference(text: &str) -> Result<Reference> {
    Reference::parse(text).map_err(Failure::invalid)
}

pub(super) fn platform(text: Option<String>) -> Result<Option<Platform>> {
    text.filter(|t| !t.is_empty())
        .map(|t| Platform::parse(&t).map_err(failure))
        .transpose()
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::system(format!(
            "a task of the daemon failed: {error}"
        ))),
    }
}

/// How long a client may send nothing of a body that it has announced: a thread waits for it, and
/// others wait for the thread, or for the container that the body is for.
const PATIENCE: Duration = Duration::from_secs(300);

/// A request's body as something to read in a thread that may block.
pub(super) fn reader(body: Body) -> impl io::Read + Send + 'static {
    SyncIoBridge::new(StreamReader::new(patient(body, PATIENCE)))
}

/// `body`, which ends with an error where nothing comes for so long.
fn patient(body: Body, patience: Duration) -> Body {
    let next = move |mut body: Body| async move {
        match tokio::time::timeout(patience, body.next()).await {
            Ok(next) => Some((next?, body)),
            Err(_) => {
                let error = "the client sent nothing for too long";
                let error = io::Error::new(io::ErrorKind::TimedOut, error);
                Some((Err(error), stream::empty().boxed()))
            }
        }
    };
    stream::unfold(body, next).boxed()
}

#[async_trait]
impl backend::Images for Images {
    async fn pull(
        &self,
        name: &str,
        wanted: Option<String>,
        auth: Option<RegistryAuth>,
    ) -> Result<Lines> {
        let (mut reference, platform) = (reference(name)?, platform(wanted)?);
        let bare = reference.tag().is_none() && reference.digest().is_none();
        if bare && !hello::is(&reference.clone().with_default_tag()) {
            return registries::pull_all(self, reference, platform, auth).await;
        }
        reference = reference.with_default_tag();
        let (store, engine) = (self.store(), Arc::clone(&self.engine));
        Steps::run(move |reporter, cancel| async move {
            let pulled = if hello::is(&reference) {
                let (store, wanted) = (store, reference.clone());
                let lines = reporter.clone();
                blocking(move || {
                    hello::add(&store, &wanted, &|p| lines.line(p.line())).map_err(failure)
                })
                .await?;
                reference.familiar()
            } else {
                let report = |progress: Progress| reporter.line(progress.line());
                let pull = store.pull(
                    &reference,
                    platform.as_ref(),
                    auth.as_ref(),
                    &report,
                    cancel,
                );
                pull.await.map_err(failure)?.reference.familiar()
            };
            let attributes = BTreeMap::from([("name".to_owned(), reference.familiar_name())]);
            engine.events.tell("image", "pull", &pulled, attributes);
            Ok(())
        })
        .await
    }

    async fn load(&self, archive: Body, quiet: bool, wanted: Option<String>) -> Result<Lines> {
        let platform = platform(wanted)?;
        let (store, engine) = (self.store(), Arc::clone(&self.engine));
        let (source, threads) = (reader(archive), self.incoming.clone());
        Steps::run(move |reporter, cancel| async move {
            let loaded = threads.free().await.run(move || {
                let report = |progress: Progress| {
                    if !quiet || matches!(progress, Progress::Line(_)) {
                        reporter.line(progress.line());
                    }
                };
                store
                    .load_for(source, platform.as_ref(), &report, &cancel)
                    .map_err(failure)
            });
            for one in loaded.await.map_err(no_thread)?? {
                engine
                    .events
                    .tell("image", "load", &one.image.id.to_string(), BTreeMap::new());
            }
            Ok(())
        })
        .await
    }

    async fn import(&self, archive: Body, options: ImportOptions) -> Result<Lines> {
        let import = Import {
            reference: match options.reference.as_str() {
                "" => None,
                name => Some(reference(name)?),
            },
            message: options.message,
            changes: options.changes,
            platform: platform(options.platform)?,
        };
        let (store, engine) = (self.store(), Arc::clone(&self.engine));
        let (url, threads) = (options.from, self.incoming.clone());
        Steps::run(move |reporter, cancel| async move {
            let source: Box<dyn io::Read + Send> = if url.is_empty() {
                Box::new(reader(archive))
            } else {
                reporter.line(ProgressLine {
                    status: Some(format!("Downloading from {url}")),
                    ..ProgressLine::default()
                });
                Box::new(web::download(&store, url, &cancel))
            };
            let import = move || store.import(source, &import, &cancel).map_err(failure);
            let image = threads.free().await.run(import).await;
            let image = image.map_err(no_thread)??;
            let id = image.id.to_string();
            engine.events.tell("image", "import", &id, BTreeMap::new());
            reporter.line(ProgressLine {
                status: Some(id),
                ..ProgressLine::default()
            });
            Ok(())
        })
        .await
    }

    async fn list(&self, options: ImagesOptions) -> Result<Vec<ImageSummary>> {
        // Every image is whole: there are no intermediate ones for `all` to show.
        let store = self.store();
        let chosen = filters::images(&store, &options.filters)?;
        let mut list: Vec<_> = chosen.iter().map(|i| summary(i)).collect();
        let shared = options.shared_size.then(|| store.usage().shared);
        for (one, image) in list.iter_mut().zip(&chosen) {
            if let Some(shared) = &shared {
                one.shared_size = shared.get(&image.id).map_or(0, |n| n.cast_signed());
            }
            if options.manifests {
                one.manifests = Some(self.manifests(image));
            }
        }
        if let Some(patterns) = options.filters.get("reference") {
            // As Docker: of an image with several names, those that were asked for.
            for one in &mut list {
                one.repo_tags
                    .retain(|tag| filters::refers_any(patterns, tag));
            }
        }
        Ok(list)
    }

    async fn inspect(
        &self,
        name: &str,
        wanted: Option<String>,
        manifests: bool,
    ) -> Result<ImageInspect> {
        let wanted = platform(wanted)?;
        let store = self.store();
        let image = store.get_for(name, wanted.as_ref()).map_err(failure)?;
        let mut shown = inspect(&image);
        shown.manifests = manifests.then(|| self.manifests(&image));
        Ok(shown)
    }

    async fn tag(&self, name: &str, target: &str) -> Result<()> {
        let (store, name, target) = (self.store(), name.to_owned(), reference(target)?);
        let told = target.clone().with_default_tag().familiar();
        let image = blocking(move || store.tag(&name, &target).map_err(failure)).await?;
        self.tell("tag", &image.id.to_string(), &told);
        Ok(())
    }

    async fn remove(&self, name: &str, force: bool, noprune: bool) -> Result<Vec<ImageDeleted>> {
        let (store, engine, name) = (self.store(), Arc::clone(&self.engine), name.to_owned());
        let gone = blocking(move || {
            let users = |image: &str| engine.users_of(image);
            store.remove(&name, force, noprune, &users).map_err(failure)
        });
        Ok(self.told_gone(gone.await?))
    }
}

pub(super) fn summary(image: &Image) -> ImageSummary {
    let labels = &image.config.config.labels;
    ImageSummary {
        id: image.id.to_string(),
        parent_id: String::new(),
        repo_tags: image.repo_tags(),
        repo_digests: image.repo_digests(),
        created: filters::created(image).map_or(0, jiff::Timestamp::as_second),
        size: image.size.cast_signed(),
        shared_size: -1,
        manifests: None,
        virtual_size: None,
        labels: (!labels.is_empty()).then(|| labels.clone()),
        containers: -1,
    }
}

fn inspect(image: &Image) -> ImageInspect {
    let config = &image.config;
    ImageInspect {
        id: image.id.to_string(),
        repo_tags: image.repo_tags(),
        repo_digests: image.repo_digests(),
        parent: String::new(),
        comment: config.comment.clone().unwrap_or_default(),
        created: config.created.clone(),
        docker_version: config.docker_version.clone().unwrap_or_default(),
        author: config.author.clone().unwrap_or_default(),
        config: engine::image_defaults(image),
        architecture: config.architecture.clone(),
        variant: config.variant.clone().unwrap_or_default(),
        os: config.os.clone(),
        size: image.size.cast_signed(),
        virtual_size: None,
        manifests: None,
        graph_driver: GraphDriver {
            name: "overlay2".into(),
            data: BTreeMap::new(),
        },
        root_fs: RootFs {
            kind: "layers".into(),
            layers: image.diff_ids().iter().map(ToString::to_string).collect(),
        },
        metadata: ImageMetadata {
            last_tag_time: image.last_tag_time.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_sends_nothing_is_given_up() {
        let body = stream::iter([Ok(bytes::Bytes::from("some"))])
            .chain(stream::pending())
            .boxed();
        let mut body = patient(body, Duration::from_millis(20));
        assert_eq!(body.next().await.unwrap().unwrap(), "some");
        let error = body.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(body.next().await.is_none());
    }
}
