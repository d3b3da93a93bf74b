//! The `resolv.conf` of a container with a name server of its own, and whom that one asks. Pure.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use network::dns::{Overrides, host_network};
use resolver::{Origin, SingleLabels, Upstream};

use super::{
    known::Settings,
    sockets::{ADDRESS, PORT},
};

/// From the host's file and the container's wishes. The servers of the host's are asked from the
/// host, as only from there all of them can be reached: those on its loopback, those behind a VPN,
/// IPv6 ones. Those that the user gave are asked from the container, where they may be.
pub(crate) fn conf(host: &str, wishes: &Overrides) -> (String, Settings) {
    let mut options = if wishes.options.is_empty() {
        directives(host, "options")
            .flatten()
            .map(str::to_owned)
            .collect()
    } else {
        wishes.options.clone()
    };
    options.retain(|option| !is_ndots(option) || dots(option).is_some());
    let single_labels = if options.iter().any(|option| is_ndots(option)) {
        SingleLabels::Unknown
    } else {
        // Names without a dot are ours: they are asked for as they are, before any search domain.
        options.push("ndots:0".to_owned());
        SingleLabels::Forward
    };
    let text = host_network(
        host,
        &Overrides {
            servers: vec![ADDRESS.into()],
            search: wishes.search.clone(),
            options,
        },
    );
    let upstreams = if wishes.servers.is_empty() {
        let servers = directives(host, "nameserver").filter_map(|mut words| words.next());
        servers
            .filter_map(server)
            .map(upstream(Origin::Host))
            .collect()
    } else {
        let servers = wishes.servers.iter().map(|ip| (*ip, PORT).into());
        servers.map(upstream(Origin::Container)).collect()
    };
    let settings = Settings {
        upstreams,
        single_labels,
        ..Settings::default()
    };
    (text, settings)
}

fn upstream(origin: Origin) -> impl Fn(SocketAddr) -> Upstream {
    move |address| Upstream { address, origin }
}

fn is_ndots(option: &str) -> bool {
    option == "ndots" || option.starts_with("ndots:")
}

fn dots(option: &str) -> Option<u32> {
    option.strip_prefix("ndots:")?.parse().ok()
}

/// What stands behind a word at the beginning of lines.
fn directives<'a>(
    text: &'a str,
    word: &'a str,
) -> impl Iterator<Item = impl Iterator<Item = &'a str>> {
    text.lines().filter_map(move |line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(word)).then_some(words)
    })
}

/// An address; a link-local one with its link, by name or number.
fn server(text: &str) -> Option<SocketAddr> {
    let Some((ip, link)) = text.split_once('%') else {
        return Some((text.parse::<IpAddr>().ok()?, PORT).into());
    };
    let index = link.parse().ok().or_else(|| {
        let plain = !link.is_empty() && !link.contains('/') && !link.starts_with('.');
        let path = format!("/sys/class/net/{link}/ifindex");
        let read = plain.then(|| std::fs::read_to_string(path).ok()).flatten();
        read?.trim().parse().ok()
    })?;
    Some(SocketAddrV6::new(ip.parse().ok()?, PORT, 0, index).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(host: &str) -> (String, Settings) {
        conf(host, &Overrides::default())
    }

    #[test]
    fn the_hosts_servers_are_asked_from_the_host() {
        let host = "# x\nnameserver 127.0.0.53\nnameserver 2001:db8::1\nnameserver fe80::1%lo\n\
                    nameserver nonsense\nsearch a.example b.example\noptions edns0 trust-ad\n";
        let (text, settings) = plain(host);
        assert_eq!(
            text,
            "nameserver 127.0.0.11\nsearch a.example b.example\noptions edns0 trust-ad ndots:0\n"
        );
        let asked: Vec<_> = settings
            .upstreams
            .iter()
            .map(|u| {
                assert_eq!(u.origin, Origin::Host);
                u.address.to_string()
            })
            .collect();
        assert_eq!(
            asked,
            ["127.0.0.53:53", "[2001:db8::1]:53", "[fe80::1%1]:53"]
        );
        assert_eq!(settings.single_labels, SingleLabels::Forward);
    }

    #[test]
    fn those_given_are_asked_from_the_container() {
        let wishes = Overrides {
            servers: vec!["127.0.0.1".parse().unwrap()],
            search: vec![".".into()],
            options: vec!["timeout:1".into()],
        };
        let (text, settings) = conf("nameserver 10.1.1.1\nsearch x\noptions ndots:9\n", &wishes);
        assert_eq!(text, "nameserver 127.0.0.11\noptions timeout:1 ndots:0\n");
        let only = Upstream {
            address: "127.0.0.1:53".parse().unwrap(),
            origin: Origin::Container,
        };
        assert_eq!(settings.upstreams, [only]);
    }

    #[test]
    fn ndots_of_ones_own() {
        let (text, settings) = plain("options ndots:2\n");
        assert_eq!(text, "nameserver 127.0.0.11\noptions ndots:2\n");
        assert_eq!(settings.single_labels, SingleLabels::Unknown);
        // Nonsense is left out, as by Docker.
        let (text, settings) = plain("options ndots:x rotate\n");
        assert_eq!(text, "nameserver 127.0.0.11\noptions rotate ndots:0\n");
        assert_eq!(settings.single_labels, SingleLabels::Forward);
        assert_eq!(plain("").0, "nameserver 127.0.0.11\noptions ndots:0\n");
    }
}
