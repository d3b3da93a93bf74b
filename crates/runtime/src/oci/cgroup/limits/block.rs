//! `linux.resources.blockIO`.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::super::super::error::{Error, Result};
use super::{
    convert,
    knob::{Controller, Controllers},
};

/// A list of devices with a rate, and where it goes: version 1's file, version 2's word.
type Throttle<'a> = (
    &'static str,
    &'static str,
    &'static str,
    &'a Option<Vec<LinuxThrottleDevice>>,
);

pub(super) fn apply(have: &Controllers<'_>, b: &LinuxBlockIo) -> Result<()> {
    let block = have.need("blkio", "io", "linux.resources.blockIO")?;
    weights(&block, b)?;
    let throttles: [Throttle<'_>; 4] = [
        (
            "linux.resources.blockIO.throttleReadBpsDevice",
            "blkio.throttle.read_bps_device",
            "rbps",
            b.throttle_read_bps_device(),
        ),
        (
            "linux.resources.blockIO.throttleWriteBpsDevice",
            "blkio.throttle.write_bps_device",
            "wbps",
            b.throttle_write_bps_device(),
        ),
        (
            "linux.resources.blockIO.throttleReadIOPSDevice",
            "blkio.throttle.read_iops_device",
            "riops",
            b.throttle_read_iops_device(),
        ),
        (
            "linux.resources.blockIO.throttleWriteIOPSDevice",
            "blkio.throttle.write_iops_device",
            "wiops",
            b.throttle_write_iops_device(),
        ),
    ];
    for (name, file, word, devices) in throttles {
        for d in devices.iter().flatten() {
            let key = format!("{}:{}", d.major(), d.minor());
            if block.v2 {
                let (value, kept) = match d.rate() {
                    // A device without any limit has no line.
                    0 => (format!("{word}=max"), None),
                    n => (format!("{word}={n}"), Some(format!("{word}={n}"))),
                };
                block.set(name, "io.max", &format!("{key} {value}"), |found| {
                    let line = found
                        .lines()
                        .find_map(|l| l.strip_prefix(&key)?.strip_prefix(' '));
                    let has =
                        |part: &str| line.is_some_and(|l| l.split_whitespace().any(|w| w == part));
                    match &kept {
                        Some(kept) => has(kept),
                        None => line.is_none() || has(&value),
                    }
                })?;
            } else {
                let rate = d.rate().to_string();
                let kept = if d.rate() == 0 { "" } else { &rate };
                block.line(name, file, &key, &rate, kept)?;
            }
        }
    }
    Ok(())
}

/// Weights are bfq's or, on old kernels and with io.cost, everybody's.
fn weights(block: &Controller, b: &LinuxBlockIo) -> Result<()> {
    const WEIGHT: &str = "linux.resources.blockIO.weight";
    const LEAF: &str = "linux.resources.blockIO.leafWeight";
    const DEVICE: &str = "linux.resources.blockIO.weightDevice";
    let leaf_of_device = b.weight_device().iter().flatten();
    let leaf_of_device = leaf_of_device.clone().any(|d| d.leaf_weight().is_some());
    if b.leaf_weight().is_some_and(|n| n != 0) || leaf_of_device {
        return Err(Error::Unsupported(format!(
            "{LEAF}: kernels have no weight of a cgroup's own processes since Linux 5.0"
        )));
    }
    let (file, device_file, converted) = if block.v2 {
        if block.has("io.bfq.weight") {
            ("io.bfq.weight", "io.bfq.weight", false)
        } else {
            ("io.weight", "io.weight", true)
        }
    } else if block.has("blkio.weight") {
        ("blkio.weight", "blkio.weight_device", false)
    } else {
        ("blkio.bfq.weight", "blkio.bfq.weight_device", false)
    };
    let value = |weight: u16| match converted {
        true => convert::io_weight(weight).to_string(),
        false => weight.to_string(),
    };
    if let Some(weight) = b.weight().filter(|n| *n != 0) {
        let value = value(weight);
        block.set(WEIGHT, file, &value, |found| {
            found == value
                || found
                    .lines()
                    .any(|l| l.strip_prefix("default ") == Some(&value))
        })?;
    }
    for d in b.weight_device().iter().flatten() {
        let Some(weight) = d.weight() else { continue };
        let key = format!("{}:{}", d.major(), d.minor());
        // Zero takes the device's own weight away.
        let (value, kept) = match weight {
            0 if block.v2 => ("default".to_owned(), String::new()),
            0 => ("0".to_owned(), String::new()),
            n => (value(n), value(n)),
        };
        block.line(DEVICE, device_file, &key, &value, &kept)?;
    }
    Ok(())
}
