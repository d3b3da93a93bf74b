//! What requests ask for beside their bodies.

use std::collections::BTreeMap;

use crate::Failure;

/// `filters=`: by name, the values asked for (any of them; several names must all hold).
pub type Filters = BTreeMap<String, Vec<String>>;

/// Names that filters of containers may have.
pub const CONTAINER_FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Names that filters of images may have.
pub const IMAGE_FILTERS: &[&str] = &[
    "before",
    "dangling",
    "label",
    "label!",
    "reference",
    "since",
    "until",
];

/// Values of a container's `status`.
pub const STATUSES: &[&str] = &[
    "created",
    "restarting",
    "running",
    "removing",
    "paused",
    "exited",
    "dead",
];

/// Values of a container's `health`.
pub const HEALTH: &[&str] = &["none", "starting", "healthy", "unhealthy"];

/// A filter that is yes or no, in Docker's words for it; nothing where it is not there.
///
/// # Errors
/// When it is anything else, or said several times.
pub fn yes_or_no(filters: &Filters, name: &str) -> Result<Option<bool>, Failure> {
    match filters.get(name).map(Vec::as_slice) {
        None | Some([]) => Ok(None),
        Some([one]) if matches!(one.as_str(), "1" | "true") => Ok(Some(true)),
        Some([one]) if matches!(one.as_str(), "0" | "false") => Ok(Some(false)),
        Some(given) => Err(Failure::invalid(format!(
            "invalid filter '{name}={given:?}'"
        ))),
    }
}

/// Which stream of a process bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdStream {
    /// Standard output; everything, where there is a terminal.
    Out,
    /// Standard error.
    Err,
}

/// When a wait ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitCondition {
    /// When it does not run: at once for one that is created or ended.
    #[default]
    NotRunning,
    /// When it ends the next time.
    NextExit,
    /// When it is removed.
    Removed,
}

/// `DELETE /containers/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveOptions {
    /// Kill it first.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// A link rather than the container.
    pub link: bool,
}

/// `GET /containers/json`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// Those that do not run too.
    pub all: bool,
    /// The newest so many, running or not.
    pub limit: Option<usize>,
    /// Count sizes.
    pub size: bool,
    /// Which.
    pub filters: Filters,
}

/// `GET /images/json`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagesOptions {
    /// Those that others are built on, too.
    pub all: bool,
    /// Tell of their manifests.
    pub manifests: bool,
    /// Count what they share.
    pub shared_size: bool,
    /// Which.
    pub filters: Filters,
}

/// `GET /containers/{id}/logs`. Times are nanoseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogsOptions {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Go on with what comes.
    pub follow: bool,
    /// Nothing older.
    pub since: Option<i64>,
    /// Nothing newer.
    pub until: Option<i64>,
    /// Only so many last lines.
    pub tail: Option<usize>,
    /// Put its time before each line.
    pub timestamps: bool,
    /// Put the labels and variables that were logged too before each line.
    pub details: bool,
}

/// `POST /containers/{id}/attach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttachOptions {
    /// What was logged so far, first.
    pub logs: bool,
    /// What comes from now on.
    pub stream: bool,
    /// Connect standard input.
    pub stdin: bool,
    /// Connect standard output.
    pub stdout: bool,
    /// Connect standard error.
    pub stderr: bool,
}

/// `GET /events`. Times are nanoseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsOptions {
    /// From then on, as far as remembered; otherwise from now on.
    pub since: Option<i64>,
    /// Until then; otherwise without end.
    pub until: Option<i64>,
    /// Which.
    pub filters: Filters,
}

/// `POST /images/create?fromSrc=…`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Name of the new image, `repository[:tag]`; none when empty.
    pub reference: String,
    /// Its commit message.
    pub message: String,
    /// Dockerfile instructions applied to its configuration.
    pub changes: Vec<String>,
    /// `os[/arch[/variant]]`.
    pub platform: Option<String>,
    /// Where the archive is on the web; empty where the client sends it.
    pub from: String,
}

/// `GET /containers/{id}/stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsMode {
    /// A sample a second, until the container is removed.
    Stream,
    /// One, with the processor times of a second before.
    Pair,
    /// One, at once, with nothing to compare it with.
    OneShot,
}

/// How an archive is placed in a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlaceOptions {
    /// Refuse to put a directory in the place of something else, and the other way round.
    pub keep_kinds: bool,
    /// Give everything to the container's own user, if it names one.
    pub to_user: bool,
}

/// What `GET /system/df` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct UsageOptions {
    pub images: bool,
    pub containers: bool,
    pub volumes: bool,
    pub build_cache: bool,
}
