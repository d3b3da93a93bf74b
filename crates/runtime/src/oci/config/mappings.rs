//! Mappings of user and group numbers.

use oci_spec::runtime::LinuxIdMapping;

use super::super::{Error, Result};

/// What the kernel takes at most.
const MOST: usize = 340;

/// Refuses what the kernel would: empty, too many, beyond the numbers there are, one number twice.
pub(super) fn check(at: &str, mappings: &[LinuxIdMapping]) -> Result<()> {
    if mappings.len() > MOST {
        return Err(Error::config(
            at,
            format!("{} mappings are more than {MOST}", mappings.len()),
        ));
    }
    for (i, one) in mappings.iter().enumerate() {
        if one.size() == 0 {
            return Err(Error::config(format!("{at}[{i}].size"), "must not be 0"));
        }
        for (name, first) in [
            ("containerID", one.container_id()),
            ("hostID", one.host_id()),
        ] {
            // The last number, -1, stands for none.
            if u64::from(first) + u64::from(one.size()) > u64::from(u32::MAX) {
                return Err(Error::config(
                    format!("{at}[{i}].{name}"),
                    format!("{first} and {} more are beyond the last number", one.size()),
                ));
            }
        }
    }
    overlap(at, "containerID", mappings, LinuxIdMapping::container_id)?;
    overlap(at, "hostID", mappings, LinuxIdMapping::host_id)
}

fn overlap(
    at: &str,
    name: &str,
    mappings: &[LinuxIdMapping],
    first: impl Fn(&LinuxIdMapping) -> u32,
) -> Result<()> {
    let mut sorted: Vec<_> = mappings.iter().enumerate().collect();
    sorted.sort_by_key(|(_, one)| first(one));
    for pair in sorted.windows(2) {
        if let [(i, one), (j, next)] = pair
            && u64::from(first(one)) + u64::from(one.size()) > u64::from(first(next))
        {
            return Err(Error::config(
                format!("{at}[{j}].{name}"),
                format!("overlaps with {at}[{i}]"),
            ));
        }
    }
    Ok(())
}
