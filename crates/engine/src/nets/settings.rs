//! What a container asks of its networks, judged before anything runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use network::{Mac, Subnet};
use types::{
    container::{EndpointSettings, HostConfig, NetworkingConfig},
    network::IpamConfig,
};

use super::{Attachment, Attachments, NetworkRecord};
use crate::{
    Engine,
    error::{Error, Result},
    links,
    network_mode::NetworkMode,
};

/// What the container calls its end of a network.
pub(super) const IFNAME: &str = "com.docker.network.endpoint.ifname";
/// Settings of the kernel's for that end.
pub(super) const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// What a container asks of a network, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub ip: Option<Ipv4Addr>,
    pub ip6: Option<Ipv6Addr>,
    pub link_local: Vec<IpAddr>,
    pub mac: Option<Mac>,
    pub ifname: Option<String>,
    /// Paths below `/proc/sys/net`, with `IFNAME` for the name, and values.
    pub sysctls: Vec<(String, String)>,
}

/// Reads what is asked for.
pub(super) fn read(settings: &EndpointSettings) -> Result<Asked> {
    let mut asked = Asked::default();
    let mut wrong: Vec<String> = Vec::new();
    if let Some(ipam) = &settings.ipam_config {
        match ipam.ipv4_address.as_str() {
            "" => {}
            text => match text.parse() {
                Ok(ip) => asked.ip = Some(ip),
                Err(_) => wrong.push(format!("invalid IPv4 address: {text}")),
            },
        }
        match ipam.ipv6_address.as_str() {
            "" => {}
            text => match text.parse() {
                Ok(ip) => asked.ip6 = Some(ip),
                Err(_) => wrong.push(format!("invalid IPv6 address: {text}")),
            },
        }
        for text in &ipam.link_local_ips {
            match text.parse() {
                Ok(ip) => asked.link_local.push(ip),
                Err(_) => wrong.push(format!("invalid link-local IP address: {text}")),
            }
        }
    }
    if !settings.mac_address.is_empty() {
        match settings.mac_address.parse() {
            Ok(mac) => asked.mac = Some(mac),
            Err(_) => wrong.push(format!("invalid MAC address {}", settings.mac_address)),
        }
    }
    for (key, value) in settings.driver_opts.iter().flatten() {
        match key.as_str() {
            IFNAME if is_link_name(value) => asked.ifname = Some(value.clone()),
            IFNAME => wrong.push(format!("invalid interface name {value:?}")),
            SYSCTLS => match sysctls(value) {
                Ok(all) => asked.sysctls = all,
                Err(why) => wrong.push(why),
            },
            other => wrong.push(format!(
                "the driver option {other} is not supported by wharf"
            )),
        }
    }
    for alias in settings.aliases.iter().flatten() {
        if alias.is_empty() || alias.contains(|c: char| c.is_whitespace() || c.is_control()) {
            wrong.push(format!("invalid network-scoped alias: {alias:?}"));
        }
    }
    for link in settings.links.iter().flatten() {
        if let Err(error) = links::parse(link) {
            wrong.push(error.to_string());
        }
    }
    if wrong.is_empty() {
        return Ok(asked);
    }
    Err(Error::Invalid(format!(
        "invalid endpoint settings:\n{}",
        wrong.join("\n")
    )))
}

fn is_link_name(name: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    !name.is_empty() && name.len() < 16 && !matches!(name, "." | ".." | "lo") && !name.contains(odd)
}

/// `net.ipv4.conf.IFNAME.log_martians=1,…`; only of the container's own end.
fn sysctls(text: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let one = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let parts: Vec<&str> = key.trim().split('.').collect();
        let [net, family, kind, "IFNAME", name] = parts[..] else {
            return None;
        };
        let plain =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let fits = net == "net"
            && matches!(family, "ipv4" | "ipv6" | "mpls")
            && matches!(kind, "conf" | "neigh")
            && plain(name);
        fits.then(|| (format!("{family}/{kind}/IFNAME/{name}"), value.to_owned()))
    };
    text.split(',')
        .map(|part| {
            one(part).ok_or_else(|| {
                format!(
                    "invalid sysctl {part:?}: expected one such as net.ipv4.conf.IFNAME.log_martians=1"
                )
            })
        })
        .collect()
}

