//! `--link`: other containers of the default network by name, in the hosts file and the environment.

use std::net::Ipv4Addr;

use network::Proto;
use serde::{Deserialize, Serialize};
use types::container::HostConfig;

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    network_mode::NetworkMode,
    ports,
    record::Record,
    sync::lock,
};

/// A link as it is kept: by identifier, because names move on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkTo {
    pub id: String,
    pub alias: String,
    /// What it was called when it was last looked at: it may be gone. None for containers of an earlier wharf.
    #[serde(default)]
    pub name: String,
}

/// A linked container that runs.
pub(crate) struct Linked {
    /// `/ours/alias`.
    name: String,
    /// All that it is called, alias first.
    pub names: String,
    pub ip: Ipv4Addr,
    env: Vec<String>,
    ports: Vec<(u16, Proto)>,
}

/// `name[:alias]`, or `/name:/ours/alias` as `inspect` shows it.
pub(crate) fn parse(text: &str) -> Result<(String, String)> {
    if text.is_empty() {
        return Err(Error::Invalid("invalid string specified for links".into()));
    }
    let parts: Vec<&str> = text.split(':').collect();
    let (name, alias) = match parts[..] {
        [name] => (name, name),
        [name, alias] => (name, alias),
        _ => return Err(Error::Invalid(format!("bad format for links: {text}"))),
    };
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    let name = name.strip_prefix('/').unwrap_or(name);
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '=' || c == '#';
    if name.is_empty() || alias.is_empty() || alias.contains(odd) {
        return Err(Error::Invalid(format!("bad format for links: {text}")));
    }
    Ok((name.to_owned(), alias.to_owned()))
}

impl Engine {
    /// Finds what a new container links to.
    pub(crate) fn links(&self, host: &HostConfig) -> Result<Vec<LinkTo>> {
        if host.links.as_ref().is_some_and(|l| !l.is_empty()) && !self.default_icc() {
            return Err(Error::Invalid(
                "links are not supported by wharf where containers are kept apart (--icc=false)"
                    .into(),
            ));
        }
        let mut all: Vec<LinkTo> = Vec::new();
        let given = host.links.iter().flatten();
        for text in given {
            let (name, alias) = parse(text)?;
            // Not as an absent object: clients would take it for the image, and pull.
            let find = |name: &str| {
                self.find(name)
                    .map_err(|e| Error::Invalid(format!("could not get container for {name}: {e}")))
            };
            let mut other = find(&name)?;
            // The one whose network it is in.
            let mut left = 64;
            while let NetworkMode::Container(next) =
                NetworkMode::of(&other.with_record(|r| r.host_config.clone()))?
            {
                left -= 1;
                if left == 0 {
                    return Err(Error::Invalid(format!(
                        "could not get container for {name}"
                    )));
                }
                other = find(&next)?;
            }
            if NetworkMode::of(&other.with_record(|r| r.host_config.clone()))? == NetworkMode::Host
            {
                return Err(Error::Invalid(
                    "conflicting options: host type networking can't be used with links. This \
                     would result in undefined behavior"
                        .into(),
                ));
            }
            all.retain(|l| l.alias != alias);
            all.push(LinkTo {
                id: other.id.clone(),
                alias,
                name: other.name(),
            });
        }
        Ok(all)
    }

    /// The containers that one which starts is linked to. All of them must run.
    pub(crate) fn linked(&self, record: &Record) -> Result<Vec<Linked>> {
        let mut all = Vec::new();
        if NetworkMode::of(&record.host_config)? != NetworkMode::Bridge {
            return Ok(all);
        }
        for link in &record.links {
            let name = format!("/{}/{}", record.name, link.alias);
            let other = self.find(&link.id).ok();
            // One that is gone does not run either, as in Docker.
            let Some(other) = other.filter(|o| o.state().is_running()) else {
                return Err(Error::Start {
                    code: 128,
                    message: format!(
                        "Cannot link to a non running container: /{} AS {name}",
                        self.name_of(link)
                    ),
                });
            };
            let Some(ip) = self.default_address(&other) else {
                return Err(Error::Invalid(format!(
                    "Cannot link to /{}, as it does not belong to the default network",
                    other.name()
                )));
            };
            all.push(linked(&other, link, name, ip));
        }
        Ok(all)
    }

