//! `firewall`: what is open on the host, and why.

use types::firewall::{Firewall, FirewallNetwork, OpenPort};

use super::Context;
use crate::{
    client::Request,
    error::Result,
    flags::{Flag, Matches, text},
    format::output,
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[text("format", "Print as JSON (\"json\") or for people")];

/// `wharf firewall`.
pub(crate) async fn firewall(context: &Context, m: Matches) -> Result {
    let told: Firewall = Request::get("/wharf/firewall")
        .decode(&context.client)
        .await?;
    match m.text("format").as_str() {
        "" | "table" => output::print(&sheet(&told)),
        "json" => output::print(&format!("{}\n", serde_json::json!(told))),
        other => Err(crate::error::Error::msg(format!(
            "invalid format {other:?}: json and table are known"
        ))),
    }
}

fn sheet(told: &Firewall) -> String {
    let mut text = String::from("Ports of this host that lead to containers:\n");
    text.push_str(&table(
        &["HOST", "CONTAINER", "TARGET", "WHY"],
        told.ports.iter().map(port),
    ));
    text.push_str("\nNetworks:\n");
    text.push_str(&table(
        &["NETWORK", "BRIDGE", "SUBNETS", "IN", "OUT"],
        told.networks.iter().map(network),
    ));
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
    text
}

fn port(p: &OpenPort) -> Vec<String> {
    let host = if p.host_ip.contains(':') {
        format!("[{}]:{}/{}", p.host_ip, p.host_port, p.protocol)
    } else {
        format!("{}:{}/{}", p.host_ip, p.host_port, p.protocol)
    };
    vec![host, p.container.clone(), p.target.clone(), p.why.clone()]
}

fn network(n: &FirewallNetwork) -> Vec<String> {
    vec![
        n.name.clone(),
        n.bridge.clone(),
        n.subnets.join(", "),
        n.inbound.clone(),
        n.outbound.clone(),
    ]
}

/// Columns as wide as their widest cell.
fn table(headers: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = headers.iter().map(|h| (*h).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |at: usize| {
        all.iter()
            .filter_map(|r| r.get(at))
            .map(|c| c.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..headers.len())
        .map(|at| width(at).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &all {
        let cells = row.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}"));
        let line = cells.collect::<Vec<_>>().join("   ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
