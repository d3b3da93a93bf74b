//! `network create`.

use std::{collections::BTreeMap, net::IpAddr};

use types::network::{ConfigReference, Ipam, IpamConfig, NetworkCreate, NetworkCreated};

use super::{super::lenient::lenient, strings};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, list, switch, text},
    format::output,
    verbs::Context,
};

/// Its flags.
pub(crate) const CREATE: &[Flag] = &[
    switch("attachable", "Enable manual container attachment"),
    list(
        "aux-address",
        "Auxiliary IPv4 or IPv6 addresses used by Network driver",
    )
    .value("map", checks::any)
    .default("map[]"),
    text(
        "config-from",
        "The network from which to copy the configuration",
    ),
    switch("config-only", "Create a configuration only network"),
    text("driver", "Driver to manage the Network")
        .short('d')
        .default("\"bridge\""),
    list("gateway", "IPv4 or IPv6 Gateway for the master subnet").value("strings", checks::any),
    switch("ingress", "Create swarm routing-mesh network"),
    switch("internal", "Restrict external access to the network"),
    list("ip-range", "Allocate container ip from a sub-range").value("strings", checks::any),
    text("ipam-driver", "IP Address Management Driver").default("\"default\""),
    list("ipam-opt", "Set IPAM driver specific options")
        .value("map", checks::any)
        .default("map[]"),
    switch("ipv4", "Enable or disable IPv4 address assignment").default("true"),
    switch("ipv6", "Enable or disable IPv6 address assignment"),
    list("label", "Set metadata on a network").check(checks::label),
    list("opt", "Set driver specific options")
        .short('o')
        .value("map", checks::any)
        .default("map[]"),
    text("scope", "Control the network's scope"),
    list(
        "subnet",
        "Subnet in CIDR format that represents a network segment",
    )
    .value("strings", checks::any),
];

/// `docker network create`.
pub(crate) async fn create(context: &Context, m: Matches) -> Result {
    let wanted = wanted(&m)?;
    let answer = Request::post("/networks/create")
        .json(&wanted)
        .decode(&context.client)
        .await?;
    let created: NetworkCreated = lenient(answer, "answer")?;
    if !created.warning.is_empty() {
        output::complain(&format!("WARNING: {}", created.warning));
    }
    output::line(&created.id)
}

fn wanted(m: &Matches) -> Result<NetworkCreate> {
    let pairs = |flag: &str| -> BTreeMap<String, String> {
        let given = m.all(flag);
        let split = |text: &String| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (name.to_owned(), value.to_owned())
        };
        given.iter().map(split).collect()
    };
    let from = m.text("config-from");
    Ok(NetworkCreate {
        name: m.args[0].clone(),
        driver: m.get("driver").unwrap_or("bridge").to_owned(),
        scope: m.text("scope"),
        internal: m.on("internal"),
        attachable: m.on("attachable"),
        ingress: m.on("ingress"),
        config_only: m.on("config-only"),
        config_from: (!from.is_empty()).then_some(ConfigReference { network: from }),
        ipam: Some(Ipam {
            driver: m.get("ipam-driver").unwrap_or("default").to_owned(),
            options: Some(pairs("ipam-opt")),
            config: subnets(m, &pairs("aux-address"))?,
        }),
        enable_ipv4: m.switch("ipv4"),
        enable_ipv6: m.switch("ipv6"),
        options: pairs("opt"),
        labels: pairs("label"),
    })
}

/// Each subnet with the range, the gateway and the addresses that lie within it.
fn subnets(m: &Matches, reserved: &BTreeMap<String, String>) -> Result<Vec<IpamConfig>> {
    let (subnets, ranges, gateways) = (
        strings(m, "subnet"),
        strings(m, "ip-range"),
        strings(m, "gateway"),
    );
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err(Error::msg(
            "every ip-range or gateway must have a corresponding subnet",
        ));
    }
    let mut all: Vec<IpamConfig> = Vec::new();
    for subnet in subnets {
        for other in &all {
            if within(&subnet, &other.subnet)? || within(&other.subnet, &subnet)? {
                return Err(Error::msg(
                    "multiple overlapping subnet configuration is not supported",
                ));
            }
        }
        all.push(IpamConfig {
            subnet,
            ..IpamConfig::default()
        });
    }
    for range in ranges {
        let one = holding(&mut all, &range, "range")?;
        if !one.ip_range.is_empty() {
            return Err(Error::msg(format!(
                "cannot configure multiple ranges ({range}, {}) on the same subnet ({})",
                one.ip_range, one.subnet
            )));
        }
        one.ip_range = range;
    }
    for gateway in gateways {
        let one = holding(&mut all, &gateway, "gateway")?;
        if !one.gateway.is_empty() {
            return Err(Error::msg(format!(
                "cannot configure multiple gateways ({gateway}, {}) for the same subnet ({})",
                one.gateway, one.subnet
            )));
        }
        one.gateway = gateway;
    }
    for (name, address) in reserved {
        let one = holding(&mut all, address, "aux-address")?;
        one.auxiliary_addresses
            .insert(name.clone(), address.clone());
    }
    Ok(all)
}