    /// A container's address in the default network.
    fn default_address(&self, container: &Container) -> Option<Ipv4Addr> {
        let network = self.default_network().ok()?;
        lock(&container.place).endpoints.get(&network.id)?.ip
    }

    /// The links as `inspect` shows them, `/name:/ours/alias`.
    pub(crate) fn shown_links(&self, record: &Record) -> Vec<String> {
        let shown = |link: &LinkTo| {
            let other = self.name_of(link);
            format!("/{other}:/{}/{}", record.name, link.alias)
        };
        record.links.iter().map(shown).collect()
    }

    /// What the other end of a link is called, or was when it went.
    fn name_of(&self, link: &LinkTo) -> String {
        match self.find(&link.id) {
            Ok(other) => other.name(),
            Err(_) if link.name.is_empty() => link.id.clone(),
            Err(_) => link.name.clone(),
        }
    }

    /// Tells those who are linked to `container` its address, which a start may have changed.
    pub(crate) fn tell_linked(&self, container: &Container) {
        let Some(ip) = self.default_address(container) else {
            return;
        };
        for parent in lock(&self.containers).all() {
            let ours = |r: &Record| {
                let ours = r.links.iter().filter(|l| l.id == container.id);
                ours.cloned().collect::<Vec<_>>()
            };
            for link in &parent.with_record(ours) {
                if !parent.state().is_running() {
                    continue;
                }
                let names = names(container, link);
                let path = parent.data_dir.join("hosts");
                let written = std::fs::read_to_string(&path)
                    .and_then(|text| std::fs::write(&path, readdress(&text, &names, ip)));
                if let Err(error) = written {
                    tracing::warn!(container = %parent.id, %error, "the hosts file stays");
                }
            }
        }
    }
}

/// Alias, host name, and name where that is another.
fn names(other: &Container, link: &LinkTo) -> String {
    other.with_record(|r| {
        let mut names = format!("{} {}", link.alias, r.hostname());
        if link.alias != r.name {
            names = format!("{names} {}", r.name);
        }
        names
    })
}

fn linked(other: &Container, link: &LinkTo, name: String, ip: Ipv4Addr) -> Linked {
    let (env, ports) = other.with_record(|r| {
        let ports = r.config.exposed_ports.keys();
        let ports = ports.filter_map(|p| ports::parse(p).ok()).collect();
        (r.config.env.clone(), ports)
    });
    Linked {
        name,
        names: names(other, link),
        ip,
        env,
        ports,
    }
}

/// Takes the names of a link that is no more from the hosts file of a container that runs.
pub(crate) fn forget(parent: &Container, other: &Container, link: &LinkTo) {
    let (names, path) = (names(other, link), parent.data_dir.join("hosts"));
    let without = |text: String| -> String {
        let lines = text.split_inclusive('\n');
        let kept = lines.filter(|l| {
            l.trim_end()
                .split_once('\t')
                .is_none_or(|(_, n)| n != names)
        });
        kept.collect()
    };
    // In place: it is mounted where the container has it.
    let written =
        std::fs::read_to_string(&path).and_then(|text| std::fs::write(&path, without(text)));
    if let Err(error) = written {
        tracing::warn!(container = %parent.id, %error, "the hosts file stays");
    }
}

