//! Tar archives: reading with bounds, writing, making one of a tree of files, and making files of
//! one below a directory and nowhere else.
//!
//! Nothing here runs a program or loads a library: what is packed is unpacked in this process
//! (CVE-2019-14271, CVE-2026-41567). Paths are resolved by the kernel relative to a descriptor
//! (`openat2`), so that no link in an archive or in a tree leads out of it.

mod acl;
mod attributes;
mod content;
mod context;
mod header;
mod pack;
mod packed;
mod path;
mod place;
mod read;
mod remove;
mod sparse;
mod write;
mod xattrs;

pub use attributes::{apply, apply_by_name, times};
pub use content::{make_node, write_content};
pub use context::{ContextSink, read_context};
pub use header::is_header;
pub use pack::{Ids, Packer, is_opaque, open_below};
pub use packed::{Compression, needs_too_much, unpacked};
pub use path::{clean, split};
pub use place::{Placer, Rename};
pub use read::{Header, Kind, TarReader};
pub use remove::remove_all;
pub use write::TarWriter;
pub use xattrs::xattrs;