fn holding<'a>(all: &'a mut [IpamConfig], address: &str, what: &str) -> Result<&'a mut IpamConfig> {
    for one in all {
        if within(&one.subnet, address)? {
            return Ok(one);
        }
    }
    Err(Error::msg(format!(
        "no matching subnet for {what} {address}"
    )))
}

fn cidr(text: &str) -> Result<(IpAddr, u32)> {
    let read = || {
        let (address, bits) = text.split_once('/')?;
        let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some((address, bits))
    };
    read().ok_or_else(|| Error::msg(format!("invalid CIDR address: {text}")))
}

/// Whether the address of `text`, which may be a block, is in `subnet`.
fn within(subnet: &str, text: &str) -> Result<bool> {
    let (network, bits) = cidr(subnet).map_err(|e| Error::msg(format!("invalid subnet: {e}")))?;
    let address = if text.contains('/') {
        cidr(text)?.0
    } else {
        match text.parse() {
            Ok(address) => address,
            // The daemon would say the same, or more.
            Err(_) => return Ok(false),
        }
    };
    let wide = |a: IpAddr| match a {
        IpAddr::V4(a) => u128::from(u32::from(a)) << 96,
        IpAddr::V6(a) => u128::from(a),
    };
    let differ = wide(network) ^ wide(address);
    let same = bits == 0 || differ >> (128 - bits) == 0;
    Ok(network.is_ipv4() == address.is_ipv4() && same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    fn read(args: &[&str]) -> std::result::Result<NetworkCreate, String> {
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        let m = flags::parse(&[CREATE], true, &args)?;
        wanted(&m).map_err(|e| e.to_string())
    }

    #[test]
    fn each_subnet_gets_what_is_its_own() {
        let read = read(&[
            "--subnet=10.0.0.0/24,fd00::/64",
            "--subnet",
            "10.1.0.0/24",
            "--gateway=fd00::1,10.1.0.254",
            "--ip-range=10.0.0.128/25",
            "--aux-address=a=10.0.0.9",
            "--aux-address=b=fd00::9",
            "-o",
            "com.docker.network.bridge.name=br9",
            "-o=flag",
            "--label=x",
            "--ipv6",
            "--config-from=c",
            "mine",
        ])
        .unwrap();
        let config = &read.ipam.as_ref().unwrap().config;
        assert_eq!(config.len(), 3);
        assert_eq!(config[0].ip_range, "10.0.0.128/25");
        assert_eq!(config[0].auxiliary_addresses["a"], "10.0.0.9");
        assert_eq!(
            (config[1].gateway.as_str(), config[2].gateway.as_str()),
            ("fd00::1", "10.1.0.254")
        );
        assert_eq!((read.options["flag"].as_str(), read.options.len()), ("", 2));
        assert_eq!((read.enable_ipv4, read.enable_ipv6), (None, Some(true)));
        assert_eq!(read.config_from.unwrap().network, "c");
        assert_eq!(
            (read.driver.as_str(), read.name.as_str()),
            ("bridge", "mine")
        );
    }

    #[test]
    fn errors_are_dockers() {
        for (args, wanted) in [
            (
                &["--gateway=1.2.3.4", "x"][..],
                "every ip-range or gateway must have a corresponding subnet",
            ),
            (
                &[
                    "--subnet=10.0.0.0/24,10.1.0.0/24",
                    "--gateway=10.0.0.1,10.0.0.2",
                    "x",
                ],
                "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)",
            ),
            (
                &[
                    "--subnet=10.0.0.0/24,10.1.0.0/24",
                    "--ip-range=10.0.0.0/25,10.0.0.128/25",
                    "x",
                ],
                "cannot configure multiple ranges (10.0.0.128/25, 10.0.0.0/25) on the same subnet (10.0.0.0/24)",
            ),
            (
                &["--subnet=10.0.0.0/24", "--ip-range=11.0.0.0/25", "x"],
                "no matching subnet for range 11.0.0.0/25",
            ),
            (
                &["--subnet=10.0.0.0/24", "--ip-range=zz", "x"],
                "no matching subnet for range zz",
            ),
            (
                &["--subnet=10.0.0.0/24", "--gateway=zz", "x"],
                "no matching subnet for gateway zz",
            ),
            (
                &["--subnet=10.0.0.0/24", "--aux-address=a=11.0.0.1", "x"],
                "no matching subnet for aux-address 11.0.0.1",
            ),
            (
                &["--subnet=10.0.0.0/24", "--subnet=10.0.0.0/25", "x"],
                "multiple overlapping subnet configuration is not supported",
            ),
            (
                &["--subnet=zz", "--gateway=1.1.1.1", "x"],
                "invalid subnet: invalid CIDR address: zz",
            ),
        ] {
            assert_eq!(read(args).unwrap_err(), wanted);
        }
    }
}
