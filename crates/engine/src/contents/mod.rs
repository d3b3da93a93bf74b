//! What is in a container's file system: read, written and compared, whether it runs or not.

mod changes;
mod commit;
mod ids;
mod stream;
mod transfer;
mod view;

pub use commit::Commit;
pub(crate) use ids::Owners;
pub(crate) use stream::PATIENCE;
pub use stream::{Chunks, Sink, pipe};
