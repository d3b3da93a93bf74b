//! Certificates that an administrator put down for single registries, where docker looks for
//! them: `<dir>/<host[:port]>/*.crt` are authorities, `*.cert` with a `*.key` of the same name is
//! what this host shows of itself.

use std::path::Path;

use crate::error::{Error, Result};

/// What there is for one registry.
#[derive(Default)]
pub(super) struct Certificates {
    pub(super) authorities: Vec<reqwest::Certificate>,
    pub(super) identity: Option<reqwest::Identity>,
}

impl Certificates {
    pub(super) fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.identity.is_none()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(format!("read {}", path.display()), e))
}

pub(super) fn of(dir: Option<&Path>, domain: &str) -> Result<Certificates> {
    let mut found = Certificates::default();
    let Some(Ok(entries)) = dir.map(|dir| std::fs::read_dir(dir.join(domain))) else {
        return Ok(found);
    };
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    let invalid = |path: &Path, e: &dyn std::fmt::Display| {
        Error::Invalid(format!("certificate {}: {e}", path.display()))
    };
    for path in &paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.extend(
                reqwest::Certificate::from_pem_bundle(&read(path)?)
                    .map_err(|e| invalid(path, &e))?,
            ),
            Some("cert") => {
                let key = path.with_extension("key");
                if !paths.contains(&key) {
                    return Err(Error::Invalid(format!(
                        "missing key {} for client certificate {}. CA certificates must use the \
                         extension .crt",
                        key.display(),
                        path.display()
                    )));
                }
                let pem = [read(path)?, b"\n".to_vec(), read(&key)?].concat();
                let identity = reqwest::Identity::from_pem(&pem).map_err(|e| invalid(path, &e))?;
                found.identity.get_or_insert(identity);
            }
            Some("key") if !paths.contains(&path.with_extension("cert")) => {
                return Err(Error::Invalid(format!(
                    "missing client certificate {} for key {}",
                    path.with_extension("cert").display(),
                    path.display()
                )));
            }
            _ => {}
        }
    }
    Ok(found)
}
