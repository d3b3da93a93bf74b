//! Everything about one container, as `inspect` shows it.

use std::collections::BTreeMap;

use runtime::logfile::LogForm;
use types::{
    container::{
        ContainerInspect, ContainerState, EndpointSettings, GraphDriver, MountPoint,
        NetworkSettings,
    },
    id,
};

use crate::{
    Engine, blocking,
    container::Container,
    error::Result,
    nets::Attachment,
    ports,
    record::{Mount, MountKind, Record},
    spec,
    state::State,
    sync::lock,
};

impl Engine {
    /// Everything about one container; with its sizes if `size`.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<ContainerInspect> {
        let container = self.find(name)?;
        let (record, state) = (container.record(), container.state());
        let argv = record.argv();
        let (size_rw, size_root_fs) = if size {
            let (images, id) = (self.images.clone(), container.id.clone());
            let sizes = blocking(move || Ok(images.container_size(&id)?)).await?;
            let image = self.images.get(&record.image_id).map_or(0, |i| i.size);
            (
                Some(sizes.cast_signed()),
                Some((image + sizes).cast_signed()),
            )
        } else {
            (None, None)
        };
        let execs = self.execs_of(&container);
        let path = |name: &str| container.data_dir.join(name).to_string_lossy().into_owned();
        let network_settings = self.network_settings(&container, &record);
        let mounts = self.mount_points(&record);
        Ok(ContainerInspect {
            id: record.id.clone(),
            created: record.created.clone(),
            path: argv.first().cloned().unwrap_or_default(),
            args: argv.into_iter().skip(1).collect(),
            state: shown(&state),
            image: record.image_id.clone(),
            resolv_conf_path: path("resolv.conf"),
            hostname_path: path("hostname"),
            hosts_path: path("hosts"),
            // Docker tells only where a `json-file` is.
            log_path: container
                .log()
                .filter(|log| log.form == LogForm::JsonFile)
                .map(|log| log.path.to_string_lossy().into_owned())
                .unwrap_or_default(),
            name: format!("/{}", record.name),
            restart_count: state.last.restarts,
            driver: "overlay2".into(),
            platform: "linux".into(),
            mount_label: String::new(),
            process_label: String::new(),
            app_armor_profile: spec::apparmor(&record.host_config),
            exec_ids: (!execs.is_empty()).then_some(execs),
            graph_driver: GraphDriver {
                name: "overlay2".into(),
                data: BTreeMap::new(),
            },
            size_rw,
            size_root_fs,
            mounts,
            network_settings,
            config: {
                let mut config = record.config.clone();
                if config.hostname.is_empty() {
                    config.hostname = self.hostname(&container, &record);
                }
                config
            },
            host_config: {
                let links = self.shown_links(&record);
                let mut host = record.host_config;
                if host.links.is_some() {
                    host.links = Some(links).filter(|l| !l.is_empty());
                }
                host
            },
        })
    }

    /// Binds and volumes as `inspect` and `ps` show them.
    pub(crate) fn mount_points(&self, record: &Record) -> Vec<MountPoint> {
        let shown = |m: &Mount| {
            let mut point = mount(m);
            if m.kind == MountKind::Volume {
                point.source = self.volumes.place(&m.name).to_string_lossy().into_owned();
                let known = self.volumes.get(&m.name);
                point.driver = known.map_or(String::new(), |v| v.driver().to_owned());
            }
            point
        };
        record.mounts.iter().map(shown).collect()
    }

    /// A container's networks.
    pub(crate) fn networks(
        &self,
        container: &Container,
        record: &Record,
    ) -> BTreeMap<String, EndpointSettings> {
        let place = lock(&container.place);
        let shown = |(id, attachment): (&String, &Attachment)| {
            let network = self.networks.get(id);
            let name = network.as_ref().map_or(&attachment.name, |n| &n.name);
            let mut settings = EndpointSettings {
                network_id: id.clone(),
                ..attachment.settings.clone()
            };
            if network.as_ref().is_some_and(|n| !n.is_predefined()) {
                settings.dns_names = Some(dns_names(record, &attachment.settings));
            }
            if let Some(endpoint) = place.endpoints.get(id) {
                let text =
                    |ip: Option<std::net::IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
                settings.endpoint_id = endpoint_id(&container.id, id);
                settings.gateway = text(endpoint.gateway.map(Into::into));
                settings.ip_address = text(endpoint.ip.map(Into::into));
                settings.ip_prefix_len = endpoint.prefix;
                settings.ipv6_gateway = text(endpoint.gateway6.map(Into::into));
                settings.global_ipv6_address = text(endpoint.ip6.map(Into::into));
                settings.global_ipv6_prefix_len = endpoint.prefix6;
                settings.mac_address = endpoint.mac.to_string();
            }
            (name.clone(), settings)
        };
        record.networks.iter().map(shown).collect()
    }

    fn network_settings(&self, container: &Container, record: &Record) -> NetworkSettings {
        let networks = self.networks(container, record);
        let mut settings = NetworkSettings::default();
        let running = container.state().is_running();
        if running {
            settings.sandbox_id = id::hex(&digest(&[container.id.as_bytes(), b"sandbox"]));
            settings.sandbox_key = container
                .run_dir
                .join(runtime::protocol::NETNS)
                .to_string_lossy()
                .into_owned();
            for port in record.config.exposed_ports.keys() {
                settings.ports.insert(with_proto(port), None);
            }
        }
        for (port, bindings) in ports::published(&lock(&container.place).published) {
            settings.ports.insert(port, Some(bindings));
        }
        if let Some(bridge) = networks.get("bridge") {
            settings.endpoint_id.clone_from(&bridge.endpoint_id);
            settings.gateway.clone_from(&bridge.gateway);
            settings.ip_address.clone_from(&bridge.ip_address);
            settings.ip_prefix_len = bridge.ip_prefix_len;
            settings.ipv6_gateway.clone_from(&bridge.ipv6_gateway);
            settings
                .global_ipv6_address
                .clone_from(&bridge.global_ipv6_address);
            settings.global_ipv6_prefix_len = bridge.global_ipv6_prefix_len;
            settings.mac_address.clone_from(&bridge.mac_address);
        }
        settings.networks = networks;
        settings
    }
}

