//! The flags that say how a container is in its networks.

use std::collections::BTreeMap;

use types::container::{EndpointIpam, EndpointSettings, NetworkingConfig};

use super::spec::{
    names,
    network::{self, Attachment, is_own},
};
use crate::{
    error::{Error, Result},
    flags::Matches,
};

/// The mode, and what is asked of each network.
pub(crate) fn join(m: &Matches) -> Result<(String, NetworkingConfig)> {
    let given = m.all("network");
    let given = given.iter().map(|text| network::parse(text));
    let mut given = given
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(Error::msg)?;
    if given.is_empty() {
        given.push(Attachment {
            name: "default".to_owned(),
            ..Attachment::default()
        });
    }
    let mut endpoints = BTreeMap::new();
    for (at, one) in given.iter_mut().enumerate() {
        if at == 0 {
            older_flags(m, one)?;
        }
        let settings = settings(one)?;
        if endpoints.insert(one.name.clone(), settings).is_some() {
            return Err(Error::msg(format!(
                "network \"{}\" is specified multiple times",
                one.name
            )));
        }
    }
    let own = given.iter().filter(|n| is_own(&n.name)).count();
    if own > 0 && own < given.len() {
        return Err(Error::msg(
            "conflicting options: cannot attach both user-defined and non-user-defined \
             network-modes",
        ));
    }
    // One network of which nothing is asked: the mode says it.
    if given.len() == 1 {
        endpoints.retain(|_, settings| *settings != EndpointSettings::default());
    }
    let config = NetworkingConfig {
        endpoints_config: endpoints,
    };
    let mode = given.swap_remove(0).name;
    Ok((mode, config))
}

/// The flags from before there could be several networks are about the first one.
fn older_flags(m: &Matches, first: &mut Attachment) -> Result<()> {
    let twice = |flag: &str, what: &str| {
        Error::msg(format!(
            "conflicting options: cannot specify both --{flag} and per-network {what}"
        ))
    };
    let lists = [
        ("network-alias", "alias", &mut first.aliases),
        ("link-local-ip", "link-local IP addresses", &mut first.local),
    ];
    for (flag, what, list) in lists {
        let given = m.all(flag);
        if !given.is_empty() {
            if !list.is_empty() {
                return Err(twice(flag, what));
            }
            *list = given;
        }
    }
    let texts = [
        ("ip", "IPv4 address", &mut first.ip),
        ("ip6", "IPv6 address", &mut first.ip6),
        ("mac-address", "MAC address", &mut first.mac),
    ];
    for (flag, what, text) in texts {
        let given = m.text(flag);
        if !given.is_empty() {
            if !text.is_empty() {
                return Err(twice(flag, what));
            }
            *text = given;
        }
    }
    if is_own(&first.name) {
        // Those of the default network are the container's.
        first.links = m.all("link");
    }
    Ok(())
}

fn settings(one: &Attachment) -> Result<EndpointSettings> {
    if one.name.trim().is_empty() {
        return Err(Error::msg("no name set for network"));
    }
    if !is_own(&one.name) && !one.aliases.is_empty() {
        return Err(Error::msg(
            "network-scoped aliases are only supported for user-defined networks",
        ));
    }
    let mac = one.mac.trim();
    if !mac.is_empty() && !names::is_mac(mac) {
        return Err(Error::msg(format!("{mac} is not a valid mac address")));
    }
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let ipam = EndpointIpam {
        ipv4_address: one.ip.clone(),
        ipv6_address: one.ip6.clone(),
        link_local_ips: one.local.clone(),
    };
    Ok(EndpointSettings {
        ipam_config: (ipam != EndpointIpam::default()).then_some(ipam),
        links: some(&one.links),
        aliases: some(&one.aliases),
        mac_address: mac.to_owned(),
        driver_opts: (!one.options.is_empty()).then(|| one.options.clone()),
        gw_priority: one.priority,
        ..EndpointSettings::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flags, verbs::options};

    fn joined(args: &[&str]) -> std::result::Result<(String, NetworkingConfig), String> {
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        let m = flags::parse(&[options::SPEC], false, &args)?;
        join(&m).map_err(|e| e.to_string())
    }

    #[test]
    fn several_networks_and_the_older_flags() {
        let (mode, config) = joined(&["--network", "mine"]).unwrap();
        assert_eq!((mode.as_str(), config.endpoints_config.len()), ("mine", 0));
        let (mode, config) = joined(&[
            "--network=mine",
            "--net",
            "name=other,alias=o,gw-priority=1",
            "--ip=10.0.0.2",
            "--network-alias=a",
            "--link=x:y",
            "--mac-address=02:42:00:00:00:01",
        ])
        .unwrap();
        let (first, second) = (
            &config.endpoints_config["mine"],
            &config.endpoints_config["other"],
        );
        assert_eq!(mode, "mine");
        assert_eq!(first.aliases.as_deref(), Some(&["a".to_owned()][..]));
        assert_eq!(first.links.as_deref(), Some(&["x:y".to_owned()][..]));
        assert_eq!(first.ipam_config.as_ref().unwrap().ipv4_address, "10.0.0.2");
        assert_eq!((second.gw_priority, &second.ipam_config), (1, &None));
        let (_, config) = joined(&["--link=x"]).unwrap();
        assert!(config.endpoints_config.is_empty(), "{config:?}");
    }

    #[test]
    fn errors_are_dockers() {
        for (args, wanted) in [
            (
                &["--network=a", "--network=a"][..],
                "network \"a\" is specified multiple times",
            ),
            (
                &["--network=a", "--network=bridge"],
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            ),
            (
                &["--network=name=a,alias=b", "--network-alias=c"],
                "conflicting options: cannot specify both --network-alias and per-network alias",
            ),
            (
                &["--network=name=a,ip=10.0.0.2", "--ip=10.0.0.2"],
                "conflicting options: cannot specify both --ip and per-network IPv4 address",
            ),
            (
                &["--network=name=a,mac-address=zz"],
                "zz is not a valid mac address",
            ),
            (
                &["--network=name=bridge,alias=x"],
                "network-scoped aliases are only supported for user-defined networks",
            ),
            (&["--network="], "no name set for network"),
        ] {
            assert_eq!(joined(args).unwrap_err(), wanted);
        }
    }
}
