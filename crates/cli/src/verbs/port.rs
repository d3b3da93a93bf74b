//! `port`.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Context, attach::describe};
use crate::{
    error::{Error, Result},
    flags::Matches,
    format::{output, ports::host, quote},
};

/// `docker port`.
pub(crate) async fn port(context: &Context, m: Matches) -> Result {
    let name = &m.args[0];
    let asked = m.args.get(1).filter(|p| !p.is_empty());
    let container = describe(context, name).await?;
    let ports = container.pointer("/NetworkSettings/Ports");
    let mut lines = match asked {
        Some(asked) => one(ports, asked, name)?,
        None => all(ports),
    };
    lines.sort_unstable_by(|a, b| natural(a, b));
    output::print(&lines.concat())
}

/// Where the port `asked` (`80`, `80/udp`) is published.
fn one(ports: Option<&Value>, asked: &str, name: &str) -> Result<Vec<String>> {
    let (port, proto) = asked.split_once('/').unwrap_or((asked, ""));
    let wrong = |why: &str| {
        Error::msg(format!(
            "Error: invalid port ({port}): strconv.ParseUint: parsing {}: {why}",
            quote(port)
        ))
    };
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong("invalid syntax"));
    }
    if port.parse::<u16>().is_err() {
        return Err(wrong("value out of range"));
    }
    let proto = if proto.is_empty() { "tcp" } else { proto };
    let found = ports.and_then(|ports| ports.get(format!("{port}/{proto}")));
    let lines: Vec<String> = found
        .map(|found| frontends(found).map(|f| format!("{f}\n")).collect())
        .unwrap_or_default();
    if lines.is_empty() {
        return Err(Error::msg(format!(
            "Error: No public port '{asked}' published for {name}"
        )));
    }
    Ok(lines)
}

/// Every port that is published.
fn all(ports: Option<&Value>) -> Vec<String> {
    ports
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .flat_map(|(port, found)| frontends(found).map(move |f| format!("{port} -> {f}\n")))
        .collect()
}

fn frontends(found: &Value) -> impl Iterator<Item = String> {
    found.as_array().into_iter().flatten().map(|binding| {
        let text = |key: &str| binding.get(key).and_then(Value::as_str).unwrap_or_default();
        format!("{}:{}", host(text("HostIp")), text("HostPort"))
    })
}

/// Numbers within the texts are compared as numbers.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        let ordering = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, y) = (number(&mut a), number(&mut b));
            x.len().cmp(&y.len()).then(x.cmp(y))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            x.cmp(y)
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    a.len().cmp(&b.len())
}

/// Takes the number at the beginning of `text`, without its leading zeros.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|b| !b.is_ascii_digit());
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    let zeros = number.iter().take_while(|b| **b == b'0').count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ports() -> Value {
        json!({
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "443/tcp": null,
            "9/udp": [{"HostIp": "127.0.0.1", "HostPort": "90"}],
        })
    }

    #[test]
    fn all_in_the_order_of_their_numbers() {
        let mut lines = all(Some(&ports()));
        lines.sort_unstable_by(|a, b| natural(a, b));
        assert_eq!(
            lines.concat(),
            "9/udp -> 127.0.0.1:90\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
        );
        assert_eq!(all(None), Vec::<String>::new());
    }

    #[test]
    fn one_or_dockers_complaint() {
        let ask = |asked| one(Some(&ports()), asked, "web").map_err(|e| e.to_string());
        for same in ["80", "80/", "80/tcp"] {
            assert_eq!(ask(same).unwrap(), ["0.0.0.0:8080\n", "[::]:8080\n"]);
        }
        for (asked, complaint) in [
            ("443", "Error: No public port '443' published for web"),
            ("80/udp", "Error: No public port '80/udp' published for web"),
            (
                "x",
                "Error: invalid port (x): strconv.ParseUint: parsing \"x\": invalid syntax",
            ),
            (
                "70000",
                "Error: invalid port (70000): strconv.ParseUint: parsing \"70000\": value out of range",
            ),
        ] {
            assert_eq!(ask(asked).unwrap_err(), complaint);
        }
    }
}
