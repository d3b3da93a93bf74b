//! What a container asks of a network and what it gets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transport protocol whose ports can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP, where the kernel has it.
    Sctp,
}

impl Proto {
    /// Its number in an IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Proto {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|p| p.to_string().eq_ignore_ascii_case(s))
            .ok_or_else(|| format!("invalid protocol: {s} (tcp, udp and sctp exist)"))
    }
}

/// A hardware address, written `02:42:ac:11:00:02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address that goes with an IP: neighbours' caches stay true when an IP is used again.
    #[must_use]
    pub fn of_ip(ip: IpAddr) -> Self {
        let [a, b, c, d] = match ip {
            IpAddr::V4(ip) => ip.octets(),
            // The network's bits are the same for all of its containers: the last ones count.
            IpAddr::V6(ip) => {
                let [.., a, b, c, d] = ip.octets();
                [a, b, c, d]
            }
        };
        Self([0x02, 0x42, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong =
            || format!("invalid MAC address: {s} (expected six bytes such as 02:42:ac:11:00:02)");
        let mut bytes = [0; 6];
        let mut parts = s.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        // The lowest bit marks a group address, which no link can have.
        if parts.next().is_some() || bytes[0] & 1 != 0 || bytes == [0; 6] {
            return Err(wrong());
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// A port to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRequest {
    /// The protocol.
    pub proto: Proto,
    /// The host's address to publish on; all of them if `None` or `0.0.0.0`.
    pub host_ip: Option<IpAddr>,
    /// The host's port, or the first that is free in the range; one of the kernel's choice if
    /// `None`.
    pub host_port: Option<RangeInclusive<u16>>,
    /// The container's port.
    pub container_port: u16,
}

/// What a container asks of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// An address; the next free one if `None`.
    pub ip: Option<Ipv4Addr>,
    /// An IPv6 address, likewise.
    pub ip6: Option<Ipv6Addr>,
    /// Further addresses of its link, of the link alone.
    pub link_local: Vec<IpAddr>,
    /// A hardware address; one derived from the IP if `None`.
    pub mac: Option<Mac>,
    /// What the container calls its end; `eth0` if empty.
    pub inside: String,
    /// Whether what goes elsewhere goes this way, in IPv4 and in IPv6.
    pub default_route: [bool; 2],
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The protocol.
    pub proto: Proto,
    /// The host's address; zeros mean all of that family.
    pub host_ip: IpAddr,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
}

impl PublishedPort {
    /// The one address it is published on, if not all.
    pub(crate) fn only_on(&self) -> Option<IpAddr> {
        (!self.host_ip.is_unspecified()).then_some(self.host_ip)
    }
}

/// What the container calls its end where nothing is said.
pub(crate) const INSIDE: &str = "eth0";

fn inside() -> String {
    INSIDE.to_owned()
}

/// A container's place in a network; kept in its record for [`crate::Fabric::restore`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub ip: Option<Ipv4Addr>,
    /// The length of the subnet's prefix.
    #[serde(default)]
    pub prefix: u8,
    /// The bridge's address, its way out.
    #[serde(default)]
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 address.
    #[serde(default)]
    pub ip6: Option<Ipv6Addr>,
    /// The length of that subnet's prefix.
    #[serde(default)]
    pub prefix6: u8,
    /// The way out of IPv6.
    #[serde(default)]
    pub gateway6: Option<Ipv6Addr>,
    /// Its hardware address.
    pub mac: Mac,
    /// The host's end of its link; empty where there is none.
    pub link: String,
    /// What the container calls its end.
    #[serde(default = "inside")]
    pub inside: String,
}

impl Endpoint {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let both = [self.ip.map(IpAddr::V4), self.ip6.map(IpAddr::V6)];
        both.into_iter().flatten()
    }
}

/// Where the published ports of a container lead to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its IPv4 address.
    pub ip: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ip6: Option<Ipv6Addr>,
    /// Whether the host's ports are not translated: the container's own are open.
    pub routed: [bool; 2],
}

impl Target {
    pub(crate) fn address(&self, ipv4: bool) -> Option<IpAddr> {
        if ipv4 {
            self.ip.map(IpAddr::V4)
        } else {
            self.ip6.map(IpAddr::V6)
        }
    }
}

/// Published ports of a container; kept in its record for [`crate::Fabric::restore`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The ports.
    pub ports: Vec<PublishedPort>,
    /// Where they lead to.
    pub target: Target,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses() {
        let mac = Mac::of_ip(Ipv4Addr::new(172, 17, 0, 2).into());
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!("02:42:ac:11:00:02".parse(), Ok(mac));
        for bad in [
            "",
            "02:42",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "02:42:ac:11:00:02:1",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_of_an_earlier_version_is_understood() {
        let json = r#"{"ip":"172.17.0.2","prefix":16,"gateway":"172.17.0.1",
            "mac":"02:42:ac:11:00:02","link":"whabc","ports":[]}"#;
        let endpoint: Endpoint = serde_json::from_str(json).unwrap();
        assert_eq!((endpoint.inside.as_str(), endpoint.ip6), ("eth0", None));
        let again = serde_json::to_string(&endpoint).unwrap();
        assert_eq!(serde_json::from_str::<Endpoint>(&again).unwrap(), endpoint);
    }
}
