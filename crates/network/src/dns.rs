//! The `resolv.conf` of containers on the default network.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

/// Used when the host names no server that a container could reach.
const PUBLIC: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)),
];

/// What a container asks for instead of the host's settings; what is empty is the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Name servers.
    pub servers: Vec<IpAddr>,
    /// Search domains; a single `.` means none.
    pub search: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
}

/// The host's `resolv.conf`. Where it names only systemd-resolved's own 127.0.0.53, the servers
/// that one asks are meant. A file that cannot be read is empty.
#[must_use]
pub fn host_resolv_conf() -> String {
    let main = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers: Vec<_> = servers(&main).collect();
    let stub_only = servers.iter().all(|s| *s == Ipv4Addr::new(127, 0, 0, 53));
    if servers.is_empty() || !stub_only {
        return main;
    }
    fs::read_to_string("/run/systemd/resolve/resolv.conf").unwrap_or(main)
}

/// A container's `resolv.conf` from the host's: servers that a container cannot reach are left
/// out (the host's loopback, and IPv6, which the default network does not have), public ones are
/// used if none is left, and all else is kept.
#[must_use]
pub fn resolv_conf(host: &str) -> String {
    resolv_conf_with(host, &Overrides::default())
}

/// [`resolv_conf`] with the container's own wishes.
#[must_use]
pub fn resolv_conf_with(host: &str, own: &Overrides) -> String {
    let mut reachable: Vec<IpAddr> = own.servers.clone();
    if reachable.is_empty() {
        reachable = servers(host)
            .filter(|ip| ip.is_ipv4() && !ip.is_loopback())
            .collect();
    }
    if reachable.is_empty() {
        reachable = PUBLIC.to_vec();
    }
    merged(host, &reachable, own)
}

/// The `resolv.conf` of a container in the host's own network, where every server of the host's can
/// be reached.
#[must_use]
pub fn host_network(host: &str, own: &Overrides) -> String {
    let all: Vec<IpAddr> = if own.servers.is_empty() {
        servers(host).collect()
    } else {
        own.servers.clone()
    };
    merged(host, &all, own)
}

fn merged(host: &str, reachable: &[IpAddr], own: &Overrides) -> String {
    let mut text = String::new();
    for server in reachable {
        text.push_str(&format!("nameserver {server}\n"));
    }
    for line in host.lines() {
        let keep = match line.split_whitespace().next() {
            None | Some("nameserver") => false,
            Some("search" | "domain") => own.search.is_empty(),
            Some("options") => own.options.is_empty(),
            Some(word) => !word.starts_with(['#', ';']),
        };
        if keep {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    if !own.search.is_empty() && own.search != ["."] {
        text.push_str(&format!("search {}\n", own.search.join(" ")));
    }
    if !own.options.is_empty() {
        text.push_str(&format!("options {}\n", own.options.join(" ")));
    }
    text
}

fn servers(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            return None;
        }
        // A link-local server carries its link's name, which means nothing to a container.
        words.next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreachable_servers_are_left_out() {
        let host = "# made by x\nnameserver 127.0.0.53\nnameserver 10.1.1.1\nnameserver ::1\n\
                    nameserver fe80::1%eth0\nsearch a.example b.example\noptions edns0 ndots:2\n";
        assert_eq!(
            resolv_conf(host),
            "nameserver 10.1.1.1\nsearch a.example b.example\noptions edns0 ndots:2\n"
        );
    }

    #[test]
    fn public_servers_if_none_is_left() {
        assert_eq!(resolv_conf(""), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        assert_eq!(
            resolv_conf("nameserver 127.0.0.1\nsearch x"),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch x\n"
        );
    }

    #[test]
    fn the_hosts_network_has_the_hosts_servers() {
        let own = Overrides {
            options: vec!["ndots:5".into()],
            ..Overrides::default()
        };
        assert_eq!(
            host_network("nameserver 127.0.0.53\nsearch x\n", &own),
            "nameserver 127.0.0.53\nsearch x\noptions ndots:5\n"
        );
    }

    #[test]
    fn own_wishes_win() {
        let own = Overrides {
            servers: vec!["127.0.0.1".parse().unwrap()],
            search: vec![".".into()],
            options: vec!["ndots:5".into()],
        };
        assert_eq!(
            resolv_conf_with("nameserver 10.1.1.1\nsearch x\noptions edns0\n", &own),
            "nameserver 127.0.0.1\noptions ndots:5\n"
        );
    }
}
