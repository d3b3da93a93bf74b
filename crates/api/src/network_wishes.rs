//! What can be said against a new network without an engine, in Docker's words. Everything that
//! is wrong with its addresses is said at once, as Docker does.

use std::net::IpAddr;

use axum::http::StatusCode;
use types::network::{Ipam, IpamConfig, NetworkCreate};

use crate::{endpoint_settings, error::Refusal, fields::unsupported};

type Checked = Result<(), Refusal>;

/// Longer names are nobody's wish, and would be in the way of every list.
const NAME_LIMIT: usize = 255;

/// Refuses what cannot become a network.
pub(crate) fn check(wanted: &NetworkCreate) -> Checked {
    let name = wanted.name.as_str();
    if name.trim().is_empty() || name.len() > NAME_LIMIT || name.contains(char::is_control) {
        return Err(Refusal::bad(format!("invalid name: {}", shown(name))));
    }
    if matches!(name, "default" | "bridge" | "host" | "none") {
        return Err(forbidden(format!(
            "operation is not permitted on predefined {name} network "
        )));
    }
    if name.starts_with("container:") {
        // Nothing could ever join it.
        return Err(Refusal::bad(format!("invalid name: {name}")));
    }
    scope(wanted)?;
    configuration(wanted)?;
    if let Some(ipam) = &wanted.ipam {
        addresses(ipam)?;
    }
    Ok(())
}

/// A name that can be read, of one that perhaps cannot.
fn shown(name: &str) -> String {
    if name.len() > NAME_LIMIT {
        format!("{} bytes, at most {NAME_LIMIT} are read", name.len())
    } else {
        name.escape_debug().to_string()
    }
}

fn forbidden(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, message)
}

fn scope(wanted: &NetworkCreate) -> Checked {
    if wanted.ingress {
        return Err(forbidden(
            "Ingress network can only be global scope network",
        ));
    }
    match wanted.scope.as_str() {
        "" | "local" => Ok(()),
        "swarm" | "global" => Err(unsupported(&format!("the scope {}", wanted.scope)).into()),
        other => Err(Refusal::bad(format!("invalid scope: {other:?}"))),
    }
}

/// Networks that only hold a configuration, and those that take one.
fn configuration(wanted: &NetworkCreate) -> Checked {
    let from = wanted.config_from.as_ref().map(|f| f.network.as_str());
    let from = from.unwrap_or_default();
    if wanted.config_only {
        if wanted.internal || wanted.attachable || !wanted.scope.is_empty() {
            return Err(forbidden(
                "configuration network can only contain network specific fields. Network operator \
                 fields like [ ingress | internal | attachable | scope ] are not supported.",
            ));
        }
        if !from.is_empty() {
            return Err(forbidden(
                "a configuration network cannot depend on another configuration network",
            ));
        }
    }
    if from.is_empty() {
        return Ok(());
    }
    let ipam = wanted.ipam.as_ref();
    let own = ipam.is_some_and(|i| {
        !matches!(i.driver.as_str(), "" | "default")
            || i.options.as_ref().is_some_and(|o| !o.is_empty())
            || !i.config.is_empty()
    });
    if own || wanted.enable_ipv6 == Some(true) || !wanted.labels.is_empty() {
        return Err(forbidden(
            "user specified configurations are not supported if the network depends on a \
             configuration network",
        ));
    }
    if !wanted.options.is_empty() {
        return Err(forbidden(
            "network driver options are not supported if the network depends on a configuration \
             network",
        ));
    }
    Ok(())
}

/// An address and how much of it is the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    address: IpAddr,
    bits: u8,
}

impl Prefix {
    /// As Go's `netip.ParsePrefix`: no zone, no sign, no leading zeros.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.rsplit_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let plain = bits == "0" || !bits.starts_with(['0', '+']);
        let bits: u8 = bits.parse().ok().filter(|_| plain)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { address, bits })
    }

    fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((u32::from(a) & mask).into())
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                IpAddr::V6((u128::from(a) & mask).into())
            }
        };
        Self { address, ..self }
    }

    fn contains(self, address: IpAddr) -> bool {
        let same = Self {
            address,
            bits: self.bits,
        };
        address.is_ipv4() == self.address.is_ipv4() && same.masked() == self.masked()
    }

    fn family(self) -> &'static str {
        if self.address.is_ipv4() {
            "IPv4"
        } else {
            "IPv6"
        }
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn addresses(ipam: &Ipam) -> Checked {
    let mut wrong = Vec::new();
    for config in &ipam.config {
        subnet(config, &mut wrong);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "invalid network config:\n{}",
        endpoint_settings::join(&wrong)
    )))
}

fn subnet(config: &IpamConfig, wrong: &mut Vec<String>) {
    let Some(subnet) = Prefix::parse(&config.subnet) else {
        wrong.push(format!(
            "invalid subnet {}: invalid CIDR block notation",
            config.subnet
        ));
        return;
    };
    if subnet != subnet.masked() {
        wrong.push(format!(
            "invalid subnet {subnet}: it should be {}",
            subnet.masked()
        ));
    }
    range(&config.ip_range, subnet, wrong);
    if let Err(what) = within(&config.gateway, subnet) {
        wrong.push(format!("invalid gateway {}: {what}", config.gateway));
    }
    for (name, address) in &config.auxiliary_addresses {
        if let Err(what) = within(address, subnet) {
            wrong.push(format!("invalid auxiliary address {name}: {what}"));
        }
    }
}

