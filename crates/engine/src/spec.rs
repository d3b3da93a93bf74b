//! TEMP
use crate::error::Result;
use crate::record::Record;
use types::container::*;
pub(crate) const INIT: &str = "wharf-init";
pub(crate) const DEFAULT_SHM: i64 = 64 << 20;
pub(crate) struct Built {
    pub json: Vec<u8>,
    pub warnings: Vec<String>,
}
pub(crate) fn check(_: &ContainerConfig, _: &HostConfig) -> Result<()> {
    Ok(())
}
pub(crate) fn build(
    _: &crate::Engine,
    _: &crate::container::Container,
    _: &Record,
    _: std::os::fd::BorrowedFd<'_>,
    _: &[std::path::PathBuf],
    _: bool,
) -> Result<Built> {
    Ok(Built {
        json: vec![],
        warnings: vec![],
    })
}
pub(crate) fn exec_process(_: &Record, _: &types::exec::ExecConfig, _: u32) -> Result<String> {
    Ok(String::new())
}
