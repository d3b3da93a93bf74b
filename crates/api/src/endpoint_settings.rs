//! What a container asks of a network: what of it can be judged without knowing the network, in
//! Docker's words. Everything that is wrong is said at once, as Docker does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{
    Failure,
    container::{CreateRequest, EndpointIpam, EndpointSettings},
};

use crate::{backend::Result, fields::unsupported};

/// Options of a container's end that wharf has: the link's name in the container, and settings of
/// the kernel for that link.
const DRIVER_OPTS: &[&str] = &["com.docker.network.endpoint.ifname", SYSCTLS];
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Drops what only answers have: clients send back what `inspect` gave them.
pub(crate) fn clean(settings: &mut EndpointSettings) {
    *settings = EndpointSettings {
        ipam_config: settings.ipam_config.take(),
        links: settings.links.take(),
        aliases: settings.aliases.take(),
        mac_address: std::mem::take(&mut settings.mac_address),
        driver_opts: settings.driver_opts.take(),
        gw_priority: settings.gw_priority,
        ..EndpointSettings::default()
    };
    // docker's CLI makes what is written small letters.
    let options = settings.driver_opts.as_mut();
    if let Some(all) = options.and_then(|o| o.get_mut(SYSCTLS)) {
        let one = |text: &str| match text.splitn(5, '.').collect::<Vec<_>>()[..] {
            [net, family, kind, "ifname", rest] => {
                format!("{net}.{family}.{kind}.IFNAME.{rest}")
            }
            _ => text.to_owned(),
        };
        *all = all.split(',').map(one).collect::<Vec<_>>().join(",");
    }
}