/// `80` is `80/tcp`.
fn with_proto(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
}

/// The identifier of one of the three networks that are always there.
pub(crate) fn network_id(name: &str) -> String {
    id::hex(&digest(&[b"network", name.as_bytes()]))
}

pub(crate) fn endpoint_id(container: &str, network: &str) -> String {
    id::hex(&digest(&[
        container.as_bytes(),
        b"endpoint",
        network.as_bytes(),
    ]))
}

/// What a container is called in a network of users' own.
pub(crate) fn dns_names(record: &Record, settings: &EndpointSettings) -> Vec<String> {
    let mut names = vec![record.name.clone()];
    let aliases = settings.aliases.iter().flatten();
    let more = aliases.cloned().chain([
        id::short(&record.id).to_owned(),
        record.hostname().to_owned(),
    ]);
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// 32 bytes that depend on `parts` alone; names things, protects nothing.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0_u8; 32];
    for (lane, bytes) in out.chunks_mut(8).enumerate() {
        // FNV-1a, with another beginning for each lane.
        let mut hash =
            0xcbf2_9ce4_8422_2325_u64 ^ (lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in parts.iter().copied().flatten() {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        bytes.copy_from_slice(&hash.to_be_bytes());
    }
    out
}

fn shown(state: &State) -> ContainerState {
    let restarting = state.word() == "restarting";
    ContainerState {
        status: state.word().into(),
        // Docker calls what waits for its restart running, too.
        running: state.is_running() || restarting,
        paused: state.paused,
        restarting,
        oom_killed: state.last.oom_killed,
        dead: false,
        pid: state.pid(),
        exit_code: if state.is_running() {
            0
        } else {
            state.last.exit_code
        },
        error: state.last.error.clone(),
        started_at: state.last.started_at.clone(),
        finished_at: state.last.finished_at.clone(),
        health: state.last.health.clone(),
    }
}

fn mount(mount: &Mount) -> MountPoint {
    let volume = mount.kind == MountKind::Volume;
    MountPoint {
        kind: match mount.kind {
            MountKind::Bind => "bind",
            MountKind::Volume => "volume",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Image => "image",
        }
        .into(),
        name: mount.name.clone(),
        source: mount.source.clone(),
        destination: mount.destination.clone(),
        driver: if volume {
            "local".into()
        } else {
            String::new()
        },
        mode: if volume && mount.mode.is_empty() {
            "z".into()
        } else {
            mount.mode.clone()
        },
        rw: !mount.read_only,
        propagation: mount.propagation.clone(),
    }
}
