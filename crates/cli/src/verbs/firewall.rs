//! `firewall`: what is open on the host, and why.

use serde_json::{Value, json};
use types::firewall::{Firewall, FirewallNetwork, OpenPort};

use super::Context;
use crate::{
    client::Request,
    error::Result,
    flags::{Flag, Matches, text},
    format::{output, ports, template},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[text("format", "Print as JSON (\"json\") or for people")];

/// `wharf firewall`.
pub(crate) async fn firewall(context: &Context, m: Matches) -> Result {
    let told: Firewall = Request::get("/wharf/firewall")
        .decode(&context.client)
        .await?;
    match m.text("format").as_str() {
        "" | "table" => output::print(&sheet(&told)?),
        "json" => output::print(&format!("{}\n", json!(told))),
        other => Err(crate::error::Error::msg(format!(
            "invalid format {other:?}: json and table are known"
        ))),
    }
}

const PORTS: &str = "table {{.Host}}\t{{.Container}}\t{{.Target}}\t{{.Why}}";
const NETWORKS: &str = "table {{.Network}}\t{{.Bridge}}\t{{.Subnets}}\t{{.In}}\t{{.Out}}";
const HEADERS: &[(&str, &str)] = &[
    ("Host", "HOST"),
    ("Container", "CONTAINER"),
    ("Target", "TARGET"),
    ("Why", "WHY"),
    ("Network", "NETWORK"),
    ("Bridge", "BRIDGE"),
    ("Subnets", "SUBNETS"),
    ("In", "IN"),
    ("Out", "OUT"),
];

fn sheet(told: &Firewall) -> Result<String> {
    let open: Vec<Value> = told.ports.iter().map(port).collect();
    let networks: Vec<Value> = told.networks.iter().map(network).collect();
    let mut text = String::from("Ports of this host that lead to containers:\n");
    text.push_str(&template::rows("", PORTS, HEADERS, &open)?);
    text.push_str("\nNetworks:\n");
    text.push_str(&template::rows("", NETWORKS, HEADERS, &networks)?);
    let (table, yours) = (&told.table, &told.user_table);
    text.push_str(&format!(
        "\nRules: nftables tables ip {table} and ip6 {table} (wharf's own; changes are undone).\n\
         Yours: chain forward of table inet {yours} sees first what passes to and from containers;\n\
         what it drops stays dropped, for example the port 8080 for all but one network:\n  \
         nft add rule inet {yours} forward meta l4proto tcp ct original proto-dst 8080 ip saddr != 10.0.0.0/8 drop\n"
    ));
    if told.integrate {
        text.push_str("Chains of others that drop have rules that let containers' packets pass.\n");
    }
    for warning in &told.warnings {
        text.push_str(&format!("\nWARNING: {warning}\n"));
    }
    Ok(text)
}

fn port(p: &OpenPort) -> Value {
    let host = format!("{}:{}/{}", ports::host(&p.host_ip), p.host_port, p.protocol);
    json!({"Host": host, "Container": p.container, "Target": p.target, "Why": p.why})
}

fn network(n: &FirewallNetwork) -> Value {
    json!({
        "Network": n.name, "Bridge": n.bridge, "Subnets": n.subnets.join(", "),
        "In": n.inbound, "Out": n.outbound,
    })
}
