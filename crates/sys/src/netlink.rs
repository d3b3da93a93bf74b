//! Netlink without a library: links, addresses, routes and connection tracking.
//!
//! Every request here is a handful of attributes and one round trip in the caller's thread. The
//! kernel handles a request inside `sendmsg`, so a synchronous socket needs no event loop, and
//! several requests travel in one send ([`Batch`]). The crates that model all of rtnetlink cost
//! minutes of compile time for what fits in a few files.

mod addr;
mod conntrack;
mod diag;
mod link;
mod msg;
mod socket;

pub use addr::{
    Address, Route, addresses, delete_address, delete_default_route, new_address, octets, routes,
    set_default_route, set_default_route_by,
};
pub use conntrack::{Flow, forget_udp};
pub use diag::{Bound, bound_sockets};
pub use link::{
    Link, LinkChange, Shared, change_link, create_bridge, create_shared, create_veth, create_vlan,
    delete_links, get_link, has_kind, links, mark_link, rename_link,
};
pub use msg::{Attrs, Batch};
pub use socket::{Reply, Socket};

/// What went wrong in a conversation with the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket itself failed.
    #[error("netlink socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The kernel refused a request.
    #[error("the kernel refused to {what}: {source}{}", .message.as_deref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        what: String,
        /// The error number it gave.
        source: std::io::Error,
        /// Its own words, when it has some.
        message: Option<String>,
    },
    /// The kernel's answer was not understood.
    #[error("netlink: the kernel's answer to '{0}' is cut short or malformed")]
    Malformed(String),
}

impl Error {
    /// The error number the kernel answered with, if it answered.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } | Self::Socket(source) => source.raw_os_error(),
            Self::Malformed(_) => None,
        }
    }

    /// The thing asked about does not exist.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(
            self.errno(),
            Some(libc::ENODEV | libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL)
        )
    }

    /// The thing to be made has a part in common with one that exists.
    #[must_use]
    pub fn overlaps(&self) -> bool {
        self.errno() == Some(libc::ENOTEMPTY)
    }

    /// A bridge has all the ports it can have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.errno() == Some(libc::EXFULL)
    }

    /// The thing to be made exists already.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }
}
