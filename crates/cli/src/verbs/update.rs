//! `update`.

use serde_json::{Map, Value, json};
use types::container::UpdateResponse;

use super::{Context, config};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, int, text},
    format::{output, size},
};

/// Its flags, besides [`super::options::LIMITS`].
pub(crate) const FLAGS: &[Flag] = &[
    int(
        "cpu-rt-period",
        "Limit the CPU real-time period in microseconds",
    ),
    int(
        "cpu-rt-runtime",
        "Limit the CPU real-time runtime in microseconds",
    ),
    text("cpus", "Number of CPUs").value("decimal", checks::cpus),
    text("kernel-memory", "Kernel memory limit (deprecated)")
        .value("bytes", checks::bytes)
        .hidden(),
    text("memory", "Memory limit")
        .short('m')
        .value("bytes", checks::bytes),
    text(
        "memory-swap",
        "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    )
    .value("bytes", checks::swap),
    int(
        "pids-limit",
        "Tune container pids limit (set -1 for unlimited)",
    ),
    text("restart", "Restart policy to apply when a container exits"),
];

/// The request that `m` describes.
fn change(m: &Matches) -> Result<Value> {
    let mut change = Map::new();
    for (flag, member) in [
        ("blkio-weight", "BlkioWeight"),
        ("cpu-period", "CpuPeriod"),
        ("cpu-quota", "CpuQuota"),
        ("cpu-rt-period", "CpuRealtimePeriod"),
        ("cpu-rt-runtime", "CpuRealtimeRuntime"),
        ("cpu-shares", "CpuShares"),
        ("pids-limit", "PidsLimit"),
    ] {
        if let Some(number) = m.int(flag) {
            change.insert(member.to_owned(), json!(number));
        }
    }
    for (flag, member) in [("cpuset-cpus", "CpusetCpus"), ("cpuset-mems", "CpusetMems")] {
        if let Some(text) = m.get(flag) {
            change.insert(member.to_owned(), json!(text));
        }
    }
    for (flag, member) in [
        ("kernel-memory", "KernelMemory"),
        ("memory", "Memory"),
        ("memory-reservation", "MemoryReservation"),
        ("memory-swap", "MemorySwap"),
    ] {
        if let Some(text) = m.get(flag) {
            let bytes = match text {
                "-1" => -1,
                text => size::parse(text).map_err(Error::msg)?,
            };
            change.insert(member.to_owned(), json!(bytes));
        }
    }
    if let Some(cpus) = m.get("cpus") {
        let cpus = checks::nano_cpus(cpus).map_err(Error::msg)?;
        change.insert("NanoCpus".to_owned(), json!(cpus));
    }
    if let Some(policy) = m.get("restart") {
        change.insert("RestartPolicy".to_owned(), json!(config::restart(policy)?));
    }
    if change.is_empty() {
        return Err(Error::msg(
            "you must provide one or more flags when using this command",
        ));
    }
    Ok(Value::Object(change))
}

/// `docker update`.
pub(crate) async fn update(context: &Context, m: Matches) -> Result {
    let change = change(&m)?;
    let (mut warnings, mut failed) = (Vec::new(), false);
    for name in &m.args {
        let answer: std::result::Result<Value, _> =
            Request::post(&format!("/containers/{name}/update"))
                .json(&change)
                .decode(&context.client)
                .await;
        match answer {
            Ok(mut answer) => {
                output::line(name)?;
                types::json::drop_nulls(&mut answer);
                let answer: UpdateResponse = serde_json::from_value(answer).unwrap_or_default();
                warnings.extend(answer.warnings);
            }
            Err(error) => {
                failed = true;
                output::complain(&error.to_string());
            }
        }
    }
    if !warnings.is_empty() {
        output::line(&warnings.join("\n"))?;
    }
    if failed {
        Err(Error::Status(1))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn only_what_is_given_is_sent() {
        let read = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            change(&parse(&[FLAGS], true, &words).unwrap()).map_err(|e| e.to_string())
        };
        assert_eq!(
            read("-m 64m --memory-swap -1 --cpus 0.5 --restart on-failure:3 a").unwrap(),
            json!({"Memory": 64 << 20, "MemorySwap": -1, "NanoCpus": 500_000_000,
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}})
        );
        assert_eq!(read("--pids-limit -1 a").unwrap(), json!({"PidsLimit": -1}));
        assert!(read("a").unwrap_err().starts_with("you must provide"));
    }
}
