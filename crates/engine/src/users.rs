//! What a container with users of its own is made of: a user namespace, a network namespace that
//! belongs to it, and layers as its users see them.

use std::os::fd::{AsFd, OwnedFd};

use runtime::spec::IdMapping;
use sys::namespace::UserAndNetwork;

use crate::{
    Engine,
    error::{Error, Result},
    join::Joined,
    record::Record,
    remap::Remap,
};

impl Engine {
    /// A network namespace for the container: that which came with its users, if they are its own.
    pub(crate) fn new_netns(&self, record: &Record, joined: &mut Joined) -> Result<OwnedFd> {
        let what = || Error::io("make a network namespace");
        match joined.fresh_network.take() {
            Some(network) => {
                sys::netns::raise_loopback(network.as_fd()).map_err(what())?;
                Ok(network)
            }
            // A user namespace that is another container's cannot be given a network any more.
            None if joined.user.is_some() => Err(Error::NotSupported(format!(
                "container {} shares the users of another container, and so must its network: \
                 use --network container:<name|id>, or --userns host",
                record.id
            ))),
            None => sys::netns::create().map_err(what()),
        }
    }

    /// A user namespace as the daemon's remapping wants it.
    pub(crate) fn new_users(&self, remap: &Remap) -> Result<UserAndNetwork> {
        let ranges = |all: &[IdMapping]| {
            let range = |m: &IdMapping| (m.container, m.host, m.size);
            all.iter().map(range).collect::<Vec<_>>()
        };
        sys::namespace::user_and_network(&ranges(&remap.uids), &ranges(&remap.gids))
            .map_err(Error::io("make a user namespace"))
    }

    /// The container's root file system, its layers as its users see them.
    pub(crate) fn mount_root(
        &self,
        id: &str,
        users: Option<&OwnedFd>,
        remap: Option<&Remap>,
    ) -> Result<OwnedFd> {
        match (users, remap) {
            (Some(users), Some(remap)) => {
                Ok(self
                    .images
                    .mount_container_mapped(id, users.as_fd(), remap.root())?)
            }
            _ => Ok(self.images.mount_container(id)?),
        }
    }
}
