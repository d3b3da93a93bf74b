//! What a container finds in `/etc/hosts` and `/etc/resolv.conf`.

use std::{fs, net::IpAddr};

use network::dns::Overrides;
use types::container::HostConfig;

use crate::{
    Engine,
    error::{Error, Result},
    names::{self, Settings},
    network_mode::NetworkMode,
    record::Record,
};

/// The address that stands for the host.
const HOST_GATEWAY: &str = "host-gateway";

/// The daemon's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Name servers of containers that name none.
    pub servers: Vec<IpAddr>,
    /// Options of the resolver for containers that have none.
    pub options: Vec<String>,
    /// Search domains for containers that have none.
    pub search: Vec<String>,
    /// What `host-gateway` means; the bridge's address when empty.
    pub host_gateways: Vec<IpAddr>,
}

/// Refuses names and addresses that are none, and what does not fit the network.
pub(crate) fn check(host: &HostConfig) -> Result<()> {
    let extra = || host.extra_hosts.iter().flatten();
    for text in extra() {
        extra_host(text)?;
    }
    for server in &host.dns {
        server.trim().parse::<IpAddr>().map_err(|_| {
            Error::Invalid(format!("IP address is not correctly formatted: {server}"))
        })?;
    }
    for text in host.dns_options.iter().chain(&host.dns_search) {
        if text.contains(char::is_control) {
            return Err(Error::Invalid(format!("invalid DNS setting: {text:?}")));
        }
    }
    let linked = host.links.iter().flatten().next().is_some();
    let conflict = match NetworkMode::of(host)? {
        NetworkMode::Host if linked => {
            "host type networking can't be used with links. This would result in undefined behavior"
        }
        NetworkMode::Container(_) if linked => {
            "container type network can't be used with links. This would result in undefined \
             behavior"
        }
        NetworkMode::Container(_) if !host.dns.is_empty() => "dns and the network mode",
        NetworkMode::Container(_) if extra().next().is_some() => {
            "custom host-to-IP mapping and the network mode"
        }
        _ => return Ok(()),
    };
    Err(Error::Invalid(format!("conflicting options: {conflict}")))
}

/// `name:address` or `name:host-gateway`; an address may have colons itself.
fn extra_host(text: &str) -> Result<(String, Option<IpAddr>)> {
    let parts = text.split_once(':');
    let odd = |c: char| c.is_control() || c == '#';
    let Some((name, address)) = parts.filter(|(n, _)| !n.is_empty() && !n.contains(odd)) else {
        return Err(Error::Invalid(format!("bad format for add-host: {text:?}")));
    };
    if address == HOST_GATEWAY {
        return Ok((name.to_owned(), None));
    }
    match address.trim().parse() {
        Ok(address) => Ok((name.to_owned(), Some(address))),
        Err(_) => Err(Error::Invalid(format!(
            "invalid IP address in add-host: {address:?}"
        ))),
    }
}

impl Engine {
    /// The hosts file. `linked` are names of other containers.
    pub(crate) fn hosts(
        &self,
        record: &Record,
        hostname: &str,
        addresses: &[IpAddr],
        linked: Vec<(String, IpAddr)>,
    ) -> Result<String> {
        let host = &record.host_config;
        let mut extra = Vec::new();
        for text in host.extra_hosts.iter().flatten() {
            match extra_host(text)? {
                (name, Some(address)) => extra.push((name, address)),
                (name, None) => {
                    let own = &self.config().resolver.host_gateways;
                    let bridge = self.default_gateways();
                    let all = if own.is_empty() { &bridge } else { own };
                    extra.extend(all.iter().map(|address| (name.clone(), *address)));
                }
            }
        }
        extra.extend(linked);
        let own =
            || network::hosts::hosts_file(addresses, hostname, &record.config.domainname, &extra);
        if NetworkMode::of(host)? == NetworkMode::Host && extra.is_empty() {
            // The host's own: its loopback is the container's, and so are its names.
            return Ok(fs::read_to_string("/etc/hosts").unwrap_or_else(|_| own()));
        }
        Ok(own())
    }

    /// The container's wishes for its resolver, then the daemon's.
    fn resolver_wishes(&self, host: &HostConfig) -> Overrides {
        let daemon = &self.config().resolver;
        let or =
            |own: &[String], daemon: &[String]| if own.is_empty() { daemon } else { own }.to_vec();
        let servers: Vec<IpAddr> = host.dns.iter().flat_map(|s| s.trim().parse()).collect();
        Overrides {
            servers: if servers.is_empty() {
                daemon.servers.clone()
            } else {
                servers
            },
            search: or(&host.dns_search, &daemon.search),
            options: or(&host.dns_options, &daemon.options),
        }
    }

    /// The resolver's configuration of a container in a network of the user's own, and what its
    /// name server does with questions about others.
    pub(crate) fn named_resolv_conf(&self, record: &Record) -> (String, Settings) {
        // Not what stands behind systemd-resolved: it may ask each server for certain names alone.
        let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        names::conf(&host, &self.resolver_wishes(&record.host_config))
    }

    /// The resolver's configuration: the container's wishes, then the daemon's, then the host's.
    pub(crate) fn resolv_conf(&self, record: &Record) -> Result<String> {
        let host = &record.host_config;
        let wishes = self.resolver_wishes(host);
        if NetworkMode::of(host)? == NetworkMode::Host {
            let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
            // In the host's network its own servers can be reached, loopback or not.
            return Ok(if wishes == Overrides::default() {
                text
            } else {
                network::dns::host_network(&text, &wishes)
            });
        }
        let host = network::dns::host_resolv_conf();
        Ok(network::dns::resolv_conf_with(&host, &wishes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hosts() {
        assert_eq!(
            extra_host("a:::1").unwrap(),
            ("a".to_owned(), Some("::1".parse().unwrap()))
        );
        assert_eq!(extra_host("a:host-gateway").unwrap().1, None);
        for (bad, words) in [
            ("a", "bad format for add-host: \"a\""),
            (":1.2.3.4", "bad format for add-host"),
            ("a:x", "invalid IP address in add-host: \"x\""),
            ("a\n6.6.6.6 b:1.2.3.4", "bad format for add-host"),
        ] {
            let error = extra_host(bad).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
