//! A container's end of a network, and the host's.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use sys::netlink::{
    self, Address, Batch, LinkChange, Shared, Socket, change_link, create_shared, create_veth,
    delete_default_route, delete_links, get_link, new_address, rename_link, set_default_route,
    set_default_route_by,
};

use crate::bridge;
use crate::definition::{Bridge, Definition, Driver};
use crate::endpoint::{Endpoint, Request};
use crate::error::{Error, Result};
use crate::names;

/// How long to wait for a link to pass packets. It is a matter of microseconds; beyond this the
/// container starts anyway and its first packets may have to be sent again.
const READY: Duration = Duration::from_millis(200);

/// Where and how to connect a container.
pub(crate) struct Wire<'a> {
    pub(crate) id: &'a str,
    pub(crate) network: &'a Definition,
    /// The number of the bridge, or of the link that is shared.
    pub(crate) index: u32,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) request: &'a Request,
}

/// A socket of the container's namespace; it stays there when the thread that opened it is gone.
pub(crate) fn socket(id: &str, netns: BorrowedFd<'_>) -> Result<Socket> {
    sys::netns::inside(netns, Socket::route)
        .map_err(|source| Error::Namespace {
            id: id.to_owned(),
            source,
        })?
        .map_err(Error::kernel("a container"))
}

/// Sends the default routes of a namespace by these endpoints' gateways (IPv4's and IPv6's), or takes
/// them away.
pub(crate) fn route_by(
    id: &str,
    netns: BorrowedFd<'_>,
    endpoints: [Option<&Endpoint>; 2],
) -> Result<()> {
    let mut socket = socket(id, netns)?;
    let kernel = Error::kernel("a container");
    let [four, six] = endpoints;
    let gateways = [
        (true, four.map(|e| (e, e.gateway.map(IpAddr::V4)))),
        (false, six.map(|e| (e, e.gateway6.map(IpAddr::V6)))),
    ];
    for (ipv4, by) in gateways {
        let mut batch = Batch::new();
        match by {
            Some((_, Some(gateway))) => set_default_route(&mut batch, gateway),
            Some((endpoint, None)) => {
                let link = get_link(&mut socket, &endpoint.inside).map_err(&kernel)?;
                if let Some(link) = link {
                    set_default_route_by(&mut batch, link.index, ipv4);
                }
            }
            None => delete_default_route(&mut batch, ipv4),
        }
        match socket.all(&mut batch) {
            Err(e) if by.is_none() && e.is_absent() => {}
            // No IPv6 in this kernel, so no route to remove.
            Err(_) if by.is_none() && !ipv4 => {}
            other => other.map_err(&kernel)?,
        }
    }
    Ok(())
}

