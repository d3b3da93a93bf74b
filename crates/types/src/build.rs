//! Building images: what a client asks for and what it is told, at the endpoints of our own below
//! `/wharf/build`.
//!
//! A build by our own client has two halves. First the context: `POST /wharf/build/context` with a
//! [`ContextUpdate`] says what the context's files are, or how they differ from an earlier context
//! that the daemon still knows; the [`ContextAnswer`] names the contents that are missing, which
//! `POST /wharf/build/content` then brings ([`content_header`]). Then `POST /wharf/build` with a
//! [`BuildRequest`] and `Upgrade: tcp`: the connection's standard output carries [`BuildEvent`]s, one
//! line of JSON each, its standard error the bytes of archives that go to the client: that of an
//! [`Output`], then those of caches, each after its [`BuildEvent::Cache`]; its input what the client's
//! SSH agent answers ([`AgentFrame`]). When the client closes the connection, the build ends.

mod cache;
mod context;
mod event;
mod request;

pub use cache::{CachePlace, CacheSink, CacheSource, CacheTarget};
pub use context::{ContextAnswer, ContextEntry, ContextUpdate, EntryKind, content_header};
pub use event::{AgentFrame, BuildEvent, BuildLog, BuildWarning, Built, Status, Vertex};
pub use request::{
    BuildRequest, ContextSource, Dockerfile, Layout, Output, OutputKind, PruneAnswer, PruneRequest,
    Record, Secret,
};
