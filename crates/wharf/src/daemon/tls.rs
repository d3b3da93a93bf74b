//! TLS for `tcp://`, from files in dockerd's forms.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::settings::Tls;

/// What clients are met with.
pub(crate) fn config(tls: &Tls) -> Result<Arc<ServerConfig>> {
    let what = || {
        format!(
            "could not load X509 key pair (cert: {}, key: {})",
            tls.cert.display(),
            tls.key.display()
        )
    };
    let chain = certificates(&tls.cert).with_context(what)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .with_context(|| format!("read {}", tls.key.display()))
        .with_context(what)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = if tls.verify {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&tls.ca)? {
            roots
                .add(certificate)
                .with_context(|| format!("the CA's certificate in {}", tls.ca.display()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        builder.with_client_cert_verifier(verifier.build()?)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).with_context(what)?;
    // The API is HTTP/1.1 alone: whoever offers only something else is told so at once.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || format!("read {}", path.display());
    let all = CertificateDer::pem_file_iter(path).with_context(read)?;
    let all = all.collect::<Result<Vec<_>, _>>().with_context(read)?;
    if all.is_empty() {
        bail!("{} has no certificate in it", path.display());
    }
    Ok(all)
}
