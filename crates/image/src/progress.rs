//! What a pull, push, load or import tells its caller on the way.

use types::image::{ProgressDetail, ProgressLine};

/// A step that a user watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A pull begins.
    Pulling {
        /// The repository within its registry.
        repository: String,
        /// The tag or digest.
        tag: String,
    },
    /// Something happened to a layer.
    Layer {
        /// Twelve digits of its digest.
        id: String,
        /// What.
        step: LayerStep,
    },
    /// The digest of what was pulled.
    Digest(String),
    /// A sentence about the whole.
    Status(String),
    /// A line to be printed as it is.
    Line(String),
    /// For programs: a tag is in the registry now.
    Tag {
        /// The tag.
        tag: String,
        /// Its manifest's digest.
        digest: String,
        /// Its manifest's length.
        size: u64,
    },
}

/// What happens to a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerStep {
    /// It will be fetched.
    PullingFsLayer,
    /// Others are fetched first.
    Waiting,
    /// Bytes arrive.
    Downloading {
        /// So many.
        current: u64,
        /// Of so many.
        total: u64,
    },
    /// The connection broke; it is tried again after so many seconds.
    Retrying(u64),
    /// All bytes are here and are checked.
    VerifyingChecksum,
    /// The bytes are what they should be.
    DownloadComplete,
    /// It is unpacked.
    Extracting {
        /// So many of its packed bytes.
        current: u64,
        /// Of so many.
        total: u64,
    },
    /// It is ready.
    PullComplete,
    /// It was here before.
    AlreadyExists,
    /// It is about to be looked for in the registry.
    Preparing,
    /// Bytes are sent.
    Pushing {
        /// So many.
        current: u64,
        /// Of so many.
        total: u64,
    },
    /// The registry has it now.
    Pushed,
    /// The registry had it.
    LayerExists,
    /// The registry took it from its other repository.
    Mounted(String),
    /// It is taken in from an archive.
    Loading {
        /// So many bytes.
        current: u64,
        /// Of so many.
        total: u64,
    },
}

impl Progress {
    /// As Docker's API words it.
    pub fn line(&self) -> ProgressLine {
        let mut line = ProgressLine::default();
        match self {
            Self::Pulling { repository, tag } => {
                line.status = Some(format!("Pulling from {repository}"));
                line.id = Some(tag.clone());
            }
            Self::Layer { id, step } => {
                let (status, amounts) = step.words();
                line.status = Some(status);
                line.id = Some(id.clone());
                line.detail = Some(ProgressDetail {
                    current: amounts.map(|a| a.0),
                    total: amounts.map(|a| a.1),
                });
            }
            Self::Digest(digest) => line.status = Some(format!("Digest: {digest}")),
            Self::Status(text) => line.status = Some(text.clone()),
            Self::Tag { tag, digest, size } => {
                line.detail = Some(ProgressDetail::default());
                line.aux = Some(serde_json::json!({"Tag": tag, "Digest": digest, "Size": size}));
            }
            Self::Line(text) => line.stream = Some(format!("{text}\n")),
        }
        line
    }
}

impl LayerStep {
    fn words(&self) -> (String, Option<(u64, u64)>) {
        let text = match self {
            Self::PullingFsLayer => "Pulling fs layer",
            Self::Waiting => "Waiting",
            Self::Downloading { current, total } => {
                return ("Downloading".to_owned(), Some((*current, *total)));
            }
            Self::Retrying(1) => return ("Retrying in 1 second".to_owned(), None),
            Self::Retrying(n) => return (format!("Retrying in {n} seconds"), None),
            Self::VerifyingChecksum => "Verifying Checksum",
            Self::DownloadComplete => "Download complete",
            Self::Extracting { current, total } => {
                return ("Extracting".to_owned(), Some((*current, *total)));
            }
            Self::PullComplete => "Pull complete",
            Self::AlreadyExists => "Already exists",
            Self::Preparing => "Preparing",
            Self::Pushing { current, total } => {
                return ("Pushing".to_owned(), Some((*current, *total)));
            }
            Self::Pushed => "Pushed",
            Self::LayerExists => "Layer already exists",
            Self::Mounted(from) => return (format!("Mounted from {from}"), None),
            Self::Loading { current, total } => {
                return ("Loading layer".to_owned(), Some((*current, *total)));
            }
        };
        (text.to_owned(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_dockers() {
        let layer = |step| Progress::Layer {
            id: "0123456789ab".into(),
            step,
        };
        let json = |p: Progress| serde_json::to_string(&p.line()).unwrap();
        assert_eq!(
            json(layer(LayerStep::PullingFsLayer)),
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"0123456789ab"}"#
        );
        assert_eq!(
            json(layer(LayerStep::Downloading {
                current: 1,
                total: 2
            })),
            r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"0123456789ab"}"#
        );
        assert_eq!(
            json(Progress::Pulling {
                repository: "library/busybox".into(),
                tag: "latest".into()
            }),
            r#"{"status":"Pulling from library/busybox","id":"latest"}"#
        );
        assert_eq!(
            json(Progress::Line("Loaded image: a:b".into())),
            "{\"stream\":\"Loaded image: a:b\\n\"}"
        );
    }
}
