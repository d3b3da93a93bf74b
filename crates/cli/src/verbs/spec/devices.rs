//! `--device`, `--device-cgroup-rule`, `--device-read-bps`, `--blkio-weight-device`, `--gpus`.

use types::container::{DeviceMapping, DeviceRequest, ThrottleDevice, WeightDevice};

use crate::format::size;

/// What a rate counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Bytes, with a suffix if need be.
    Bytes,
    /// Operations.
    Operations,
}

/// Whether it is a device that a vendor describes: `vendor/class=name`.
pub(crate) fn is_described(text: &str) -> bool {
    let named = |t: &str| !t.is_empty() && t.starts_with(|c: char| c.is_ascii_alphanumeric());
    text.split_once('=').is_some_and(|(kind, device)| {
        named(device)
            && kind
                .split_once('/')
                .is_some_and(|(vendor, class)| named(vendor) && named(class))
    })
}

/// `host[:container][:rwm]`.
pub(crate) fn mapping(text: &str) -> Result<DeviceMapping, String> {
    let is_mode = |t: &str| !t.is_empty() && t.bytes().all(|b| b"rwm".contains(&b));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, access) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, mode] if is_mode(mode) => (host, host, mode),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, mode] if is_mode(mode) => (host, inside, mode),
        [_, _, mode] => return Err(format!("bad mode specified: {mode}")),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    for path in [host, inside] {
        if !path.starts_with('/') {
            return Err(format!("{path} is not an absolute path"));
        }
    }
    Ok(DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: inside.to_owned(),
        cgroup_permissions: access.to_owned(),
    })
}

/// `c 1:3 rwm`.
pub(crate) fn rule_check(text: &str) -> Result<(), String> {
    let valid = || {
        let mut parts = text.split(' ');
        let (kind, numbers, access) = (parts.next()?, parts.next()?, parts.next()?);
        let (major, minor) = numbers.split_once(':')?;
        let number = |n: &str| n == "*" || !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
        let good = matches!(kind, "a" | "b" | "c")
            && number(major)
            && number(minor)
            && (1..=3).contains(&access.len())
            && access.bytes().all(|b| b"rwm".contains(&b))
            && parts.next().is_none();
        good.then_some(())
    };
    valid().ok_or_else(|| format!("invalid device cgroup format '{text}'"))
}

fn device_and(text: &str) -> Result<(&str, &str), String> {
    let (path, value) = text
        .split_once(':')
        .ok_or_else(|| format!("bad format: {text}"))?;
    if path.starts_with("/dev/") {
        Ok((path, value))
    } else {
        Err(format!("bad format for device path: {text}"))
    }
}

/// `/dev/sda:1mb`, `/dev/sda:1000`.
pub(crate) fn rate(text: &str, unit: Unit) -> Result<ThrottleDevice, String> {
    let (path, value) = device_and(text)?;
    let (rate, form) = match unit {
        Unit::Bytes => (
            size::parse(value).ok().and_then(|n| u64::try_from(n).ok()),
            "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional \
             and can be kb, mb, or gb",
        ),
        Unit::Operations => (
            value.parse().ok(),
            "<device-path>:<number>. Number must be a positive integer",
        ),
    };
    Ok(ThrottleDevice {
        path: path.to_owned(),
        rate: rate.ok_or_else(|| {
            format!("invalid rate for device: {text}. The correct format is {form}")
        })?,
    })
}

/// `/dev/sda:500`.
pub(crate) fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, value) = device_and(text)?;
    let weight = value
        .parse()
        .ok()
        .filter(|w| *w == 0 || (10..=1000).contains(w));
    Ok(WeightDevice {
        path: path.to_owned(),
        weight: weight.ok_or_else(|| format!("invalid weight for device: {text}"))?,
    })
}

/// `all`, a number, or `count=…,device=…,driver=…,capabilities=…`.
pub(crate) fn gpus(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut capabilities = vec!["gpu".to_owned()];
    let count = |value: &str| match value {
        "all" => Ok(-1),
        n => n
            .parse::<i64>()
            .map_err(|_| format!("count must be an integer: {n:?} is none")),
    };
    if !text.contains('=') {
        request.count = count(text)?;
    } else {
        for part in fields(text) {
            let (name, value) = part.split_once('=').unwrap_or(("", &part));
            match name {
                "" | "count" => request.count = count(value)?,
                "device" => {
                    request.device_ids = Some(value.split(',').map(str::to_owned).collect());
                }
                "driver" => request.driver = value.to_owned(),
                "capabilities" => capabilities.extend(value.split(',').map(str::to_owned)),
                _ => return Err(format!("unexpected key '{name}' in '{part}'")),
            }
        }
    }
    if request.count == 0 && request.device_ids.is_none() {
        request.count = 1;
    }
    request.capabilities = Some(vec![capabilities]);
    Ok(request)
}

/// Fields between commas, as in a line of CSV: quotes hold one together.
fn fields(text: &str) -> Vec<String> {
    let (mut all, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    all.push(field);
    all
}

/// See [`weight`].
pub(crate) fn weight_check(text: &str) -> Result<(), String> {
    weight(text).map(drop)
}

/// See [`rate`].
pub(crate) fn bytes_check(text: &str) -> Result<(), String> {
    rate(text, Unit::Bytes).map(drop)
}

/// See [`rate`].
pub(crate) fn operations_check(text: &str) -> Result<(), String> {
    rate(text, Unit::Operations).map(drop)
}

/// See [`gpus`].
pub(crate) fn gpus_check(text: &str) -> Result<(), String> {
    gpus(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        let of = |text| {
            mapping(text).map(|d| (d.path_on_host, d.path_in_container, d.cgroup_permissions))
        };
        let three = |a: &str, b: &str, c: &str| Ok((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(of("/dev/a"), three("/dev/a", "/dev/a", "rwm"));
        assert_eq!(of("/dev/a:r"), three("/dev/a", "/dev/a", "r"));
        assert_eq!(of("/dev/a:/dev/b:rw"), three("/dev/a", "/dev/b", "rw"));
        assert!(of("/dev/a:/dev/b:x").unwrap_err().contains("bad mode"));
        assert!(of("a").unwrap_err().contains("absolute path"));
        assert!(is_described("vendor.com/class=one") && !is_described("/dev/a=b"));
    }

    #[test]
    fn rates_and_weights() {
        assert_eq!(rate("/dev/a:1mb", Unit::Bytes).unwrap().rate, 1 << 20);
        assert_eq!(rate("/dev/a:7", Unit::Operations).unwrap().rate, 7);
        assert!(rate("/dev/a:7k", Unit::Operations).is_err());
        assert!(
            rate("a:1", Unit::Bytes)
                .unwrap_err()
                .contains("device path")
        );
        assert_eq!(weight("/dev/a:500").unwrap().weight, 500);
        assert!(weight("/dev/a:5").is_err());
        assert!(rule_check("c 1:* rwm").is_ok() && rule_check("c 1 r").is_err());
    }

    #[test]
    fn gpu_requests() {
        assert_eq!(gpus("all").unwrap().count, -1);
        let request = gpus("\"device=0,1\",driver=x,capabilities=utility").unwrap();
        assert_eq!(request.device_ids, Some(vec!["0".into(), "1".into()]));
        assert_eq!(
            request.capabilities,
            Some(vec![vec!["gpu".into(), "utility".into()]])
        );
        assert!(gpus("colour=red").is_err() && gpus("many").is_err());
    }
}
