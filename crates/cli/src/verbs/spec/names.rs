//! Names and addresses: `--add-host`, `--dns`, `--dns-search`, `--link`, `--mac-address`.

use std::net::IpAddr;

/// The address that stands for the host.
const HOST_GATEWAY: &str = "host-gateway";

/// `name:address` or `name=address`, the address perhaps in brackets, as the daemon reads it.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let bad = || format!("bad format for add-host: {}", quoted(text));
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, address) = parts.ok_or_else(bad)?;
    if name.is_empty() || name.contains(':') {
        return Err(bad());
    }
    if address == HOST_GATEWAY {
        return Ok(format!("{name}:{address}"));
    }
    let inner = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    let plain = inner.filter(|a| !a.is_empty()).unwrap_or(address);
    if plain.trim().parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {}", quoted(plain)));
    }
    Ok(format!("{name}:{plain}"))
}

/// See [`host`].
pub(crate) fn host_check(text: &str) -> Result<(), String> {
    host(text).map(drop)
}

/// An address in its usual form.
pub(crate) fn address(text: &str) -> Result<String, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// See [`address`].
pub(crate) fn address_check(text: &str) -> Result<(), String> {
    address(text).map(drop)
}

/// A domain, or `.` for none.
pub(crate) fn search_check(text: &str) -> Result<(), String> {
    let domain = text.trim_matches(' ');
    if domain == "." {
        return Ok(());
    }
    let inner = domain.strip_suffix('.').unwrap_or(domain);
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let good = domain.len() < 255
        && domain.bytes().any(|b| b.is_ascii_alphabetic())
        && inner.split('.').all(label);
    if good {
        return Ok(());
    }
    Err(format!("{domain} is not a valid domain"))
}

/// `name[:alias]`.
pub(crate) fn link_check(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("invalid string specified for links".to_owned());
    }
    if text.matches(':').count() > 1 {
        return Err(format!("bad format for links: {text}"));
    }
    Ok(())
}

/// Whether Go's `net.ParseMAC` takes it for an Ethernet address or a longer one.
pub(crate) fn is_mac(text: &str) -> bool {
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit())
    };
    [':', '-'].iter().any(|separator| {
        let parts: Vec<&str> = text.split(*separator).collect();
        matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|p| hex(p, 2))
    }) || {
        let parts: Vec<&str> = text.split('.').collect();
        matches!(parts.len(), 3 | 4 | 10) && parts.iter().all(|p| hex(p, 4))
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, wanted) in [
            ("a:1.2.3.4", "a:1.2.3.4"),
            ("b=::1", "b:::1"),
            ("c=[::2]", "c:::2"),
            ("d:host-gateway", "d:host-gateway"),
        ] {
            assert_eq!(host(text).unwrap(), wanted);
        }
        assert_eq!(host("a").unwrap_err(), "bad format for add-host: \"a\"");
        assert_eq!(
            host("a:999.1.1.1").unwrap_err(),
            "invalid IP address in add-host: \"999.1.1.1\""
        );
    }

    #[test]
    fn domains_and_addresses() {
        for good in [".", "a", "a.b-c.example", "example.org."] {
            assert!(search_check(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a_b!", "1.2", "a..b"] {
            assert!(search_check(bad).is_err(), "{bad}");
        }
        assert_eq!(address("0:0::1").unwrap(), "::1");
        assert!(is_mac("02:42:ac:11:00:09") && is_mac("0242.ac11.0009") && !is_mac("zz"));
    }
}
