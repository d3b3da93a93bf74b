//! The flags that say how a container is in its networks.

use serde_json::{Map, Value, json};
use types::container::NetworkingConfig;

use super::spec::names;
use crate::{
    error::{Error, Result},
    flags::Matches,
};

/// A network that users make, or one that is always there?
fn is_own(name: &str) -> bool {
    !matches!(name, "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

/// The mode, and what is asked of each network.
pub(crate) fn join(m: &Matches) -> Result<(String, NetworkingConfig)> {
    let given = m.all("network");
    if let Some(long) = given.iter().find(|n| n.contains('=')) {
        return Err(Error::msg(format!(
            "invalid network '{long}': the long form of --network is not supported by wharf yet"
        )));
    }
    if given.len() > 1
        && let Some(mode) = given
            .iter()
            .find(|n| !is_own(n) && *n != "bridge" && *n != "default")
    {
        return Err(Error::msg(format!(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes ({mode})"
        )));
    }
    let mode = given.first().map_or("default", String::as_str);
    let mut config = NetworkingConfig::default();
    for name in given.iter().filter(|n| is_own(n)) {
        config.endpoints_config.insert(name.clone(), Map::new());
    }
    let first = endpoint(m, mode)?;
    if !first.is_empty() {
        config.endpoints_config.insert(mode.to_owned(), first);
    }
    Ok((mode.to_owned(), config))
}

/// What the flags ask of the first network.
fn endpoint(m: &Matches, mode: &str) -> Result<Map<String, Value>> {
    let mut all = Map::new();
    let (aliases, local) = (m.all("network-alias"), m.all("link-local-ip"));
    if !aliases.is_empty() {
        if !is_own(mode) {
            return Err(Error::msg(
                "network-scoped aliases are only supported for user-defined networks",
            ));
        }
        all.insert("Aliases".to_owned(), json!(aliases));
    }
    let links = m.all("link");
    if !links.is_empty() && is_own(mode) {
        all.insert("Links".to_owned(), json!(links));
    }
    let mut ipam = Map::new();
    for (flag, member) in [("ip", "IPv4Address"), ("ip6", "IPv6Address")] {
        let address = m.text(flag);
        if !address.is_empty() {
            ipam.insert(member.to_owned(), json!(address));
        }
    }
    if !local.is_empty() {
        ipam.insert("LinkLocalIPs".to_owned(), json!(local));
    }
    if !ipam.is_empty() {
        all.insert("IPAMConfig".to_owned(), Value::Object(ipam));
    }
    let mac = m.text("mac-address");
    if !mac.is_empty() {
        if !names::is_mac(mac.trim()) {
            return Err(Error::msg(format!(
                "{} is not a valid mac address",
                mac.trim()
            )));
        }
        all.insert("MacAddress".to_owned(), json!(mac.trim()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn networks_that_are_always_there() {
        assert!(is_own("mine") && !is_own("host") && !is_own("container:a"));
    }
}
