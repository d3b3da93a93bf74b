//! The default network, and what new networks get that do not say.

use std::{collections::BTreeMap, net::IpAddr};

use engine::{DefaultAddresses, DefaultBridge};
use network::Subnet;

use super::values::Values;

/// The name of the default network's bridge that means there is none.
const NONE: &str = "none";

/// What the default network is like, by the names of its settings.
const OF_THE_DEFAULT: [&str; 11] = [
    "bip",
    "bip6",
    "fixed-cidr",
    "fixed-cidr-v6",
    "default-gateway",
    "default-gateway-v6",
    "ipv6",
    "ip",
    "icc",
    "ip-masq",
    "mtu",
];

/// The bridge's name.
pub(super) fn bridge(values: &Values) -> String {
    values.text("bridge").unwrap_or("wharf0".into())
}

/// The default network.
pub(super) fn default_bridge(values: &Values) -> Result<Option<DefaultBridge>, String> {
    let link = bridge(values);
    if link == NONE {
        return match OF_THE_DEFAULT.iter().find(|name| values.given(name)) {
            None => Ok(None),
            Some(name) => Err(format!(
                "{name} says something of the default network, and bridge \"{NONE}\" that there is \
                 none"
            )),
        };
    }
    let six = ["bip6", "fixed-cidr-v6", "default-gateway-v6"];
    let ipv6 = values.bool("ipv6") == Some(true);
    if let Some(name) = six.iter().find(|n| !ipv6 && values.text(n).is_some()) {
        return Err(format!(
            "{name} needs ipv6: the default network has no IPv6 otherwise"
        ));
    }
    let mtu = values.number("mtu").filter(|n| *n != 0);
    let mtu = mtu.map(|n| u32::try_from(n).map_err(|_| format!("invalid mtu: {n}")));
    Ok(Some(DefaultBridge {
        link,
        ipv4: addresses(values, true)?,
        ipv6: ipv6.then(|| addresses(values, false)).transpose()?,
        icc: values.bool("icc") != Some(false),
        masquerade: values.bool("ip-masq") != Some(false),
        binding: binding(values)?,
        mtu: mtu.transpose()?,
        seed: 0,
    }))
}

fn addresses(values: &Values, ipv4: bool) -> Result<DefaultAddresses, String> {
    let [bip, range, gateway] = if ipv4 {
        ["bip", "fixed-cidr", "default-gateway"]
    } else {
        ["bip6", "fixed-cidr-v6", "default-gateway-v6"]
    };
    let family = if ipv4 { "IPv4" } else { "IPv6" };
    let fits = |name: &str, ip: IpAddr| {
        let wrong = || format!("invalid {name}: {ip} is no {family} address");
        (ip.is_ipv4() == ipv4).then_some(()).ok_or_else(wrong)
    };
    let said = DefaultAddresses {
        bip: values.text(bip),
        range: values.text(range),
        gateway: values
            .text(gateway)
            .map(|text| {
                let ip = text.parse::<IpAddr>();
                ip.map_err(|_| format!("invalid {gateway}: {text:?} is no IP address"))
            })
            .transpose()?,
    };
    if let Some(text) = &said.bip {
        let subnet = text.parse::<Subnet>();
        let subnet = subnet.map_err(|why| format!("invalid {bip}: {why}"))?;
        fits(bip, subnet.gateway)?;
    }
    if let Some(text) = &said.range {
        let wrong = |why: &str| format!("invalid {range} {text:?}: {why}");
        fits(range, Subnet::parse(text).map_err(wrong)?.gateway)?;
    }
    if let Some(ip) = said.gateway {
        fits(gateway, ip)?;
    }
    Ok(said)
}

/// `--ip`.
fn binding(values: &Values) -> Result<Option<IpAddr>, String> {
    let ip = values.text("ip").map(|text| {
        let wrong = |_| format!("invalid ip: {text:?} is no IP address");
        text.parse::<IpAddr>().map_err(wrong)
    });
    ip.transpose()
}

/// `DRIVER=NAME=VALUE`, or of the file `DRIVER={"NAME": "VALUE"}`.
pub(super) fn options(
    texts: &[String],
) -> Result<BTreeMap<String, BTreeMap<String, String>>, String> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for text in texts {
        let wrong = |why: &str| format!("invalid default-network-opt {text:?}: {why}");
        let form = || wrong("the form is DRIVER=NAME=VALUE");
        let (driver, rest) = text.split_once('=').ok_or_else(form)?;
        let of = all.entry(driver.to_owned()).or_default();
        if rest.starts_with('{') {
            let members: BTreeMap<String, String> =
                serde_json::from_str(rest).map_err(|e| wrong(&e.to_string()))?;
            of.extend(members);
        } else {
            let (name, value) = rest.split_once('=').ok_or_else(form)?;
            of.insert(name.to_owned(), value.to_owned());
        }
    }
    for (driver, options) in &all {
        engine::check_network_options(driver, options)
            .map_err(|e| format!("invalid default-network-opt of {driver}: {e}"))?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_drivers() {
        let read =
            |texts: &[&str]| options(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        let all = read(&[
            "bridge=com.docker.network.driver.mtu=1234",
            r#"bridge={"com.docker.network.bridge.enable_icc": "false"}"#,
            "macvlan=parent=eth0",
        ]);
        let all = all.unwrap();
        assert_eq!(all["bridge"]["com.docker.network.driver.mtu"], "1234");
        assert_eq!(
            all["bridge"]["com.docker.network.bridge.enable_icc"],
            "false"
        );
        assert_eq!(all["macvlan"]["parent"], "eth0");
        for wrong in [
            "bridge",
            "bridge=x",
            "bridge=x=y",
            "bridge=com.docker.network.driver.mtu=1",
            "nosuch=parent=eth0",
            "bridge={}}",
        ] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
    }
}
