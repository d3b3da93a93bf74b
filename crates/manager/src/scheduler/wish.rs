//! What the tasks of one service and version want of a node.

use swarm_api::{Node, Task};
use types::swarm::node::{Availability, NodeState};
use types::swarm::service::Protocol;
use types::swarm::task::{Platform, Resources};

use super::filter::{self, Filter};
use super::hosts::{Host, host_ports};
use crate::constraint::{self, Constraint};
use crate::room::reserved;

/// What tasks want, read once for all of them.
#[derive(Debug)]
pub(super) struct Wish {
    reserved: Option<Resources>,
    /// By kind and name.
    plugins: Vec<(&'static str, String)>,
    /// None where they cannot be read: then no node fits.
    constraints: Option<Vec<Constraint>>,
    platforms: Vec<Platform>,
    ports: Vec<(Protocol, u16)>,
    /// 0 is any number.
    max_replicas: u64,
    devices: Vec<String>,
    /// Labels that the tasks are spread over, the outermost first.
    pub(super) spread: Vec<Label>,
    pub(super) image: String,
}

/// A label that tasks are spread over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    Node(String),
    Engine(String),
}

impl Label {
    /// Reads `node.labels.zone`. What is no label spreads nothing, as in Docker.
    fn of(descriptor: &str) -> Option<Self> {
        let after = |prefix: &str| {
            let (head, tail) = descriptor.split_at_checked(prefix.len())?;
            (head.eq_ignore_ascii_case(prefix) && !tail.is_empty()).then(|| tail.to_owned())
        };
        let node = after("node.labels.").map(Self::Node);
        node.or_else(|| after("engine.labels.").map(Self::Engine))
    }

    /// A node's value; one without the label has the empty one.
    pub(super) fn value<'a>(&self, node: &'a Node) -> &'a str {
        let value = match self {
            Self::Node(name) => node.spec.labels.get(name),
            Self::Engine(name) => node.description.engine.labels.get(name),
        };
        value.map_or("", String::as_str)
    }
}

impl Wish {
    pub(super) fn of(task: &Task) -> Self {
        let spec = &task.spec;
        let placement = spec.placement.clone().unwrap_or_default();
        let container = spec.container_spec.as_ref();
        let drivers = container.into_iter().flat_map(|c| &c.mounts);
        let drivers = drivers.filter_map(|m| m.volume_options.as_ref()?.driver_config.as_ref());
        let mut plugins: Vec<_> = drivers.map(|d| ("Volume", d.name.clone())).collect();
        plugins.extend(spec.log_driver.iter().map(|d| ("Log", d.name.clone())));
        // What every engine has of its own is not asked for.
        plugins.retain(|(_, name)| !matches!(name.as_str(), "" | "local" | "none"));
        let devices = container.into_iter().flat_map(|c| &c.devices);
        let spread = placement.preferences.iter();
        let spread = spread.filter_map(|p| Label::of(&p.spread.as_ref()?.spread_descriptor));
        Self {
            reserved: reserved(task).cloned(),
            plugins,
            constraints: constraint::parse(&placement.constraints).ok(),
            platforms: placement.platforms,
            ports: host_ports(&task.ports).collect(),
            max_replicas: placement.max_replicas,
            devices: devices.map(|d| d.path_on_host.clone()).collect(),
            spread: spread.collect(),
            image: container.map(|c| c.image.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn reserved(&self) -> Option<&Resources> {
        self.reserved.as_ref()
    }

    /// What speaks against a node that has `tasks` of the service.
    pub(super) fn refuses(&self, host: &Host, tasks: u32) -> Option<Filter> {
        let mut filters = filter::ALL.into_iter();
        filters.find(|filter| !self.passes(*filter, host, tasks))
    }

    fn passes(&self, filter: Filter, host: &Host, tasks: u32) -> bool {
        match filter {
            Filter::Ready => is_ready(&host.node),
            Filter::Resources => self.has_room(host),
            Filter::Plugins => self.has_plugins(&host.node),
            Filter::Constraints => {
                let constraints = self.constraints.as_deref();
                constraints.is_some_and(|c| constraint::fits(c, &host.node))
            }
            Filter::Platform => self.has_platform(&host.node),
            Filter::HostPorts => self.has_ports(host),
            Filter::MaxReplicas => self.may_have(tasks),
            Filter::Devices => self.has_devices(&host.node),
        }
    }

    /// Whether a node that was found good still has what tasks take away.
    pub(super) fn still(&self, host: &Host, tasks: u32) -> bool {
        self.has_room(host) && self.has_ports(host) && self.may_have(tasks)
    }

    fn has_room(&self, host: &Host) -> bool {
        self.reserved.as_ref().is_none_or(|r| host.room.fits(r))
    }

    fn has_ports(&self, host: &Host) -> bool {
        !self.ports.iter().any(|port| host.has_port(*port))
    }

    fn may_have(&self, tasks: u32) -> bool {
        self.max_replicas == 0 || u64::from(tasks) < self.max_replicas
    }

    fn has_plugins(&self, node: &Node) -> bool {
        let plugins = &node.description.engine.plugins;
        self.plugins.iter().all(|(kind, name)| {
            let tagged = |p: &str| p.strip_suffix(":latest").is_some_and(|p| p == name);
            let mut of_kind = plugins.iter().filter(|p| p.kind == *kind);
            of_kind.any(|p| p.name == *name || tagged(&p.name))
        })
    }

    fn has_platform(&self, node: &Node) -> bool {
        let has = &node.description.platform;
        let same = |wanted: &str, has: &str| wanted.is_empty() || wanted.eq_ignore_ascii_case(has);
        let fits = |wanted: &Platform| {
            same(&wanted.os, &has.os) && same(arch(&wanted.architecture), arch(&has.architecture))
        };
        self.platforms.is_empty() || self.platforms.iter().any(fits)
    }

    /// A node that does not say what it has is taken to have everything.
    fn has_devices(&self, node: &Node) -> bool {
        let Some(has) = &node.devices else {
            return true;
        };
        // What is named may be a directory of devices.
        let inside = |path: &str| {
            let within = |d: &String| d.strip_prefix(path).is_some_and(|d| d.starts_with('/'));
            has.range(path.to_owned()..)
                .take_while(|d| d.starts_with(path))
                .any(within)
        };
        let there = |path: &String| has.contains(path) || inside(path.trim_end_matches('/'));
        self.devices.iter().all(there)
    }
}

fn is_ready(node: &Node) -> bool {
    node.state == NodeState::Ready && node.spec.availability == Availability::Active
}

/// Machines have several names.
fn arch(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        name => name,
    }
}
