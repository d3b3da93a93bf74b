//! `-p [[address:]host-port:]container-port[/protocol]`, and `--expose`.

use std::net::IpAddr;

use types::container::{PortBinding, PortMap};

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

fn protocol(text: &str) -> Result<String, String> {
    let lower = text.to_lowercase();
    match lower.as_str() {
        "tcp" | "udp" | "sctp" => Ok(lower),
        _ => Err(format!("invalid proto: {text}")),
    }
}

/// Address, host part and container part of `text` (without protocol).
fn parts(text: &str) -> Result<(String, String, String), String> {
    let Some((rest, container)) = text.rsplit_once(':') else {
        return Ok((String::new(), String::new(), text.to_owned()));
    };
    let Some((ip, host)) = rest.rsplit_once(':') else {
        return Ok((String::new(), rest.to_owned(), container.to_owned()));
    };
    // `[::1]:80` names an address and no port of the host.
    if rest.starts_with('[') && rest.ends_with(']') {
        return Ok((rest.to_owned(), String::new(), container.to_owned()));
    }
    Ok((ip.to_owned(), host.to_owned(), container.to_owned()))
}

/// Adds what `text` publishes to `map`.
pub(crate) fn publish(text: &str, map: &mut PortMap) -> Result<(), String> {
    if text.contains("target=") || text.contains("published=") {
        return Err(format!(
            "invalid publish opts format (should be name=value but got '{text}'): \
             the long form of --publish is not supported by wharf yet"
        ));
    }
    let (spec, proto) = match text.split_once('/') {
        Some((spec, proto)) => (spec, protocol(proto)?),
        None => (text, "tcp".to_owned()),
    };
    let (ip, host, container) = parts(spec)?;
    let address = ip
        .strip_prefix('[')
        .and_then(|a| a.strip_suffix(']'))
        .unwrap_or(&ip);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) =
        range(&container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let outer = if host.is_empty() {
        None
    } else {
        Some(range(&host).ok_or_else(|| format!("invalid hostPort: {host}"))?)
    };
    if let Some((from, to)) = outer
        && to - from != last - first
        && first != last
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    for step in 0..=(last - first) {
        let host_port = match outer {
            None => String::new(),
            // One port of the container at any free one of the range.
            Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
            Some((from, _)) => (from + step).to_string(),
        };
        map.entry(format!("{}/{proto}", first + step))
            .or_default()
            .push(PortBinding {
                host_ip: address.to_owned(),
                host_port,
            });
    }
    Ok(())
}

/// The ports that `--expose` names.
pub(crate) fn expose(text: &str) -> Result<Vec<String>, String> {
    if text.contains(':') {
        return Err(format!("invalid port format for --expose: {text}"));
    }
    let (ports, proto) = match text.split_once('/') {
        Some((ports, proto)) => (ports, proto.to_lowercase()),
        None => (text, "tcp".to_owned()),
    };
    let (first, last) = range(ports).ok_or_else(|| {
        let bad = ports.split('-').find(|p| p.parse::<u16>().is_err()).unwrap_or(ports);
        format!(
            "invalid range format for --expose: {text}, error: strconv.ParseUint: parsing {}: invalid syntax",
            crate::format::quote(bad)
        )
    })?;
    Ok((first..=last)
        .map(|port| format!("{port}/{proto}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String, String)>, String> {
        let mut map = PortMap::new();
        publish(text, &mut map)?;
        Ok(map
            .into_iter()
            .flat_map(|(port, to)| {
                to.into_iter()
                    .map(move |b| (port.clone(), b.host_ip, b.host_port))
            })
            .collect())
    }

    fn row(port: &str, ip: &str, host: &str) -> (String, String, String) {
        (port.into(), ip.into(), host.into())
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(read("80").unwrap(), [row("80/tcp", "", "")]);
        assert_eq!(read("8080:80").unwrap(), [row("80/tcp", "", "8080")]);
        assert_eq!(read("8080:80/UDP").unwrap(), [row("80/udp", "", "8080")]);
        assert_eq!(
            read("127.0.0.1:8080:80").unwrap(),
            [row("80/tcp", "127.0.0.1", "8080")]
        );
        assert_eq!(
            read("127.0.0.1::80").unwrap(),
            [row("80/tcp", "127.0.0.1", "")]
        );
        assert_eq!(
            read("[::1]:8080:80").unwrap(),
            [row("80/tcp", "::1", "8080")]
        );
        assert_eq!(read("::1:8080:80").unwrap(), [row("80/tcp", "::1", "8080")]);
        assert_eq!(read("[::1]::80").unwrap(), [row("80/tcp", "::1", "")]);
        assert_eq!(
            read("90-91:80-81").unwrap(),
            [row("80/tcp", "", "90"), row("81/tcp", "", "91")]
        );
        assert_eq!(read("90-92:80").unwrap(), [row("80/tcp", "", "90-92")]);
    }

    #[test]
    fn errors_are_dockers() {
        for (text, error) in [
            ("x:y", "invalid containerPort: y"),
            ("99999:80", "invalid hostPort: 99999"),
            (
                "1-3:80-81",
                "invalid ranges specified for container and host Ports: 80-81 and 1-3",
            ),
            ("80/foo", "invalid proto: foo"),
            ("1.2.3:1:2", "invalid IP address: 1.2.3"),
        ] {
            assert_eq!(read(text).unwrap_err(), error);
        }
        assert_eq!(
            expose("x").unwrap_err(),
            "invalid range format for --expose: x, error: strconv.ParseUint: parsing \"x\": invalid syntax"
        );
        assert_eq!(expose("1-2/udp").unwrap(), ["1/udp", "2/udp"]);
    }
}
