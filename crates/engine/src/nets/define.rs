//! What a network's record means to the kernel.

use std::{collections::BTreeMap, net::IpAddr};

use network::{AddressSpace, Bridge, Definition, Driver, Gateway, Shared, Subnet};
use types::{id, network::IpamConfig};

use super::NetworkRecord;
use crate::error::{Error, Result};

/// Names of Docker's options.
pub(crate) mod option {
    pub(crate) const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
    pub(crate) const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
    pub(crate) const ICC: &str = "com.docker.network.bridge.enable_icc";
    pub(crate) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
    pub(crate) const HOST_BINDING_IPV4: &str = "com.docker.network.bridge.host_binding_ipv4";
    pub(crate) const GATEWAY_IPV4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
    pub(crate) const GATEWAY_IPV6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
    pub(crate) const INHIBIT_IPV4: &str = "com.docker.network.bridge.inhibit_ipv4";
    pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
    pub(crate) const HOST_IPV4: &str = "com.docker.network.host_ipv4";
    pub(crate) const HOST_IPV6: &str = "com.docker.network.host_ipv6";
    pub(crate) const INTERFACE_PREFIX: &str = "com.docker.network.container_iface_prefix";
    pub(crate) const ENABLE_IPV4: &str = "com.docker.network.enable_ipv4";
    pub(crate) const ENABLE_IPV6: &str = "com.docker.network.enable_ipv6";
    pub(crate) const PARENT: &str = "parent";
    pub(crate) const MACVLAN_MODE: &str = "macvlan_mode";
    pub(crate) const IPVLAN_MODE: &str = "ipvlan_mode";
    pub(crate) const IPVLAN_FLAG: &str = "ipvlan_flag";
}

const BRIDGE_OPTIONS: &[&str] = &[
    option::DEFAULT_BRIDGE,
    option::BRIDGE_NAME,
    option::ICC,
    option::MASQUERADE,
    option::HOST_BINDING_IPV4,
    option::GATEWAY_IPV4,
    option::GATEWAY_IPV6,
    option::INHIBIT_IPV4,
    option::MTU,
    option::HOST_IPV4,
    option::HOST_IPV6,
    option::INTERFACE_PREFIX,
    option::ENABLE_IPV4,
    option::ENABLE_IPV6,
];
const MACVLAN_OPTIONS: &[&str] = &[
    option::PARENT,
    option::MACVLAN_MODE,
    option::MTU,
    option::INTERFACE_PREFIX,
];
const IPVLAN_OPTIONS: &[&str] = &[
    option::PARENT,
    option::IPVLAN_MODE,
    option::IPVLAN_FLAG,
    option::MTU,
    option::INTERFACE_PREFIX,
];

/// Names of auxiliary addresses that are the containers' way out, where the bridge is not, as Docker has
/// them.
pub(super) const ROUTERS: [&str; 2] = ["DefaultGatewayIPv4", "DefaultGatewayIPv6"];

/// The values of a network's options.
pub(super) struct Options<'a>(pub &'a BTreeMap<String, String>);

impl Options<'_> {
    /// Refuses options that the driver does not have.
    pub(super) fn check(&self, driver: &str) -> Result<()> {
        let known = match driver {
            "macvlan" => MACVLAN_OPTIONS,
            "ipvlan" => IPVLAN_OPTIONS,
            "bridge" => BRIDGE_OPTIONS,
            _ => &[],
        };
        match self.0.keys().find(|k| !known.contains(&k.as_str())) {
            None => Ok(()),
            Some(odd) => Err(Error::Invalid(format!(
                "the driver {driver} has no option {odd}; it has: {}",
                known.join(", ")
            ))),
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.text(key).filter(|v| !v.is_empty()) {
            None => Ok(default),
            Some(value) => types::boolean::parse(value)
                .ok_or_else(|| wrong(key, value, "neither true nor false")),
        }
    }

    pub(super) fn address(&self, key: &str, ipv4: bool) -> Result<Option<IpAddr>> {
        let Some(value) = self.text(key).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        let ip: Option<IpAddr> = value.parse().ok();
        let ip = ip.filter(|ip| ip.is_ipv4() == ipv4);
        ip.map(Some)
            .ok_or_else(|| wrong(key, value, "no address of that family"))
    }

    /// Where ports are published that name no address. In spite of its name the option takes addresses
    /// of IPv6, too; then there is nothing in IPv4.
    pub(super) fn host_binding(&self) -> Result<Option<IpAddr>> {
        let key = option::HOST_BINDING_IPV4;
        let Some(value) = self.text(key).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        let ip: IpAddr = value.parse().map_err(|_| wrong(key, value, "no address"))?;
        Ok(Some(ip.to_canonical()))
    }

    fn gateway(&self, key: &str) -> Result<Gateway> {
        Ok(match self.text(key).unwrap_or_default() {
            "" | "nat" => Gateway::Nat,
            "nat-unprotected" => Gateway::NatUnprotected,
            "routed" => Gateway::Routed,
            "isolated" => Gateway::Isolated,
            other => {
                return Err(wrong(
                    key,
                    other,
                    "expected nat, nat-unprotected, routed or isolated",
                ));
            }
        })
    }

    fn mtu(&self) -> Result<Option<u32>> {
        let Some(value) = self.text(option::MTU).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        let mtu: Option<u32> = value.parse().ok();
        let mtu = mtu.filter(|m| *m == 0 || (68..=65535).contains(m));
        let mtu = mtu.ok_or_else(|| wrong(option::MTU, value, "expected 68 to 65535"))?;
        Ok((mtu > 0).then_some(mtu))
    }
}