fn range(text: &str, subnet: Prefix, wrong: &mut Vec<String>) {
    if text.is_empty() {
        return;
    }
    let mut say = |what: String| wrong.push(format!("invalid ip-range {text}: {what}"));
    let Some(range) = Prefix::parse(text) else {
        return say("invalid CIDR block notation".to_owned());
    };
    if range.family() != subnet.family() {
        return say(format!("parent subnet is an {} block", subnet.family()));
    }
    if range.bits < subnet.bits {
        say(format!(
            "CIDR block is bigger than its parent subnet {subnet}"
        ));
    }
    if range != range.masked() {
        say(format!("it should be {}", range.masked()));
    }
    if !subnet.contains(range.address) && !range.contains(subnet.address) {
        say(format!("parent subnet {subnet} doesn't contain ip-range"));
    }
}

fn within(text: &str, subnet: Prefix) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let address: IpAddr = text.parse().map_err(|_| "invalid address".to_owned())?;
    if address.is_ipv4() != subnet.address.is_ipv4() {
        return Err(format!("parent subnet is an {} block", subnet.family()));
    }
    if !subnet.contains(address) {
        return Err(format!(
            "parent subnet {subnet} doesn't contain this address"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn judged(mut body: Value) -> (u16, String) {
        if body.get("Name").is_none() {
            body["Name"] = json!("mine");
        }
        let wanted = serde_json::from_value(body).unwrap();
        check(&wanted).map_or_else(
            |refusal| (refusal.status.as_u16(), refusal.message),
            |()| (0, String::new()),
        )
    }

    #[test]
    fn everything_wrong_with_addresses_is_said_at_once() {
        let body = json!({"IPAM": {"Config": [
            {"Subnet": "10.0.0.1/24", "IPRange": "10.1.0.1/16", "Gateway": "10.9.0.1",
                "AuxiliaryAddresses": {"a": "10.0.0.9", "b": "fd00::1", "c": "x"}},
            {"Subnet": "10.0.0.0/33"}, {"Subnet": ""}, {"Subnet": "fd00::/64",
                "IPRange": "10.0.0.0/8"}, {"Subnet": "10.3.0.0/24", "IPRange": "y"}]}});
        assert_eq!(
            judged(body),
            (
                400,
                "invalid network config:\n\
                 * invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24\n\
                 * invalid ip-range 10.1.0.1/16: CIDR block is bigger than its parent subnet 10.0.0.1/24\n\
                 * invalid ip-range 10.1.0.1/16: it should be 10.1.0.0/16\n\
                 * invalid ip-range 10.1.0.1/16: parent subnet 10.0.0.1/24 doesn't contain ip-range\n\
                 * invalid gateway 10.9.0.1: parent subnet 10.0.0.1/24 doesn't contain this address\n\
                 * invalid auxiliary address b: parent subnet is an IPv4 block\n\
                 * invalid auxiliary address c: invalid address\n\
                 * invalid subnet 10.0.0.0/33: invalid CIDR block notation\n\
                 * invalid subnet : invalid CIDR block notation\n\
                 * invalid ip-range 10.0.0.0/8: parent subnet is an IPv6 block\n\
                 * invalid ip-range y: invalid CIDR block notation"
                    .to_owned()
            )
        );
        let one = json!({"IPAM": {"Config": [{"Subnet": "10.0.0.0/08"}]}});
        assert_eq!(
            judged(one).1,
            "invalid network config:\ninvalid subnet 10.0.0.0/08: invalid CIDR block notation"
        );
    }

    #[test]
    fn names_scopes_and_configurations() {
        for (body, status, wanted) in [
            (json!({"Name": " "}), 400, "invalid name:  "),
            (json!({"Name": "a\nb"}), 400, "invalid name: a\\nb"),
            (
                json!({"Name": "x".repeat(300)}),
                400,
                "invalid name: 300 bytes",
            ),
            (
                json!({"Name": "bridge"}),
                403,
                "operation is not permitted on predefined bridge network ",
            ),
            (
                json!({"Name": "container:a"}),
                400,
                "invalid name: container:a",
            ),
            (
                json!({"Ingress": true}),
                403,
                "Ingress network can only be global",
            ),
            (
                json!({"Scope": "swarm"}),
                400,
                "the scope swarm is not supported",
            ),
            (json!({"Scope": "x"}), 400, "invalid scope: \"x\""),
            (
                json!({"ConfigOnly": true, "Internal": true}),
                403,
                "configuration network can only contain network specific fields.",
            ),
            (
                json!({"ConfigOnly": true, "ConfigFrom": {"Network": "a"}}),
                403,
                "a configuration network cannot depend on another configuration network",
            ),
            (
                json!({"ConfigFrom": {"Network": "a"}, "Labels": {"a": "b"}}),
                403,
                "user specified configurations are not supported",
            ),
            (
                json!({"ConfigFrom": {"Network": "a"}, "Options": {"a": "b"}}),
                403,
                "network driver options are not supported",
            ),
        ] {
            let (got, message) = judged(body);
            assert!(message.starts_with(wanted), "{message}");
            assert_eq!(got, status, "{message}");
        }
    }

    #[test]
    fn what_is_right_passes() {
        for body in [
            json!({}),
            json!({"Name": "a b/c ü", "Driver": "macvlan", "Scope": "local"}),
            json!({"ConfigOnly": true, "Options": {"parent": "eth0"}, "Labels": {"a": "b"}}),
            json!({"ConfigFrom": {"Network": "a"}, "Internal": true,
                "IPAM": {"Driver": "default", "Config": []}}),
            json!({"IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.128/25",
                "Gateway": "10.0.0.254", "AuxiliaryAddresses": {"a": "10.0.0.2"}},
                {"Subnet": "fd00::/64", "Gateway": "fd00::1"}]}}),
        ] {
            assert_eq!(judged(body), (0, String::new()));
        }
    }
}
