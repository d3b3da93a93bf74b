//! The `hosts` file of a container.

use std::net::IpAddr;

const LOCAL: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// The file's text: the usual local names, `extra` names with their addresses, and the
/// container's own name at its addresses, with its domain unless that is empty.
#[must_use]
pub fn hosts_file(
    addresses: &[IpAddr],
    hostname: &str,
    domain: &str,
    extra: &[(String, IpAddr)],
) -> String {
    let mut text = LOCAL.to_owned();
    for (name, address) in extra {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    let own = own_names(hostname, domain);
    for ip in addresses {
        text.push_str(&format!("{ip}\t{own}\n"));
    }
    text
}

/// What a container calls itself in its file.
#[must_use]
pub fn own_names(hostname: &str, domain: &str) -> String {
    match domain {
        "" => hostname.to_owned(),
        _ => format!("{hostname}.{domain} {hostname}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_extra_names() {
        let extra = [("db".to_owned(), "10.0.0.9".parse().unwrap())];
        let text = hosts_file(
            &["172.17.0.2".parse().unwrap()],
            "web",
            "example.org",
            &extra,
        );
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("10.0.0.9\tdb\n172.17.0.2\tweb.example.org web\n"));
        assert!(hosts_file(&[], "web", "", &[]).ends_with("ip6-allrouters\n"));
    }
}
