//! TEMPORARY until h-cgroup has them.
use crate::oci::{Error, Result, cgroup::Cgroup};

fn no<T>() -> Result<T> {
    Err(Error::Unsupported("not yet".into()))
}

pub(super) trait Pending {
    fn stats(&self) -> Result<serde_json::Value> { no() }
    fn oom_events(&self) -> Result<u64> { no() }
    fn freeze(&self) -> Result<()> { no() }
    fn thaw(&self) -> Result<()> { no() }
    fn is_frozen(&self) -> Result<bool> { no() }
    fn update(&self, _: &oci_spec::runtime::LinuxResources) -> Result<()> { no() }
}
impl Pending for Cgroup {}
