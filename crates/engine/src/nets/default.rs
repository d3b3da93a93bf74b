//! The default network, as the daemon's settings have it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use network::{DefaultSubnet, Fabric, Subnet};
use types::network::IpamConfig;

use super::{BRIDGE, NetworkRecord, create, define, option};
use crate::{Engine, error::Result};

/// What the daemon says of its default network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultBridge {
    /// The bridge's link.
    pub link: String,
    /// What is said of its IPv4 addresses.
    pub ipv4: DefaultAddresses,
    /// What is said of its IPv6 addresses, if it has any.
    pub ipv6: Option<DefaultAddresses>,
    /// Whether containers reach each other other than by published ports.
    pub icc: bool,
    /// Whether what leaves gets an address of the host's.
    pub masquerade: bool,
    /// Where ports are published that name no address.
    pub binding: Option<IpAddr>,
    /// The largest packet; the kernel's default if `None`.
    pub mtu: Option<u32>,
    /// What a local subnet of IPv6 follows from.
    pub seed: u64,
}

/// Addresses of one family of the default network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultAddresses {
    /// The bridge's address and prefix; see [`network::Fabric::default_subnet`].
    pub bip: Option<String>,
    /// The part for containers.
    pub range: Option<String>,
    /// The way out, where it is not the bridge.
    pub gateway: Option<IpAddr>,
}

/// Whether options can be those of all new networks of a driver.
///
/// # Errors
/// What is wrong with them.
pub fn check_network_options(driver: &str, options: &BTreeMap<String, String>) -> Result<()> {
    create::check_driver(driver, false)?;
    define::Options(options).check(driver)?;
    let record = NetworkRecord {
        id: "0".repeat(64),
        driver: driver.to_owned(),
        // Where every mode of a gateway is allowed.
        internal: true,
        options: options.clone(),
        ..NetworkRecord::default()
    };
    define::definition(&record).map(drop)
}

/// The default network, with the subnets that it has or gets.
pub(crate) fn record(
    fabric: &Fabric,
    default: &DefaultBridge,
    others: &[Subnet],
    opened: &str,
) -> Result<NetworkRecord> {
    let mut record = NetworkRecord::predefined(BRIDGE, "bridge", opened);
    let families = [(true, Some(&default.ipv4)), (false, default.ipv6.as_ref())];
    for (ipv4, said) in families {
        let Some(said) = said else { continue };
        let wanted = DefaultSubnet {
            ipv4,
            address: said.bip.as_deref(),
            range: said.range.as_deref(),
            seed: default.seed,
        };
        let subnet = fabric.default_subnet(&default.link, &wanted, others)?;
        let mut config = IpamConfig {
            subnet: subnet.to_string(),
            gateway: subnet.gateway.to_string(),
            ip_range: said.range.clone().unwrap_or_default(),
            ..IpamConfig::default()
        };
        if let Some(gateway) = said.gateway {
            let name = define::ROUTERS[usize::from(!ipv4)].to_owned();
            let text = gateway.to_string();
            config.auxiliary_addresses.insert(name, text);
        }
        define::space(&config)?;
        record.ipam.config.push(config);
    }
    record.enable_ipv6 = default.ipv6.is_some();
    let any = Ipv4Addr::UNSPECIFIED.into();
    let binding = default.binding.unwrap_or(any);
    for (key, value) in [
        (option::DEFAULT_BRIDGE, "true".to_owned()),
        (option::ICC, default.icc.to_string()),
        (option::MASQUERADE, default.masquerade.to_string()),
        (option::HOST_BINDING_IPV4, binding.to_string()),
        (option::BRIDGE_NAME, default.link.clone()),
        (option::MTU, default.mtu.unwrap_or(1500).to_string()),
    ] {
        record.options.insert(key.to_owned(), value);
    }
    Ok(record)
}

impl Engine {
    /// The default network.
    pub(crate) fn default_network(&self) -> Result<Arc<NetworkRecord>> {
        self.networks.find(BRIDGE)
    }

    /// Whether there is none (`--bridge=none`).
    pub(crate) fn has_no_default_network(&self) -> bool {
        self.config.default_bridge.is_none()
    }

    /// Whether containers of the default network reach each other.
    pub(crate) fn default_icc(&self) -> bool {
        self.config.default_bridge.as_ref().is_none_or(|b| b.icc)
    }

    /// The addresses of the default network's bridge, IPv4 first.
    pub(crate) fn default_gateways(&self) -> Vec<IpAddr> {
        let record = self.default_network();
        let configs = record.iter().flat_map(|r| &r.ipam.config);
        configs.filter_map(|c| c.gateway.parse().ok()).collect()
    }

    /// The options of new networks of a driver that do not say otherwise.
    pub(super) fn default_options(&self, driver: &str) -> BTreeMap<String, String> {
        let all = &self.config.network_options;
        all.get(driver).cloned().unwrap_or_default()
    }
}
