//! `linux.resources`: what is wrong on every host. Whether a limit took is seen when it is set.

use oci_spec::runtime::{LinuxBlockIo, LinuxMemory, LinuxResources};

use super::{
    super::{Error, Result},
    number_list,
};

fn refuse(name: &str, problem: impl Into<String>) -> Error {
    Error::config(format!("linux.resources.{name}"), problem)
}

pub(super) fn check(resources: &LinuxResources, warnings: &mut Vec<String>) -> Result<()> {
    for (i, rule) in resources.devices().iter().flatten().enumerate() {
        let access = rule.access().as_deref().unwrap_or_default();
        if let Some(other) = access.chars().find(|c| !matches!(c, 'r' | 'w' | 'm')) {
            return Err(refuse(
                &format!("devices[{i}].access"),
                format!("{other:?} in {access:?} is none of r, w and m"),
            ));
        }
        for (name, number) in [("major", rule.major()), ("minor", rule.minor())] {
            if number.is_some_and(|n| !(-1..=i64::from(u32::MAX)).contains(&n)) {
                return Err(refuse(
                    &format!("devices[{i}].{name}"),
                    "is no number of a device, nor -1 for all of them",
                ));
            }
        }
    }
    if let Some(of) = resources.memory() {
        memory(of, warnings)?;
    }
    if let Some(cpu) = resources.cpu() {
        for (name, list) in [("cpus", cpu.cpus()), ("mems", cpu.mems())] {
            let field = || format!("linux.resources.cpu.{name}");
            number_list(field, list.as_deref().unwrap_or_default())?;
        }
        if cpu.quota().is_some_and(|quota| quota < -1) {
            return Err(refuse(
                "cpu.quota",
                "is less than -1, which is without limit",
            ));
        }
        if cpu.idle().is_some_and(|idle| !(0..=1).contains(&idle)) {
            return Err(refuse("cpu.idle", "is neither 0 nor 1"));
        }
    }
    if let Some(of) = resources.block_io() {
        block_io(of)?;
    }
    let mut sizes = Vec::new();
    for (i, limit) in resources.hugepage_limits().iter().flatten().enumerate() {
        let size = limit.page_size().as_str();
        let field = format!("hugepageLimits[{i}].pageSize");
        let number = ["KB", "MB", "GB"]
            .iter()
            .find_map(|unit| size.strip_suffix(unit));
        if !number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            return Err(refuse(
                &field,
                format!("{size:?} is no size such as \"2MB\""),
            ));
        }
        if sizes.contains(&size) {
            return Err(refuse(&field, format!("{size} is there twice")));
        }
        sizes.push(size);
    }
    for key in resources.unified().iter().flatten().map(|(key, _)| key) {
        if key.contains(['/', '\0']) || !key.contains('.') || key.starts_with('.') {
            return Err(refuse(
                "unified",
                format!("{key:?} is no file of a cgroup such as \"memory.high\""),
            ));
        }
    }
    Ok(())
}

fn memory(memory: &LinuxMemory, warnings: &mut Vec<String>) -> Result<()> {
    for (name, value) in [
        ("limit", memory.limit()),
        ("reservation", memory.reservation()),
        ("swap", memory.swap()),
    ] {
        if value.is_some_and(|v| v < -1) {
            return Err(refuse(
                &format!("memory.{name}"),
                "is less than -1, which is without limit",
            ));
        }
    }
    for (name, there) in [
        ("kernel", memory.kernel().is_some()),
        ("kernelTCP", memory.kernel_tcp().is_some()),
    ] {
        if there {
            warnings.push(format!(
                "linux.resources.memory.{name}: Linux has this limit no more, it has no effect"
            ));
        }
    }
    // Of runtimes' zero means not set.
    if let (Some(limit @ 1..), Some(swap @ 1..)) = (memory.limit(), memory.swap())
        && swap < limit
    {
        return Err(refuse(
            "memory.swap",
            format!("{swap} is less than the limit of memory, {limit}, which it includes"),
        ));
    }
    if memory.swappiness().is_some_and(|s| s > 100) {
        return Err(refuse("memory.swappiness", "is not between 0 and 100"));
    }
    Ok(())
}

fn block_io(of: &LinuxBlockIo) -> Result<()> {
    let weight = |field: &str, weight: Option<u16>| match weight {
        Some(w) if w != 0 && !(10..=1000).contains(&w) => {
            Err(refuse(field, format!("{w} is not between 10 and 1000")))
        }
        _ => Ok(()),
    };
    weight("blockIO.weight", of.weight())?;
    weight("blockIO.leafWeight", of.leaf_weight())?;
    for (i, device) in of.weight_device().iter().flatten().enumerate() {
        weight(
            &format!("blockIO.weightDevice[{i}].weight"),
            device.weight(),
        )?;
        weight(
            &format!("blockIO.weightDevice[{i}].leafWeight"),
            device.leaf_weight(),
        )?;
    }
    Ok(())
}
