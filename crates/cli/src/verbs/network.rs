//! `network`: the networks that containers are in.

mod create;
mod list;

use serde_json::Value;
use types::{
    container::{EndpointIpam, EndpointSettings},
    network::{NetworkConnect, NetworkDisconnect, NetworksPruned},
};

use super::{
    Context,
    lenient::lenient,
    prune::confirmed,
    spec::{names, network::option},
};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, int, list, switch, text},
    format::output,
};

pub(crate) use create::{CREATE, create};
pub(crate) use list::{LS, list as ls};

/// Flags of `network connect`.
pub(crate) const CONNECT: &[Flag] = &[
    list("alias", "Add network-scoped alias for the container").value("strings", checks::any),
    list("driver-opt", "driver options for the network").value("strings", checks::any),
    int(
        "gw-priority",
        "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
    ),
    text("ip", "IPv4 address (e.g., \"172.30.100.104\")"),
    text("ip6", "IPv6 address (e.g., \"2001:db8::33\")"),
    list("link", "Add link to another container").check(names::link_check),
    list(
        "link-local-ip",
        "Add a link-local address for the container",
    )
    .value("strings", checks::any),
];

/// Flags of `network disconnect`.
pub(crate) const DISCONNECT: &[Flag] =
    &[switch("force", "Force the container to disconnect from a network").short('f')];

/// Flags of `network rm`.
pub(crate) const RM: &[Flag] =
    &[switch("force", "Do not error if the network does not exist").short('f')];

/// All values of a flag that takes several at once.
fn strings(m: &Matches, flag: &str) -> Vec<String> {
    let given = m.all(flag);
    let parts = given.iter().flat_map(|text| text.split(','));
    parts.map(str::to_owned).collect()
}

fn path(name: &str) -> String {
    format!("/networks/{name}")
}

/// `docker network connect`.
pub(crate) async fn connect(context: &Context, m: Matches) -> Result {
    let mut options = std::collections::BTreeMap::new();
    for text in strings(&m, "driver-opt") {
        let (name, value) = option(&text)
            .ok_or_else(|| Error::msg("invalid key/value pair format in driver options"))?;
        options.insert(name, value);
    }
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let settings = EndpointSettings {
        ipam_config: Some(EndpointIpam {
            ipv4_address: m.text("ip"),
            ipv6_address: m.text("ip6"),
            link_local_ips: strings(&m, "link-local-ip"),
        }),
        links: some(m.all("link")),
        aliases: some(strings(&m, "alias")),
        driver_opts: (!options.is_empty()).then_some(options),
        gw_priority: m.int("gw-priority").unwrap_or(0),
        ..EndpointSettings::default()
    };
    let wanted = NetworkConnect {
        container: m.args[1].clone(),
        endpoint_config: Some(settings),
    };
    let request = Request::post(&format!("{}/connect", path(&m.args[0])));
    Ok(request.json(&wanted).done(&context.client).await?)
}

/// `docker network disconnect`.
pub(crate) async fn disconnect(context: &Context, m: Matches) -> Result {
    let wanted = NetworkDisconnect {
        container: m.args[1].clone(),
        force: m.on("force"),
    };
    let request = Request::post(&format!("{}/disconnect", path(&m.args[0])));
    Ok(request.json(&wanted).done(&context.client).await?)
}

/// What another daemon's users are told before they remove the network of its cluster.
const INGRESS: &str = "WARNING! Before removing the routing-mesh network, make sure all the nodes \
    in your swarm run the same docker engine version. Otherwise, removal may not be effective and \
    functionality of newly create ingress networks will be impaired.";

/// `docker network rm`.
pub(crate) async fn rm(context: &Context, m: Matches) -> Result {
    let mut failed = false;
    for name in &m.args {
        let known = Request::get(&path(name)).decode::<Value>(&context.client);
        if known.await.is_ok_and(|network| network["Ingress"] == true) && !confirmed(INGRESS)? {
            continue;
        }
        match Request::delete(&path(name)).done(&context.client).await {
            Ok(()) => output::line(name)?,
            Err(error) if m.on("force") && error.is_not_found() => {}
            Err(error) => {
                output::complain(&error.to_string());
                failed = true;
            }
        }
    }
    if failed {
        Err(Error::Status(1))
    } else {
        Ok(())
    }
}

/// Removes networks; those that went, as text.
pub(crate) async fn prune_networks(context: &Context, filters: &[String]) -> Result<String> {
    let request = Request::post("/networks/prune").filters(filters);
    let pruned: NetworksPruned = lenient(request.decode(&context.client).await?, "answer")?;
    if pruned.networks_deleted.is_empty() {
        return Ok(String::new());
    }
    let names = pruned.networks_deleted.join("\n");
    Ok(format!("Deleted Networks:\n{names}\n"))
}

/// `docker network prune`.
pub(crate) async fn prune(context: &Context, m: Matches) -> Result {
    let warning =
        "WARNING! This will remove all custom networks not used by at least one container.";
    if !m.on("force") && !confirmed(warning)? {
        return Ok(());
    }
    match prune_networks(context, &m.all("filter")).await?.as_str() {
        "" => Ok(()),
        text => output::line(text),
    }
}
