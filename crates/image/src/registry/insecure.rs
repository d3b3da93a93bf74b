//! Registries that may be spoken to without verified TLS.

use std::net::IpAddr;

use types::reference::Reference;

use crate::error::{Error, Result};

/// One of them, or many by a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Insecure {
    Host(String),
    Network(IpAddr, u8),
}

impl Insecure {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some((address, bits)) = text.split_once('/') {
            let network = address.parse::<IpAddr>().ok().zip(bits.parse::<u8>().ok());
            let fits =
                |(address, bits): &(IpAddr, u8)| *bits <= if address.is_ipv4() { 32 } else { 128 };
            if let Some((address, bits)) = network.filter(fits) {
                return Ok(Self::Network(address, bits));
            }
        } else if !text.is_empty()
            && Reference::parse(&format!("{text}/a")).is_ok_and(|r| r.domain() == text)
        {
            return Ok(Self::Host(text.to_owned()));
        }
        Err(Error::Invalid(format!(
            "insecure registry {text:?} is not valid: write host[:port] without a scheme, or a \
             network such as 10.0.0.0/8"
        )))
    }

    pub(super) fn covers(&self, domain: &str) -> bool {
        match self {
            Self::Host(host) => host == domain,
            Self::Network(network, bits) => {
                address(domain).is_some_and(|address| in_network(address, *network, *bits))
            }
        }
    }
}

/// The address in `host[:port]`, when it is one.
pub(super) fn address(domain: &str) -> Option<IpAddr> {
    if let Some(rest) = domain.strip_prefix('[') {
        return rest.split(']').next()?.parse().ok();
    }
    let host = domain.split(':').next()?;
    if host == "localhost" {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    host.parse().ok()
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shifted = |value: u128, width: u32| {
        value
            .checked_shr(width.saturating_sub(u32::from(bits)))
            .unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            shifted(u32::from(a).into(), 32) == shifted(u32::from(n).into(), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => shifted(a.into(), 128) == shifted(n.into(), 128),
        _ => false,
    }
}
