//! From the flags that reach the kernel to their part of the request.

use std::collections::BTreeMap;

use serde_json::Map;
use types::container::{DeviceRequest, HostConfig};

use super::spec::devices;
use crate::{
    error::{Error, Result},
    flags::Matches,
    format::size,
};

/// Namespaces, devices and limits.
pub(crate) fn kernel(m: &Matches) -> Result<HostConfig> {
    let bytes = |name: &str| m.get(name).map_or(Ok(0), size::parse).map_err(Error::msg);
    let number = |name: &str| m.int(name).unwrap_or(0);
    let mode = |flag: &str, kind: &str, valid: &[&str], joins: bool| {
        let text = m.text(flag);
        let other = text.strip_prefix("container:").filter(|_| joins);
        if text.is_empty() || valid.contains(&text.as_str()) || other.is_some_and(|o| !o.is_empty())
        {
            Ok(text)
        } else {
            Err(Error::msg(format!("--{flag}: invalid {kind} mode")))
        }
    };
    let swappiness = m.int("memory-swappiness");
    if let Some(n) = swappiness.filter(|n| !(-1..=100).contains(n)) {
        return Err(Error::msg(format!(
            "invalid value: {n}. Valid memory swappiness range is 0-100"
        )));
    }
    let (devices, mut requests) = split_devices(&m.all("device"))?;
    if let Some(gpus) = m.get("gpus") {
        requests.push(devices::gpus(gpus).map_err(Error::msg)?);
    }
    let rates = |name: &str, unit: devices::Unit| {
        let all = m.all(name);
        let rates = all.iter().map(|text| devices::rate(text, unit));
        collected(rates)
    };
    let rules = m.all("device-cgroup-rule");
    Ok(HostConfig {
        pid_mode: mode("pid", "PID", &["host"], true)?,
        // An unknown one is refused by the daemon, which may know more.
        ipc_mode: m.text("ipc"),
        uts_mode: mode("uts", "UTS", &["host"], false)?,
        userns_mode: mode("userns", "USER", &["host"], false)?,
        oom_score_adj: number("oom-score-adj"),
        oom_kill_disable: m.switch("oom-kill-disable") == Some(true),
        cpu_shares: number("cpu-shares"),
        cpu_period: number("cpu-period"),
        cpu_quota: number("cpu-quota"),
        cpu_realtime_period: number("cpu-rt-period"),
        cpu_realtime_runtime: number("cpu-rt-runtime"),
        cpuset_cpus: m.text("cpuset-cpus"),
        cpuset_mems: m.text("cpuset-mems"),
        memory_reservation: bytes("memory-reservation")?,
        memory_swappiness: swappiness,
        kernel_memory: bytes("kernel-memory")?,
        blkio_weight: u16::try_from(number("blkio-weight"))
            .map_err(|_| Error::msg("--blkio-weight: value out of range"))?,
        blkio_weight_device: collected(
            m.all("blkio-weight-device")
                .iter()
                .map(|text| devices::weight(text)),
        )?,
        blkio_device_read_bps: rates("device-read-bps", devices::Unit::Bytes)?,
        blkio_device_write_bps: rates("device-write-bps", devices::Unit::Bytes)?,
        blkio_device_read_iops: rates("device-read-iops", devices::Unit::Operations)?,
        blkio_device_write_iops: rates("device-write-iops", devices::Unit::Operations)?,
        devices,
        device_cgroup_rules: (!rules.is_empty()).then_some(rules),
        device_requests: (!requests.is_empty()).then_some(requests),
        storage_opt: pairs(&m.all("storage-opt"), "storage option")?,
        sysctls: pairs(&m.all("sysctl"), "sysctl")?,
        annotations: m
            .all("annotation")
            .iter()
            .map(|text| {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect(),
        other: Map::new(),
        ..HostConfig::default()
    })
}

/// Devices of the host, and those that a vendor describes.
fn split_devices(
    given: &[String],
) -> Result<(Vec<types::container::DeviceMapping>, Vec<DeviceRequest>)> {
    let (described, plain): (Vec<String>, Vec<String>) = given
        .iter()
        .cloned()
        .partition(|text| devices::is_described(text));
    let plain = plain.iter().map(|text| devices::mapping(text));
    let plain = collected(plain)?;
    let request = DeviceRequest {
        driver: "cdi".to_owned(),
        device_ids: Some(described),
        ..DeviceRequest::default()
    };
    let any = request.device_ids.as_ref().is_some_and(|d| !d.is_empty());
    Ok((plain, any.then_some(request).into_iter().collect()))
}

fn collected<T>(all: impl Iterator<Item = std::result::Result<T, String>>) -> Result<Vec<T>> {
    all.map(|one| one.map_err(Error::msg)).collect()
}

fn pairs(given: &[String], what: &str) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Error::msg(format!("invalid {what}: {text}"))),
    };
    given.iter().map(pair).collect()
}