impl Wire<'_> {
    /// Makes the link, the container's end with its addresses and, if it is asked for, the default
    /// routes; returns when packets pass. `host` is run with the host's socket.
    pub(crate) fn connect(
        &self,
        netns: BorrowedFd<'_>,
        host: impl Fn(&mut dyn FnMut(&mut Socket) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        host(&mut |socket| match &self.network.driver {
            Driver::Bridge(bridge) => self.pair(socket, netns, bridge),
            Driver::Shared { kind, .. } => self.share(socket, netns, *kind),
        })?;
        let mut socket = socket(self.id, netns)?;
        self.inside(&mut socket)?;
        match self.network.bridge() {
            Some(bridge) => self.wait(&mut socket, &bridge.link, host),
            None => Ok(()),
        }
    }

    fn kernel(&self, source: netlink::Error) -> Error {
        if source.is_full() {
            return Error::BridgeFull(self.network.name.clone());
        }
        Error::kernel(&self.network.name)(source)
    }

    fn share(&self, socket: &mut Socket, netns: BorrowedFd<'_>, kind: Shared) -> Result<()> {
        let mac = matches!(kind, Shared::Macvlan(_)).then_some(self.endpoint.mac.0);
        // The kernel looks for the name here first, where one called `eth0` may well be.
        let name = names::link(&self.network.id);
        let mut batch = Batch::new();
        create_shared(
            &mut batch,
            &name,
            self.index,
            netns,
            kind,
            mac,
            self.network.mtu,
        );
        socket.all(&mut batch).map_err(|e| self.kernel(e))?;
        let mut socket = crate::wire::socket(self.id, netns)?;
        let renamed = rename_link(&mut socket, &name, &self.endpoint.inside);
        if renamed.is_err() {
            // It is said why it has another name, and not that it could not go.
            let _ = delete_links(&mut socket, &[&name]);
        }
        renamed.map_err(|e| self.kernel(e))
    }

    fn pair(&self, socket: &mut Socket, netns: BorrowedFd<'_>, bridge: &Bridge) -> Result<()> {
        let name = self.endpoint.link.as_str();
        let unchanged = LinkChange::default();
        let mut batch = Batch::new();
        create_veth(
            &mut batch,
            name,
            &self.endpoint.inside,
            netns,
            self.endpoint.mac.0,
            self.network.mtu,
        );
        change_link(
            &mut batch,
            name,
            LinkChange {
                no_ipv6_address: true,
                ..unchanged
            },
        );
        let master = Some(self.index);
        change_link(
            &mut batch,
            name,
            LinkChange {
                up: true,
                master,
                ..unchanged
            },
        );
        if bridge::isolates(self.network, bridge) {
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
        let (e, inside) = (self.endpoint, self.endpoint.inside.as_str());
        let link = get_link(socket, inside)
            .map_err(|e| self.kernel(e))?
            .ok_or_else(|| Error::Vanished {
                owner: format!("container {}", self.id),
                link: inside.into(),
            })?;
        let mut batch = Batch::new();
        let quiet = LinkChange {
            no_ipv6_address: e.ip6.is_none(),
            ..LinkChange::default()
        };
        change_link(&mut batch, inside, quiet);
        let mut give = |ip: IpAddr, prefix| {
            let link = link.index;
            new_address(&mut batch, Address { link, ip, prefix });
        };
        if let Some(ip) = e.ip {
            give(ip.into(), e.prefix);
        }
        for ip in &self.request.link_local {
            give(*ip, if ip.is_ipv4() { 16 } else { 64 });
        }
        change_link(
            &mut batch,
            inside,
            LinkChange {
                up: true,
                ..LinkChange::default()
            },
        );
        if let Some(ip) = e.ip6 {
            let (link, ip, prefix) = (link.index, ip.into(), e.prefix6);
            new_address(&mut batch, Address { link, ip, prefix });
        }
        self.routes(&mut batch, link.index);
        let mut replies = socket.exchange(&mut batch).map_err(|e| self.kernel(e))?;
        replies.remove(0).ok();
        replies
            .into_iter()
            .try_for_each(|r| r.map(drop))
            .map_err(|e| self.kernel(e))
    }

    /// By the gateway; on a shared link of layer 3 by the link itself, whose parent's host routes.
    fn routes(&self, batch: &mut Batch, link: u32) {
        let e = self.endpoint;
        let layer3 = matches!(
            self.network.driver,
            Driver::Shared {
                kind: Shared::Ipvlan(1 | 2, _),
                ..
            }
        );
        let families = [
            (true, e.ip.is_some(), e.gateway.map(IpAddr::V4)),
            (false, e.ip6.is_some(), e.gateway6.map(IpAddr::V6)),
        ];
        for (ipv4, has, gateway) in families {
            match gateway {
                _ if !has || self.network.internal => {}
                _ if !self.request.default_route[usize::from(!ipv4)] => {}
                _ if layer3 => set_default_route_by(batch, link, ipv4),
                Some(gateway) => set_default_route(batch, gateway),
                None => {}
            }
        }
    }

    /// A link that came up drops what is sent until the kernel's worker has seen its carrier,
    /// and the sender of a lost first packet waits a second to repeat it. Newer kernels catch up
    /// when a link is asked about; on older ones ask until they have.
    fn wait(
        &self,
        container: &mut Socket,
        bridge: &str,
        host: impl Fn(&mut dyn FnMut(&mut Socket) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let since = Instant::now();
        loop {
            let ready = |socket: &mut Socket, name: &str| {
                get_link(socket, name)
                    .map(|l| l.is_some_and(|l| l.ready))
                    .map_err(|e| self.kernel(e))
            };
            let mut all = ready(container, &self.endpoint.inside)?;
            host(&mut |socket| {
                all &= ready(socket, &self.endpoint.link)?;
                all &= ready(socket, bridge)?;
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
