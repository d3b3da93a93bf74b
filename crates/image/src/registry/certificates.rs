//! Certificates that an administrator put down for single registries, where docker looks for
//! them: `<dir>/<host[:port]>/*.crt` are authorities, `*.cert` with a `*.key` of the same name is
//! what this host shows of itself.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::trust::Trust;
use crate::error::{Error, Result};

/// A certificate with what vouches for it, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What there is for one registry.
#[derive(Default)]
pub(super) struct Certificates {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(format!("read {}", path.display()), e))
}

fn invalid(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("certificate {}: {why}", path.display()))
}

fn all(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path)?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| invalid(path, e))?;
    if all.is_empty() {
        return Err(invalid(path, "it has no certificate in PEM form"));
    }
    Ok(all)
}

/// What is there for the registry `domain`; none where nothing is.
pub(super) fn of(dir: Option<&Path>, domain: &str) -> Result<Option<Certificates>> {
    let Some(Ok(entries)) = dir.map(|dir| std::fs::read_dir(dir.join(domain))) else {
        return Ok(None);
    };
    let mut found = Certificates::default();
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    for path in &paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.extend(all(path)?),
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
                let secret =
                    PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|e| invalid(&key, e))?;
                if found.identity.is_none() {
                    found.identity = Some((all(path)?, secret));
                }
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
    let any = !found.authorities.is_empty() || found.identity.is_some();
    Ok(any.then_some(found))
}

impl Certificates {
    /// Without what this host would show of itself.
    pub(super) fn authorities_only(mut self) -> Option<Self> {
        self.identity = None;
        Some(self).filter(|rest| !rest.authorities.is_empty())
    }

    /// How TLS is spoken with them. `insecure` takes any certificate of the registry's.
    pub(super) fn config(self, insecure: bool) -> Result<ClientConfig> {
        let failed = |e: rustls::Error| Error::Invalid(format!("certificates for a registry: {e}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = Trust::new(self.authorities, provider.clone(), insecure).map_err(failed)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust));
        let mut config = match self.identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(failed)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec!["http/1.1".into()];
        Ok(config)
    }
}