/// Gives the line with these names another address; adds one where there is none.
fn readdress(text: &str, names: &str, ip: Ipv4Addr) -> String {
    let mut out = String::new();
    let mut found = false;
    for line in text.lines() {
        if line.split_once('\t').is_some_and(|(_, n)| n == names) {
            found = true;
            out.push_str(&format!("{ip}\t{names}\n"));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    if !found {
        out.push_str(&format!("{ip}\t{names}\n"));
    }
    out
}

impl Linked {
    /// What the environment says of it, in Docker's form.
    pub(crate) fn environment(&self) -> Vec<String> {
        let alias = self.name.rsplit('/').next().unwrap_or_default();
        let alias = alias.replace('-', "_").to_uppercase();
        let (mut ports, ip) = (self.ports.clone(), self.ip);
        ports.sort_by_key(|(port, proto)| (*proto, *port));
        let mut env = Vec::new();
        if let Some((port, proto)) = ports.first() {
            env.push(format!("{alias}_PORT={proto}://{ip}:{port}"));
        }
        let mut rest = ports.as_slice();
        while let Some(&(first, proto)) = rest.first() {
            let run = (first..).zip(rest).take_while(|(n, p)| **p == (*n, proto));
            let length = run.count().max(1);
            let last = rest[length - 1].0;
            rest = &rest[length..];
            if length < 2 {
                continue;
            }
            let key = format!("{alias}_PORT_{first}_{}", proto.to_string().to_uppercase());
            env.extend([
                format!("{key}_START={proto}://{ip}:{first}"),
                format!("{key}_ADDR={ip}"),
                format!("{key}_PROTO={proto}"),
                format!("{key}_PORT_START={first}"),
                format!("{key}_END={proto}://{ip}:{last}"),
                format!("{key}_PORT_END={last}"),
            ]);
        }
        for (port, proto) in &ports {
            let key = format!("{alias}_PORT_{port}_{}", proto.to_string().to_uppercase());
            env.extend([
                format!("{key}={proto}://{ip}:{port}"),
                format!("{key}_ADDR={ip}"),
                format!("{key}_PORT={port}"),
                format!("{key}_PROTO={proto}"),
            ]);
        }
        env.push(format!("{alias}_NAME={}", self.name));
        for pair in &self.env {
            if let Some((key, value)) = pair.split_once('=')
                && !matches!(key, "HOME" | "PATH")
            {
                env.push(format!("{alias}_ENV_{key}={value}"));
            }
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_links() {
        let of = |text| parse(text).ok();
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(of("db"), pair("db", "db"));
        assert_eq!(of("db:x"), pair("db", "x"));
        assert_eq!(of("/db:/web/x"), pair("db", "x"));
        for bad in ["", ":", "a:b:c", "a:", "a:b\nc"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_environment_is_dockers() {
        let linked = Linked {
            name: "/web/my-db".into(),
            names: String::new(),
            ip: Ipv4Addr::new(10, 0, 0, 9),
            env: vec!["PATH=/bin".into(), "A=b=c".into(), "X".into()],
            ports: vec![(53, Proto::Udp), (81, Proto::Tcp), (80, Proto::Tcp)],
        };
        assert_eq!(
            linked.environment(),
            [
                "MY_DB_PORT=tcp://10.0.0.9:80",
                "MY_DB_PORT_80_TCP_START=tcp://10.0.0.9:80",
                "MY_DB_PORT_80_TCP_ADDR=10.0.0.9",
                "MY_DB_PORT_80_TCP_PROTO=tcp",
                "MY_DB_PORT_80_TCP_PORT_START=80",
                "MY_DB_PORT_80_TCP_END=tcp://10.0.0.9:81",
                "MY_DB_PORT_80_TCP_PORT_END=81",
                "MY_DB_PORT_80_TCP=tcp://10.0.0.9:80",
                "MY_DB_PORT_80_TCP_ADDR=10.0.0.9",
                "MY_DB_PORT_80_TCP_PORT=80",
                "MY_DB_PORT_80_TCP_PROTO=tcp",
                "MY_DB_PORT_81_TCP=tcp://10.0.0.9:81",
                "MY_DB_PORT_81_TCP_ADDR=10.0.0.9",
                "MY_DB_PORT_81_TCP_PORT=81",
                "MY_DB_PORT_81_TCP_PROTO=tcp",
                "MY_DB_PORT_53_UDP=udp://10.0.0.9:53",
                "MY_DB_PORT_53_UDP_ADDR=10.0.0.9",
                "MY_DB_PORT_53_UDP_PORT=53",
                "MY_DB_PORT_53_UDP_PROTO=udp",
                "MY_DB_NAME=/web/my-db",
                "MY_DB_ENV_A=b=c",
            ]
        );
    }

    #[test]
    fn a_new_address_takes_the_olds_place() {
        let text = "127.0.0.1\tlocalhost\n10.0.0.2\tdb c0ffee\n# mine\n";
        let ip = Ipv4Addr::new(10, 0, 0, 3);
        assert_eq!(
            readdress(text, "db c0ffee", ip),
            "127.0.0.1\tlocalhost\n10.0.0.3\tdb c0ffee\n# mine\n"
        );
        assert!(readdress(text, "other", ip).ends_with("# mine\n10.0.0.3\tother\n"));
    }
}
