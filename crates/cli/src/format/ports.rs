//! The PORTS column.

use types::container::PortSummary;

/// Address of the host and protocol.
type Key = (String, String);

/// A run of ports, on both sides in step.
struct Run {
    first: u16,
    last: u16,
    public: Option<u16>,
}

fn span(first: u16, last: u16) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// An address as it stands before a port.
pub(crate) fn host(ip: &str) -> String {
    if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    }
}

/// All `ports`, neighbours as ranges: `0.0.0.0:8080-8082->80-82/tcp, 443/tcp`.
pub(crate) fn show(ports: &[PortSummary]) -> String {
    let mut ports: Vec<&PortSummary> = ports.iter().collect();
    ports.sort_by(|a, b| {
        (a.private_port, &a.ip, a.public_port, &a.kind).cmp(&(
            b.private_port,
            &b.ip,
            b.public_port,
            &b.kind,
        ))
    });
    // Runs are kept for each protocol, and each address of the host where published.
    let mut open: Vec<(Key, Run)> = Vec::new();
    let mut done: Vec<String> = Vec::new();
    let mut alone: Vec<String> = Vec::new();
    for port in ports {
        let key = (port.ip.clone(), port.kind.clone());
        if let Some(public) = port.public_port.filter(|&p| p != port.private_port) {
            // Docker keeps mappings to another number one by one.
            alone.push(format!(
                "{}:{public}->{}/{}",
                host(&port.ip),
                port.private_port,
                port.kind
            ));
            continue;
        }
        let new = Run {
            first: port.private_port,
            last: port.private_port,
            public: port.public_port,
        };
        match open.iter_mut().find(|(k, _)| *k == key) {
            Some((_, run)) if run.last.checked_add(1) == Some(port.private_port) => {
                run.last = port.private_port;
            }
            Some((_, run)) => {
                done.push(entry(&key, run));
                *run = new;
            }
            None => open.push((key, new)),
        }
    }
    done.extend(open.iter().map(|(key, run)| entry(key, run)));
    done.extend(alone);
    done.join(", ")
}

fn entry((ip, kind): &Key, run: &Run) -> String {
    let span = span(run.first, run.last);
    match run.public {
        Some(_) => format!("{}:{span}->{span}/{kind}", host(ip)),
        None => format!("{span}/{kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, private: u16, public: Option<u16>) -> PortSummary {
        PortSummary {
            ip: ip.into(),
            private_port: private,
            public_port: public,
            kind: "tcp".into(),
        }
    }

    #[test]
    fn neighbours_become_ranges() {
        assert_eq!(
            show(&[port("", 80, None), port("", 81, None), port("", 443, None)]),
            "80-81/tcp, 443/tcp"
        );
        assert_eq!(
            show(&[port("0.0.0.0", 81, Some(81)), port("0.0.0.0", 80, Some(80))]),
            "0.0.0.0:80-81->80-81/tcp"
        );
        assert_eq!(
            show(&[port("0.0.0.0", 80, Some(8080)), port("::", 80, Some(8080))]),
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        assert_eq!(show(&[]), "");
    }
}