/// Whether users make networks of this name, or it is one of those that are always there.
pub(crate) fn is_own(name: &str) -> bool {
    !matches!(name, "" | "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

/// Refuses what cannot be asked of the network `name`.
pub(crate) fn check(name: &str, settings: &EndpointSettings) -> Result<()> {
    let wrong = complaints(name, settings);
    if !wrong.is_empty() {
        return Err(Failure::invalid(format!(
            "invalid endpoint settings:\n{}",
            join(&wrong)
        )));
    }
    supported(name, settings)
}

fn complaints(name: &str, settings: &EndpointSettings) -> Vec<String> {
    let mut wrong = Vec::new();
    let ipam = settings.ipam_config.clone().unwrap_or_default();
    if !is_own(name) {
        if !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty() {
            wrong.push(
                "user specified IP address is supported on user defined networks only".to_owned(),
            );
        }
        if settings.aliases.as_ref().is_some_and(|a| !a.is_empty()) {
            wrong.push(
                "network-scoped alias is supported only for containers in user defined networks"
                    .to_owned(),
            );
        }
    }
    addresses(&ipam, &mut wrong);
    let mac = &settings.mac_address;
    if !mac.is_empty() && !is_mac(mac) {
        wrong.push(format!("invalid MAC address {mac}"));
    }
    for link in settings.links.iter().flatten() {
        if link.is_empty() || link.matches(':').count() > 1 {
            wrong.push(format!("bad format for links: {link}"));
        }
    }
    for alias in settings.aliases.iter().flatten() {
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if alias.is_empty() || alias.len() > 253 || alias.contains(odd) {
            wrong.push(format!("invalid network-scoped alias: {alias:?}"));
        }
    }
    wrong.extend(sysctls(settings));
    wrong
}

fn addresses(ipam: &EndpointIpam, wrong: &mut Vec<String>) {
    let v4 = &ipam.ipv4_address;
    let good = |a: &Ipv4Addr| !a.is_unspecified();
    if !v4.is_empty() && !v4.parse().as_ref().is_ok_and(good) {
        wrong.push(format!("invalid IPv4 address: {v4}"));
    }
    let v6 = &ipam.ipv6_address;
    let good = |a: &Ipv6Addr| !a.is_unspecified() && a.to_ipv4_mapped().is_none();
    if !v6.is_empty() && !v6.parse().as_ref().is_ok_and(good) {
        wrong.push(format!("invalid IPv6 address: {v6}"));
    }
    for local in &ipam.link_local_ips {
        let good = |a: &IpAddr| !a.is_unspecified();
        if !local.parse().as_ref().is_ok_and(good) {
            wrong.push(format!("invalid link-local IP address: {local}"));
        }
    }
}

/// `net.ipv4.conf.IFNAME.forwarding=1,…`.
fn sysctls(settings: &EndpointSettings) -> Vec<String> {
    let given = settings.driver_opts.as_ref().and_then(|o| o.get(SYSCTLS));
    let fits = |one: &&str| {
        let parts: Vec<&str> = one.splitn(5, '.').collect();
        matches!(
            parts[..],
            ["net", "ipv4" | "ipv6" | "mpls", _, "IFNAME" | "ifname", _]
        ) && one.contains('=')
            && !one.contains(['/', '\0'])
            && !one.contains("..")
    };
    let all = given.into_iter().flat_map(|all| all.split(','));
    all.filter(|one| !fits(one))
        .map(|one| {
            format!(
                "unrecognised network interface sysctl '{one}'; represent 'net.X.Y.ethN.Z=V' as \
                 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
        })
        .collect()
}

/// What is right and not there yet is refused by name.
fn supported(name: &str, settings: &EndpointSettings) -> Result<()> {
    let mut options = settings.driver_opts.iter().flat_map(|o| o.keys());
    if let Some(option) = options.find(|o| !DRIVER_OPTS.contains(&o.as_str())) {
        return Err(unsupported(&format!(
            "the driver option {option} of an endpoint"
        )));
    }
    let ipam = settings.ipam_config.as_ref();
    let member = match name {
        _ if is_own(name) => return Ok(()),
        _ if ipam.is_some_and(|i| !i.link_local_ips.is_empty()) => "IPAMConfig.LinkLocalIPs",
        "" | "default" | "bridge" => return Ok(()),
        _ if settings.driver_opts.as_ref().is_some_and(|o| !o.is_empty()) => "DriverOpts",
        _ if settings.gw_priority != 0 => "GwPriority",
        _ if !settings.mac_address.is_empty() => "MacAddress",
        _ => return Ok(()),
    };
    Err(unsupported(&format!("{member} in the network {name}")))
}

/// The networks of a new container: each as it may be, and all of them together.
pub(crate) fn all(request: &CreateRequest) -> Result<()> {
    let endpoints = &request.networking_config.endpoints_config;
    let mut wrong = Vec::new();
    for (name, settings) in endpoints {
        let found = complaints(name, settings);
        if !found.is_empty() {
            wrong.push(format!(
                "invalid config for network {name}: invalid endpoint settings:\n{}",
                join(&found)
            ));
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::invalid(join(&wrong)));
    }
    let mode = request.host_config.network_mode.as_str();
    let canonical = |name: &str| match name {
        "" | "default" | "bridge" => "bridge".to_owned(),
        other => other.to_owned(),
    };
    for (name, settings) in endpoints {
        supported(name, settings)?;
        let links = settings.links.as_ref().filter(|l| !l.is_empty());
        // docker's CLI says links twice; those of the default bridge are the container's.
        if !is_own(name) && links.is_some() && links != request.host_config.links.as_ref() {
            return Err(unsupported(&format!("Links in the network {name}")));
        }
        if canonical(name) == canonical(mode) {
            continue;
        }
        let either = |what: fn(&str) -> bool| what(name) || what(mode);
        if either(|n| n.starts_with("container:") || n == "host") {
            return Err(Failure::invalid(
                "container sharing network namespace with another container or host cannot be \
                 connected to any other network",
            ));
        }
        if either(|n| n == "none") {
            return Err(Failure::invalid(
                "container cannot be connected to multiple networks with one of the networks in \
                 private (none) mode",
            ));
        }
    }
    Ok(())
}

/// Several errors as one, as Docker shows them.
pub(crate) fn join(wrong: &[String]) -> String {
    match wrong {
        [one] => one.trim().to_owned(),
        many => {
            let items = many.iter().map(|w| w.replace('\n', "\n\t"));
            let items: Vec<String> = items.collect();
            format!("* {}", items.join("\n* "))
        }
    }
}

/// Six bytes in hexadecimal.
fn is_mac(text: &str) -> bool {
    let hex = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6 && parts.into_iter().all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn judged(network: &str, settings: Value) -> String {
        let settings = serde_json::from_value(settings).unwrap();
        check(network, &settings).map_or_else(|e| e.message, |()| String::new())
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        assert_eq!(
            judged(
                "mine",
                json!({"IPAMConfig": {"IPv4Address": "::1", "IPv6Address": "::ffff:1.2.3.4",
                    "LinkLocalIPs": ["x"]}, "MacAddress": "zz", "Links": ["a:b:c"],
                    "DriverOpts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.eth0.a=1"}})
            ),
            "invalid endpoint settings:\n* invalid IPv4 address: ::1\n\
             * invalid IPv6 address: ::ffff:1.2.3.4\n* invalid link-local IP address: x\n\
             * invalid MAC address zz\n* bad format for links: a:b:c\n\
             * unrecognised network interface sysctl 'net.ipv4.conf.eth0.a=1'; represent \
             'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
        );
        for (network, settings, wanted) in [
            (
                "mine",
                json!({"IPAMConfig": {"IPv4Address": "0.0.0.0"}}),
                "invalid endpoint settings:\ninvalid IPv4 address: 0.0.0.0",
            ),
            (
                "bridge",
                json!({"Aliases": ["a"]}),
                "invalid endpoint settings:\nnetwork-scoped alias is supported only for containers",
            ),
            (
                "mine",
                json!({"DriverOpts": {"a": "b"}}),
                "the driver option a of an endpoint is not supported by wharf yet: leave it out",
            ),
            (
                "host",
                json!({"GwPriority": 1}),
                "GwPriority in the network host is not supported",
            ),
            (
                "mine",
                json!({"DriverOpts": {"com.docker.network.endpoint.sysctls":
                    "net.ipv4.conf.IFNAME.../../x=1"}}),
                "invalid endpoint settings:\nunrecognised network interface sysctl",
            ),
            (
                "mine",
                json!({"Aliases": ["a b"]}),
                "invalid endpoint settings:\n",
            ),
        ] {
            let message = judged(network, settings);
            assert!(message.starts_with(wanted), "{message}");
        }
    }

    #[test]
    fn what_is_right_passes() {
        for settings in [
            json!({}),
            json!({"IPAMConfig": {"IPv4Address": "10.0.0.2", "IPv6Address": "fd00::2",
                "LinkLocalIPs": ["169.254.1.1", "fe80::1"]}, "Aliases": ["a", "b.c"],
                "Links": ["a", "a:b"], "MacAddress": "02:42:00:00:00:01", "GwPriority": -1,
                "DriverOpts": {"com.docker.network.endpoint.ifname": "lan0",
                "com.docker.network.endpoint.sysctls":
                    "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=2"}}),
        ] {
            assert_eq!(judged("mine", settings), "");
        }
    }

    #[test]
    fn answers_that_come_back_are_not_taken_for_wishes() {
        let mut settings = EndpointSettings {
            gateway: "10.0.0.1".to_owned(),
            ip_prefix_len: 24,
            gw_priority: 3,
            mac_address: "02:42:00:00:00:01".to_owned(),
            driver_opts: Some(
                [(SYSCTLS.to_owned(), "net.ipv4.conf.ifname.a=1,b".to_owned())].into(),
            ),
            ..EndpointSettings::default()
        };
        clean(&mut settings);
        let kept = settings.driver_opts.as_ref().unwrap();
        assert_eq!(kept[SYSCTLS], "net.ipv4.conf.IFNAME.a=1,b");
        assert_eq!((settings.gateway.as_str(), settings.ip_prefix_len), ("", 0));
        assert_eq!((settings.gw_priority, settings.mac_address.len()), (3, 17));
    }
}
