//! Ports as the API writes them (`80/tcp`, `8080-8090`) and as the network wants them.

use std::ops::RangeInclusive;

use network::{PortRequest, Proto, Published};
use types::container::{ContainerConfig, HostConfig, PortBinding, PortMap};

use crate::error::{Error, Result};

/// `80/tcp` or `80`; a container's port.
pub(crate) fn parse(text: &str) -> Result<(u16, Proto)> {
    let (port, proto) = text.split_once('/').unwrap_or((text, "tcp"));
    let invalid =
        |why: &str| Error::Invalid(format!("invalid port specification: \"{text}\": {why}"));
    let port = port.parse::<u16>().ok().filter(|p| *p > 0);
    let port = port.ok_or_else(|| invalid("a port is a number from 1 to 65535"))?;
    Ok((port, proto.parse().map_err(|e: String| invalid(&e))?))
}

/// What the network is asked to publish.
pub(crate) fn requests(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<PortRequest>> {
    let mut requests = Vec::new();
    for (port, bindings) in &host.port_bindings {
        let (container_port, proto) = parse(port)?;
        let any = [PortBinding::default()];
        let bindings = if bindings.is_empty() {
            &any[..]
        } else {
            bindings
        };
        for binding in bindings {
            requests.push(PortRequest {
                proto,
                host_ip: address(&binding.host_ip)?,
                host_port: range(&binding.host_port)?,
                container_port,
            });
        }
    }
    if host.publish_all_ports {
        for port in config
            .exposed_ports
            .keys()
            .filter(|p| !host.port_bindings.contains_key(*p))
        {
            let (container_port, proto) = parse(port)?;
            requests.push(PortRequest {
                proto,
                host_ip: None,
                host_port: None,
                container_port,
            });
        }
    }
    Ok(requests)
}

fn address(text: &str) -> Result<Option<std::net::IpAddr>> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |_| Error::Invalid(format!("invalid IP address for a published port: {text}"));
    text.parse().map(Some).map_err(invalid)
}

fn range(text: &str) -> Result<Option<RangeInclusive<u16>>> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let invalid = || Error::Invalid(format!("invalid host port: \"{text}\""));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |t: &str| t.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(invalid);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        Err(invalid())
    } else {
        Ok(Some(first..=last))
    }
}

/// What is published now, as the API writes it.
pub(crate) fn published(all: &Published) -> PortMap {
    let mut map = PortMap::new();
    // What leads nowhere is not published.
    for port in all.ports.iter().filter(|p| all.leads(p)) {
        map.entry(format!("{}/{}", port.container_port, port.proto))
            .or_default()
            .push(PortBinding {
                host_ip: port.host_ip.to_string(),
                // None where the container's own port is open.
                host_port: match port.host_port {
                    0 => String::new(),
                    port => port.to_string(),
                },
            });
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        assert_eq!(parse("53/udp").unwrap(), (53, Proto::Udp));
        assert!(parse("0/tcp").is_err() && parse("80/xyz").is_err() && parse("").is_err());
        assert_eq!(range("80-82").unwrap(), Some(80..=82));
        assert!(range("82-80").is_err() && range("x").is_err());
        assert_eq!((range("").unwrap(), range("0").unwrap()), (None, None));
    }
}
