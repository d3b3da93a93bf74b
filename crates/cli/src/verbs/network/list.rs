//! `network ls`.

use serde_json::{Value, json};
use types::{id, network::NetworkInspect};

use super::super::{lenient::items, port::natural};
use crate::{
    client::Request,
    error::Result,
    flags::{FILTER, FORMAT_TABLE, Flag, Matches, switch},
    format::{output, template, time},
    verbs::Context,
};

/// Its flags.
pub(crate) const LS: &[Flag] = &[
    FILTER,
    FORMAT_TABLE,
    switch("no-trunc", "Do not truncate the output"),
    switch("quiet", "Only display network IDs").short('q'),
];

const HEADERS: &[(&str, &str)] = &[
    ("CreatedAt", "CREATED AT"),
    ("Driver", "DRIVER"),
    ("ID", "NETWORK ID"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("Name", "NAME"),
    ("Scope", "SCOPE"),
];

const COLUMNS: &str = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";

const RAW: &str = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n";

/// `docker network ls`.
pub(crate) async fn list(context: &Context, m: Matches) -> Result {
    let list: Vec<Value> = Request::get("/networks")
        .filters(&m.all("filter"))
        .decode(&context.client)
        .await?;
    let mut networks: Vec<NetworkInspect> = items(list)?;
    networks.sort_by(|a, b| natural(&a.name, &b.name));
    let (quiet, full) = (m.on("quiet"), m.on("no-trunc"));
    let format = match m.get("format") {
        Some(format) => format.to_owned(),
        None if quiet => String::new(),
        None => context.config.text("networksFormat"),
    };
    let rows: Vec<Value> = networks.iter().map(|n| row(n, full)).collect();
    let format = match format.as_str() {
        "" | "table" if quiet => "{{.ID}}",
        "raw" if quiet => "network_id: {{.ID}}",
        "raw" => RAW,
        format => format,
    };
    output::print(&template::rows(format, COLUMNS, HEADERS, &rows)?)
}

fn row(network: &NetworkInspect, full: bool) -> Value {
    let labels = network.labels.iter().map(|(k, v)| format!("{k}={v}"));
    let labels: Vec<String> = labels.collect();
    json!({
        "CreatedAt": time::go_text(&network.created),
        "Driver": network.driver,
        "ID": if full { &network.id } else { id::short(&network.id) },
        "IPv4": network.enable_ipv4.to_string(),
        "IPv6": network.enable_ipv6.to_string(),
        "Internal": network.internal.to_string(),
        "Labels": labels.join(","),
        "Name": network.name,
        "Scope": network.scope,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_what_dockers_do() {
        let network: NetworkInspect = serde_json::from_value(json!({
            "Id": "0123456789abcdef", "Name": "mine", "Driver": "bridge", "Scope": "local",
            "EnableIPv4": true, "Created": "2026-01-02T03:04:05.6Z", "Labels": {"b": "2", "a": ""},
        }))
        .unwrap();
        let shown = row(&network, false);
        assert_eq!(shown["ID"], "0123456789ab");
        assert_eq!(shown["CreatedAt"], "2026-01-02 03:04:05.6 +0000 UTC");
        assert_eq!(
            (&shown["IPv4"], &shown["Internal"]),
            (&json!("true"), &json!("false"))
        );
        assert_eq!(shown["Labels"], "a=,b=2");
        assert_eq!(row(&network, true)["ID"], "0123456789abcdef");
    }
}