fn wrong(key: &str, value: &str, why: &str) -> Error {
    Error::Invalid(format!("invalid value for option {key}: {value:?}: {why}"))
}

/// What the kernel is to have; nothing for networks that have no links of their own.
pub(super) fn definition(record: &NetworkRecord) -> Result<Option<Definition>> {
    let options = Options(&record.options);
    if record.config_only {
        return Ok(None);
    }
    let driver = match record.driver.as_str() {
        "bridge" => bridge(record, &options)?,
        "macvlan" => Driver::Shared {
            parent: parent(&options),
            kind: Shared::Macvlan(match options.text(option::MACVLAN_MODE).unwrap_or("") {
                "private" => 1,
                "vepa" => 2,
                "" | "bridge" => 4,
                "passthru" => 8,
                other => {
                    return Err(wrong(
                        option::MACVLAN_MODE,
                        other,
                        "expected bridge, private, vepa or passthru",
                    ));
                }
            }),
        },
        "ipvlan" => Driver::Shared {
            parent: parent(&options),
            kind: ipvlan(&options)?,
        },
        _ => return Ok(None),
    };
    let spaces = record.ipam.config.iter().map(space);
    let spaces = spaces.collect::<Result<Vec<_>>>()?;
    Ok(Some(Definition {
        id: record.id.clone(),
        name: record.name.clone(),
        driver,
        spaces,
        internal: record.internal,
        mtu: options.mtu()?,
    }))
}

fn bridge(record: &NetworkRecord, options: &Options<'_>) -> Result<Driver> {
    let given = options.text(option::BRIDGE_NAME).filter(|n| !n.is_empty());
    let link = match given {
        Some(name) => name.to_owned(),
        None => format!("br-{}", id::short(&record.id)),
    };
    let gateways = [
        options.gateway(option::GATEWAY_IPV4)?,
        options.gateway(option::GATEWAY_IPV6)?,
    ];
    if gateways.contains(&Gateway::Isolated) && !record.internal {
        return Err(Error::Invalid(
            "gateway mode 'isolated' can only be used for an internal network".into(),
        ));
    }
    options.host_binding()?;
    Ok(Driver::Bridge(Bridge {
        keeps_addresses: record.name != super::BRIDGE,
        no_ipv4_address: options.flag(option::INHIBIT_IPV4, false)?,
        icc: options.flag(option::ICC, true)?,
        masquerade: options.flag(option::MASQUERADE, true)?,
        source: [
            options.address(option::HOST_IPV4, true)?,
            options.address(option::HOST_IPV6, false)?,
        ],
        gateways,
        found: record.found.clone(),
        ..Bridge::new(link)
    }))
}

/// Docker takes a parent of this form for one that leads nowhere, too.
fn parent(options: &Options<'_>) -> Option<String> {
    let given = options.text(option::PARENT);
    given.filter(|p| !p.is_empty()).map(str::to_owned)
}

fn ipvlan(options: &Options<'_>) -> Result<Shared> {
    let mode = match options.text(option::IPVLAN_MODE).unwrap_or_default() {
        "" | "l2" => 0,
        "l3" => 1,
        "l3s" => 2,
        other => {
            let why = "expected l2, l3 or l3s";
            return Err(wrong(option::IPVLAN_MODE, other, why));
        }
    };
    let flags = match options.text(option::IPVLAN_FLAG).unwrap_or_default() {
        "" | "bridge" => 0,
        "private" => 1,
        "vepa" => 2,
        other => {
            let why = "expected bridge, private or vepa";
            return Err(wrong(option::IPVLAN_FLAG, other, why));
        }
    };
    Ok(Shared::Ipvlan(mode, flags))
}

/// A subnet with what is said of it.
pub(super) fn space(config: &IpamConfig) -> Result<AddressSpace> {
    let invalid = |what: &str, text: &str, why: &str| {
        Error::Invalid(format!(
            "invalid network config: invalid {what} {text}: {why}"
        ))
    };
    let parse = |what: &str, text: &str| Subnet::parse(text).map_err(|e| invalid(what, text, e));
    let subnet = parse("subnet", &config.subnet)?;
    let inside = |what: &str, text: &str| {
        let ip: IpAddr = text
            .parse()
            .map_err(|_| invalid(what, text, "no IP address"))?;
        if !subnet.contains(ip) {
            return Err(invalid(
                what,
                text,
                &format!("it is not in the subnet {subnet}"),
            ));
        }
        Ok(ip)
    };
    let range = match config.ip_range.as_str() {
        "" => None,
        text => {
            let range = parse("ip-range", text)?;
            if !subnet.contains(range.network()) || !subnet.contains(range.last()) {
                let why = format!("it is not in the subnet {subnet}");
                return Err(invalid("ip-range", text, &why));
            }
            Some(range)
        }
    };
    let gateway = match config.gateway.as_str() {
        "" => None,
        text => Some(inside("gateway", text)?),
    };
    let (mut router, mut reserved) = (None, Vec::new());
    for (name, text) in &config.auxiliary_addresses {
        let ip = inside("auxiliary address", text)?;
        if name == ROUTERS[usize::from(!ip.is_ipv4())] {
            router = Some(ip);
        }
        reserved.push(ip);
    }
    Ok(AddressSpace {
        subnet,
        gateway,
        router,
        range,
        reserved,
    })
}
