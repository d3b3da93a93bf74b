//! `stats`: what running containers take, once or again and again.

use futures_util::future::join_all;
use serde_json::{Value, json};
use types::id;

use super::Context;
use crate::{
    client::Request,
    error::Result,
    flags::{Flag, Matches, switch, text},
    format::{output, size, template},
    tty,
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch("all", "Show all containers (default shows just running)").short('a'),
    text("format", "Format output using a custom template"),
    switch(
        "no-stream",
        "Disable streaming stats and only pull the first result",
    ),
    switch("no-trunc", "Do not truncate output"),
];

const HEADERS: &[(&str, &str)] = &[
    ("BlockIO", "BLOCK I/O"),
    ("CPUPerc", "CPU %"),
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("MemPerc", "MEM %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("Name", "NAME"),
    ("NetIO", "NET I/O"),
    ("PIDs", "PIDS"),
];

const COLUMNS: &str = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// `docker stats`.
pub(crate) async fn stats(context: &Context, m: Matches) -> Result {
    let once = m.on("no-stream");
    let format = match m.get("format") {
        Some(format) => format.to_owned(),
        None => context.config.text("statsFormat"),
    };
    let screen = !once && tty::is_terminal(std::io::stdout());
    loop {
        let names = names(context, &m).await?;
        let samples = join_all(names.iter().map(|name| sample(context, name))).await;
        let mut rows = Vec::new();
        for (name, sample) in names.iter().zip(samples) {
            match sample {
                Ok(sample) => rows.push(row(name, &sample, m.on("no-trunc"))),
                // It was asked for by name; one of all may just have gone.
                Err(error) if !m.args.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        let text = template::rows(&format, COLUMNS, HEADERS, &rows)?;
        // The screen anew, from its top.
        let clear = if screen { "\x1b[H\x1b[J" } else { "" };
        output::print(&format!("{clear}{text}"))?;
        if once {
            return Ok(());
        }
    }
}

async fn names(context: &Context, m: &Matches) -> Result<Vec<String>> {
    if !m.args.is_empty() {
        return Ok(m.args.clone());
    }
    let list: Vec<Value> = Request::get("/containers/json")
        .query_on("all", m.on("all"))
        .decode(&context.client)
        .await?;
    let id = |c: &Value| c["Id"].as_str().unwrap_or_default().to_owned();
    Ok(list.iter().map(id).collect())
}

/// With the second that the daemon takes to compare two moments.
async fn sample(context: &Context, name: &str) -> Result<Value> {
    Ok(Request::get(&format!("/containers/{name}/stats"))
        .query("stream", "false")
        .decode(&context.client)
        .await?)
}

fn row(asked: &str, s: &Value, whole: bool) -> Value {
    let number = |pointer: &str| s.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let change = |member: &str| {
        let now = number(&format!("/cpu_stats/{member}"));
        now.saturating_sub(number(&format!("/precpu_stats/{member}")))
    };
    let (used, system) = (change("cpu_usage/total_usage"), change("system_cpu_usage"));
    let cores = number("/cpu_stats/online_cpus").max(1);
    let cpu = if system == 0 {
        0.0
    } else {
        used as f64 / system as f64 * cores as f64 * 100.0
    };
    // What the kernel could drop is not counted, as docker has it: its name differs by version.
    let inactive = ["total_inactive_file", "inactive_file"]
        .iter()
        .map(|name| number(&format!("/memory_stats/stats/{name}")))
        .find(|bytes| *bytes > 0)
        .unwrap_or(0);
    let usage = number("/memory_stats/usage").saturating_sub(inactive);
    let limit = number("/memory_stats/limit");
    let share = if limit == 0 {
        0.0
    } else {
        usage as f64 / limit as f64 * 100.0
    };
    let networks = s["networks"].as_object();
    let network = |member: &str| -> u64 {
        let all = networks.into_iter().flat_map(|n| n.values());
        all.filter_map(|n| n[member].as_u64()).sum()
    };
    let blocks = s.pointer("/blkio_stats/io_service_bytes_recursive");
    let block = |op: &str| -> u64 {
        let all = blocks.and_then(Value::as_array).into_iter().flatten();
        all.filter(|b| b["op"].as_str().is_some_and(|o| o.eq_ignore_ascii_case(op)))
            .filter_map(|b| b["value"].as_u64())
            .sum()
    };
    let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let pair = |a: u64, b: u64| format!("{} / {}", size::human3(bytes(a)), size::human3(bytes(b)));
    let full = s["id"].as_str().unwrap_or_default();
    json!({
        "Container": asked,
        "ID": if whole { full } else { id::short(full) },
        "Name": s["name"].as_str().unwrap_or_default().trim_start_matches('/'),
        "CPUPerc": format!("{cpu:.2}%"),
        "MemUsage": format!("{} / {}", size::binary(bytes(usage)), size::binary(bytes(limit))),
        "MemPerc": format!("{share:.2}%"),
        "NetIO": pair(network("rx_bytes"), network("tx_bytes")),
        "BlockIO": pair(block("read"), block("write")),
        "PIDs": number("/pids_stats/current").to_string(),
    })
}
