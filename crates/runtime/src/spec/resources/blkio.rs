//! Block I/O.

use std::{fs, io, os::unix::fs::MetadataExt};

use oci_spec::runtime::{
    LinuxBlockIo, LinuxThrottleDevice, LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder,
};

use super::{Judge, invalid};
use crate::{
    Error,
    spec::{DeviceRate, Resources},
};

pub(super) fn blkio(
    given: &Resources,
    judge: &mut Judge<'_>,
) -> Result<Option<LinuxBlockIo>, Error> {
    let controls = &judge.host.controls;
    let mut out = LinuxBlockIo::default();
    if given.blkio_weight > 0 && !(10..=1000).contains(&given.blkio_weight) {
        return invalid("range of blkio weight is from 10 to 1000");
    }
    if judge.can(
        given.blkio_weight > 0,
        controls.blkio_weight,
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight \
         discarded.",
    ) {
        out.set_weight(Some(given.blkio_weight));
    }
    if judge.can(
        !given.blkio_weight_device.is_empty(),
        controls.blkio_weight_device,
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. \
         Weight-device discarded.",
    ) {
        let mut all = Vec::new();
        for (path, weight) in &given.blkio_weight_device {
            if !(10..=1000).contains(weight) {
                return invalid(format!("invalid weight for device: {path}:{weight}"));
            }
            let (major, minor) = numbers(path)?;
            let device = LinuxWeightDeviceBuilder::default()
                .major(major)
                .minor(minor)
                .weight(*weight)
                .build();
            all.push(device.map_err(|e| Error::Invalid(e.to_string()))?);
        }
        out.set_weight_device(Some(all));
    }
    let mut throttle = |rates: &[DeviceRate], kind: &str, what: &str| {
        let can = judge.can(
            !rates.is_empty(),
            controls.blkio_throttle,
            &format!(
                "Your kernel does not support {kind} or the cgroup is not mounted. Block I/O \
                 {what} limit discarded."
            ),
        );
        if can {
            devices(rates).map(Some)
        } else {
            Ok(None)
        }
    };
    let r = given;
    let bps_read = throttle(&r.read_bps, "BPS Block I/O read limit", "BPS read")?;
    let bps_write = throttle(&r.write_bps, "BPS Block I/O write limit", "BPS write")?;
    let iops_read = throttle(&r.read_iops, "IOPS Block read limit", "IOPS read")?;
    let iops_write = throttle(&r.write_iops, "IOPS Block write limit", "IOPS write")?;
    out.set_throttle_read_bps_device(bps_read);
    out.set_throttle_write_bps_device(bps_write);
    out.set_throttle_read_iops_device(iops_read);
    out.set_throttle_write_iops_device(iops_write);
    Ok((out != LinuxBlockIo::default()).then_some(out))
}

fn devices(rates: &[DeviceRate]) -> Result<Vec<LinuxThrottleDevice>, Error> {
    let device = |rate: &DeviceRate| {
        let (major, minor) = numbers(&rate.path)?;
        LinuxThrottleDeviceBuilder::default()
            .major(major)
            .minor(minor)
            .rate(rate.rate)
            .build()
            .map_err(|e| Error::Invalid(e.to_string()))
    };
    rates.iter().map(device).collect()
}

/// The numbers of the device at `path`.
fn numbers(path: &str) -> Result<(i64, i64), Error> {
    let meta = fs::metadata(path).map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => e.to_string(),
        };
        Error::Invalid(format!("stat {path}: {why}"))
    })?;
    let number = meta.rdev();
    if number == 0 {
        return invalid(format!("{path} is not a device node"));
    }
    Ok((
        rustix::fs::major(number).into(),
        rustix::fs::minor(number).into(),
    ))
}