impl Engine {
    /// The networks that a new container is in: that of its mode first of all, and the others that it
    /// names.
    pub(crate) fn attachments(
        &self,
        host: &mut HostConfig,
        networking: NetworkingConfig,
    ) -> Result<Attachments> {
        let mode = NetworkMode::of(host)?;
        let own = match &mode {
            NetworkMode::Container(_) => {
                if let Some(name) = networking.endpoints_config.keys().next() {
                    return Err(Error::Invalid(format!(
                        "conflicting options: the network {name} and the container type network mode"
                    )));
                }
                return Ok(Attachments::new());
            }
            NetworkMode::Bridge => super::BRIDGE,
            NetworkMode::None => "none",
            NetworkMode::Host => "host",
            NetworkMode::Own(name) => name,
        };
        let nowhere = mode == NetworkMode::Bridge && self.has_no_default_network();
        let main = if nowhere {
            None
        } else {
            Some(self.wanted_network(own)?)
        };
        let mut all = Attachments::new();
        for (name, settings) in networking.endpoints_config {
            if nowhere && matches!(name.as_str(), "default" | super::BRIDGE) {
                continue;
            }
            let network = self.wanted_network(&name)?;
            self.check_settings(&network, &settings)?;
            let attachment = Attachment {
                name: network.name.clone(),
                settings,
            };
            if all.insert(network.id.clone(), attachment).is_some() {
                return Err(Error::Invalid(format!(
                    "network {} is named twice in EndpointsConfig",
                    network.name
                )));
            }
        }
        let mut links = std::collections::BTreeMap::new();
        for attachment in all.values() {
            let asked = read(&attachment.settings)?.ifname;
            let Some(other) = asked
                .clone()
                .and_then(|n| links.insert(n, &attachment.name))
            else {
                continue;
            };
            return Err(Error::Invalid(format!(
                "conflicting options: the networks {other} and {} both ask for the link {}",
                attachment.name,
                asked.unwrap_or_default()
            )));
        }
        // As Docker: without a default network it is in none.
        let Some(main) = main else {
            return Ok(all);
        };
        let first = all.entry(main.id.clone()).or_default();
        first.name.clone_from(&main.name);
        if let (NetworkMode::Own(_), Some(links)) = (&mode, &mut host.links)
            && first.settings.links.as_ref().is_none_or(Vec::is_empty)
        {
            first.settings.links = Some(std::mem::take(links));
        }
        let fixed = matches!(mode, NetworkMode::None | NetworkMode::Host);
        if let Some((_, other)) = all.iter().find(|(id, a)| {
            **id != main.id && (fixed || matches!(a.name.as_str(), "host" | "none"))
        }) {
            return Err(Error::Invalid(format!(
                "conflicting options: cannot attach both user-defined and non-user-defined \
                 network-modes ({} and {})",
                main.name, other.name
            )));
        }
        Ok(all)
    }

    /// A network that a container names. Not as an absent object: clients would take it for the image,
    /// and pull.
    fn wanted_network(&self, name: &str) -> Result<std::sync::Arc<NetworkRecord>> {
        let found = self.networks.find(name);
        let network = found.map_err(|e| Error::Invalid(e.to_string()))?;
        if network.config_only {
            return Err(Error::Forbidden(format!(
                "configuration network {} cannot be joined by containers",
                network.name
            )));
        }
        Ok(network)
    }

    /// Whether a network can give what is asked of it.
    pub(super) fn check_settings(
        &self,
        network: &NetworkRecord,
        settings: &EndpointSettings,
    ) -> Result<()> {
        let named = |error: Error| match error {
            Error::Invalid(text) => Error::Invalid(format!(
                "invalid config for network {}: {text}",
                network.name
            )),
            other => other,
        };
        let refuse = |text: &str| {
            Err(named(Error::Invalid(format!(
                "invalid endpoint settings:\n{text}"
            ))))
        };
        let asked = read(settings).map_err(named)?;
        let wants_address = asked.ip.is_some() || asked.ip6.is_some();
        if network.is_predefined() {
            if wants_address {
                return refuse(
                    "user specified IP address is supported on user defined networks only",
                );
            }
            if settings.aliases.as_ref().is_some_and(|a| !a.is_empty()) {
                return refuse(
                    "network-scoped alias is supported only for containers in user defined \
                     networks",
                );
            }
            return Ok(());
        }
        if wants_address && !network.own_subnets {
            return refuse(
                "user specified IP address is supported only when connecting to networks with \
                 user configured subnets",
            );
        }
        let wanted = [asked.ip.map(IpAddr::V4), asked.ip6.map(IpAddr::V6)];
        for ip in wanted.into_iter().flatten() {
            let holds = |c: &IpamConfig| Subnet::parse(&c.subnet).is_ok_and(|s| s.contains(ip));
            if !network.ipam.config.iter().any(holds) {
                return refuse(&format!("no configured subnet contains IP address {ip}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use types::container::EndpointIpam;

    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let settings = EndpointSettings {
            ipam_config: Some(EndpointIpam {
                ipv4_address: "fd00::1".into(),
                link_local_ips: vec!["x".into()],
                ..EndpointIpam::default()
            }),
            mac_address: "01:00:00:00:00:00".into(),
            aliases: Some(vec!["a b".into()]),
            ..EndpointSettings::default()
        };
        let text = read(&settings).unwrap_err().to_string();
        for part in [
            "IPv4 address: fd00::1",
            "link-local IP address: x",
            "MAC",
            "\"a b\"",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn names_and_settings_of_links() {
        let with = |key: &str, value: &str| {
            read(&EndpointSettings {
                driver_opts: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])),
                ..EndpointSettings::default()
            })
        };
        assert_eq!(
            with(IFNAME, "wan0").unwrap().ifname.as_deref(),
            Some("wan0")
        );
        for bad in ["", "a/b", "lo", "sixteen-letters-", "a b"] {
            assert!(with(IFNAME, bad).is_err(), "{bad:?}");
        }
        let asked = with(SYSCTLS, "net.ipv4.conf.IFNAME.log_martians=1").unwrap();
        let (path, value) = &asked.sysctls[0];
        assert_eq!(
            (path.as_str(), value.as_str()),
            ("ipv4/conf/IFNAME/log_martians", "1")
        );
        for bad in [
            "net.ipv4.conf.all.forwarding=1",
            "net.ipv4.conf.IFNAME./x=1",
            "kernel.x.y.IFNAME.z=1",
            "x",
        ] {
            assert!(with(SYSCTLS, bad).is_err(), "{bad}");
        }
        assert!(with("com.example", "1").is_err());
    }
}
