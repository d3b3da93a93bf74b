//! The smaller limits: processes, huge pages, network classes, rdma, and version 2's own files.

use std::collections::HashMap;

use oci_spec::runtime::{LinuxHugepageLimit, LinuxNetwork, LinuxPids, LinuxRdma};

use super::super::super::error::{Error, Result};
use super::{
    convert,
    knob::{Controllers, bytes_kept},
};

pub(super) fn pids(have: &Controllers<'_>, p: LinuxPids) -> Result<()> {
    const LIMIT: &str = "linux.resources.pids.limit";
    let value = match p.limit() {
        // Not set, as runc has it.
        0 => return Ok(()),
        n if n < 0 => "max".to_owned(),
        n => n.to_string(),
    };
    have.need("pids", "pids", LIMIT)?
        .exact(LIMIT, "pids.max", &value)
}

pub(super) fn huge_pages(have: &Controllers<'_>, limits: &[LinuxHugepageLimit]) -> Result<()> {
    const LIMIT: &str = "linux.resources.hugepageLimits";
    for limit in limits {
        let size = limit.page_size();
        let page = size_of_page(size).ok_or_else(|| {
            Error::config(LIMIT, format!("{size:?} is no size of a page, such as 2MB"))
        })?;
        let name = format!("{LIMIT}[{size}]");
        let huge = have.need("hugetlb", "hugetlb", &name)?;
        let end = if huge.v2 { "max" } else { "limit_in_bytes" };
        huge.bytes(&name, &format!("hugetlb.{size}.{end}"), limit.limit(), page)?;
        // What is reserved and not yet used counts apart, on kernels since 5.7.
        let reserved = format!("hugetlb.{size}.rsvd.{end}");
        if huge.has(&reserved) {
            huge.bytes(&name, &reserved, limit.limit(), page)?;
        }
    }
    Ok(())
}

fn size_of_page(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

pub(super) fn network(have: &Controllers<'_>, n: &LinuxNetwork) -> Result<()> {
    if let Some(class) = n.class_id() {
        const CLASS: &str = "linux.resources.network.classID";
        have.need("net_cls", "net_cls", CLASS)?.exact(
            CLASS,
            "net_cls.classid",
            &class.to_string(),
        )?;
    }
    for p in n.priorities().iter().flatten() {
        const PRIORITIES: &str = "linux.resources.network.priorities";
        if p.name().contains(char::is_whitespace) {
            return Err(Error::config(
                PRIORITIES,
                format!("{:?} is no network interface", p.name()),
            ));
        }
        let value = p.priority().to_string();
        // Priority 0 is every interface's own.
        have.need("net_prio", "net_prio", PRIORITIES)?.line(
            PRIORITIES,
            "net_prio.ifpriomap",
            p.name(),
            &value,
            &value,
        )?;
    }
    Ok(())
}

pub(super) fn rdma(have: &Controllers<'_>, devices: &HashMap<String, LinuxRdma>) -> Result<()> {
    for (device, limit) in devices {
        let name = format!("linux.resources.rdma[{device}]");
        let rdma = have.need("rdma", "rdma", &name)?;
        let mut parts = Vec::with_capacity(2);
        if let Some(n) = limit.hca_handles() {
            parts.push(format!("hca_handle={n}"));
        }
        if let Some(n) = limit.hca_objects() {
            parts.push(format!("hca_object={n}"));
        }
        if parts.is_empty() || device.contains(char::is_whitespace) {
            return Err(Error::config(name, "names no device or no limit"));
        }
        let value = parts.join(" ");
        rdma.line(&name, "rdma.max", device, &value, &value)?;
    }
    Ok(())
}

/// Files of version 2 by their names, as they are.
pub(super) fn unified(have: &Controllers<'_>, files: &HashMap<String, String>) -> Result<()> {
    // In one order, so that a failure is always the same.
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    for (file, value) in files {
        let name = format!("linux.resources.unified[{file}]");
        if file.contains('/') || file.contains('\0') || file.starts_with('.') {
            return Err(Error::config(name, "is no file of a cgroup"));
        }
        let Some((controller, _)) = file.split_once('.') else {
            return Err(Error::config(name, "is no file of a cgroup"));
        };
        // These are how the runtime itself holds the container.
        if controller == "cgroup"
            && !matches!(&**file, "cgroup.max.depth" | "cgroup.max.descendants")
        {
            return Err(Error::config(name, "is not a limit, and the runtime's own"));
        }
        let unified = have.unified(&name)?;
        if !unified.has(file) {
            return Err(Error::Unsupported(format!(
                "{name}: this host's cgroups of version 2 have no such file; the controller \
                 {controller} is missing, or the kernel is too old"
            )));
        }
        // Memory is given back once; there is nothing to read.
        if file == "memory.reclaim" {
            unified.write(&name, file, value)?;
            continue;
        }
        // One line a write is the kernel's rule.
        for line in value.lines().filter(|l| !l.trim().is_empty()) {
            unified.set(&name, file, line, |found| unified_kept(line, found))?;
        }
    }
    Ok(())
}

/// Does a file of any kind say what was written to it? Files with one number, one list, one line
/// of words, or a line of `key=value` for each device.
fn unified_kept(wanted: &str, found: &str) -> bool {
    let (wanted, found) = (wanted.trim(), found.trim());
    if wanted == found {
        return true;
    }
    if let Some(bytes) = bytes_of(wanted) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        // Huge pages are the greatest unit that a size is rounded to.
        let page = rustix::param::page_size() as u64;
        if bytes_kept(bytes, found, page) {
            return true;
        }
    }
    if let (Some(w), Some(f)) = (convert::list(wanted), convert::list(found)) {
        return w == f;
    }
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    // The rest of the line is the kernel's default; and what is unlimited for a device has no line.
    found.lines().any(|line| {
        let line: Vec<&str> = line.split_whitespace().collect();
        wanted.iter().all(|w| line.contains(w))
    }) || wanted[1..].iter().all(|w| w.ends_with("=max")) && wanted.len() > 1
}

/// A size as the kernel parses it: `64M`.
fn bytes_of(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 10),
        b'm' | b'M' => (&text[..text.len() - 1], 20),
        b'g' | b'G' => (&text[..text.len() - 1], 30),
        b't' | b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_sizes() {
        assert_eq!(size_of_page("2MB"), Some(2 << 20));
        assert_eq!(size_of_page("1GB"), Some(1 << 30));
        assert_eq!(size_of_page("64KB"), Some(64 << 10));
        for bad in ["", "2", "MB", "2M", "-2MB", "99999999999999999999GB"] {
            assert_eq!(size_of_page(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_kind_of_file_is_compared() {
        assert!(unified_kept("64M", "67108864"));
        assert!(unified_kept("max", "max"));
        assert!(unified_kept("max", "max 100000"));
        assert!(unified_kept("5000 100000", "5000 100000"));
        assert!(unified_kept("0,1", "0-1"));
        assert!(unified_kept("8:0 rbps=1", "8:0 rbps=1 wbps=max"));
        assert!(unified_kept("8:0 rbps=max", ""));
        assert!(!unified_kept("8:0 rbps=1", "8:0 rbps=2 wbps=max"));
        assert!(!unified_kept("64M", "4096"));
        assert!(!unified_kept("100", "max"));
    }
}
