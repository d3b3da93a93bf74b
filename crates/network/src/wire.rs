//! The link pair between the bridge and a container.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use sys::netlink::{
    self, Address, Batch, LinkChange, Socket, change_link, create_veth, get_link, new_address,
    new_default_route,
};

use crate::bridge;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};

/// What the container calls its end.
const INSIDE: &str = "eth0";
/// How long to wait for a link to pass packets. It is a matter of microseconds; beyond this the
/// container starts anyway and its first packets may have to be sent again.
const READY: Duration = Duration::from_millis(200);

/// Where and how to connect a container.
pub(crate) struct Wire<'a> {
    pub(crate) id: &'a str,
    pub(crate) bridge: &'a str,
    pub(crate) bridge_index: u32,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) mtu: Option<u32>,
    /// Whether it is kept from other containers.
    pub(crate) isolated: bool,
}

impl Wire<'_> {
    /// Makes the pair, the container's end with address and default route; returns when packets
    /// pass. `host` is run with the host's socket.
    pub(crate) fn connect(
        &self,
        netns: BorrowedFd<'_>,
        host: impl Fn(&mut dyn FnMut(&mut Socket) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        host(&mut |socket| self.outside(socket, netns))?;
        // The socket stays in the container's namespace when the thread that opened it is gone.
        let mut socket = sys::netns::inside(netns, Socket::route)
            .map_err(|source| Error::Namespace {
                id: self.id.to_owned(),
                source,
            })?
            .map_err(|e| self.kernel(e))?;
        self.inside(&mut socket)?;
        self.wait(&mut socket, host)
    }

    fn kernel(&self, source: netlink::Error) -> Error {
        if source.is_full() {
            return Error::BridgeFull(self.bridge.to_owned());
        }
        Error::Kernel {
            network: self.bridge.to_owned(),
            source,
        }
    }

    fn outside(&self, socket: &mut Socket, netns: BorrowedFd<'_>) -> Result<()> {
        let name = self.endpoint.link.as_str();
        let unchanged = LinkChange::default();
        let mut batch = Batch::new();
        create_veth(
            &mut batch,
            name,
            INSIDE,
            netns,
            self.endpoint.mac.0,
            self.mtu,
        );
        change_link(
            &mut batch,
            name,
            LinkChange {
                no_ipv6_address: true,
                ..unchanged
            },
        );
        let master = Some(self.bridge_index);
        change_link(
            &mut batch,
            name,
            LinkChange {
                up: true,
                master,
                ..unchanged
            },
        );
        if self.isolated {
            change_link(
                &mut batch,
                name,
                LinkChange {
                    isolated: Some(true),
                    ..unchanged
                },
            );
        }
        if bridge::needs_hairpin() {
            change_link(
                &mut batch,
                name,
                LinkChange {
                    hairpin: true,
                    ..unchanged
                },
            );
        }
        let mut replies = socket.exchange(&mut batch).map_err(|e| self.kernel(e))?;
        // The second is refused where the kernel has no IPv6, which is as good.
        replies.remove(1).ok();
        replies
            .into_iter()
            .try_for_each(|r| r.map(drop))
            .map_err(|e| self.kernel(e))
    }

    fn inside(&self, socket: &mut Socket) -> Result<()> {
        let e = self.endpoint;
        let link = get_link(socket, INSIDE)
            .map_err(|e| self.kernel(e))?
            .ok_or_else(|| Error::Vanished {
                owner: format!("container {}", self.id),
                link: INSIDE.into(),
            })?;
        let mut batch = Batch::new();
        let quiet = LinkChange {
            no_ipv6_address: true,
            ..LinkChange::default()
        };
        change_link(&mut batch, INSIDE, quiet);
        new_address(
            &mut batch,
            Address {
                link: link.index,
                ip: e.ip,
                prefix: e.prefix,
            },
        );
        change_link(
            &mut batch,
            INSIDE,
            LinkChange {
                up: true,
                ..LinkChange::default()
            },
        );
        new_default_route(&mut batch, e.gateway);
        let mut replies = socket.exchange(&mut batch).map_err(|e| self.kernel(e))?;
        replies.remove(0).ok();
        replies
            .into_iter()
            .try_for_each(|r| r.map(drop))
            .map_err(|e| self.kernel(e))
    }

    /// A link that came up drops what is sent until the kernel's worker has seen its carrier,
    /// and the sender of a lost first packet waits a second to repeat it. Newer kernels catch up
    /// when a link is asked about; on older ones ask until they have.
    fn wait(
        &self,
        container: &mut Socket,
        host: impl Fn(&mut dyn FnMut(&mut Socket) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let since = Instant::now();
        loop {
            let ready = |socket: &mut Socket, name: &str| {
                get_link(socket, name)
                    .map(|l| l.is_some_and(|l| l.ready))
                    .map_err(|e| self.kernel(e))
            };
            let mut all = ready(container, INSIDE)?;
            host(&mut |socket| {
                all &= ready(socket, &self.endpoint.link)?;
                all &= ready(socket, self.bridge)?;
                Ok(())
            })?;
            if all {
                return Ok(());
            }
            if since.elapsed() > READY {
                tracing::warn!(container = self.id, "its link has no carrier yet");
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}
