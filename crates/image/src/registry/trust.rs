//! Which certificates of a registry are believed where an administrator put some down for it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The host's authorities and further ones, and certificates that vouch for themselves.
///
/// Docker's own manual has its users make one such certificate, give it to the registry and put it
/// down as its authority, too. By the book an authority's certificate is nobody's own, so that
/// case is told apart here.
#[derive(Debug)]
pub(super) struct Trust {
    inner: Arc<WebPkiServerVerifier>,
    known: Vec<CertificateDer<'static>>,
    anyone: bool,
}

impl Trust {
    pub(super) fn new(
        known: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
        anyone: bool,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for one in &known {
            roots.add(one.clone())?;
        }
        if roots.is_empty() {
            return Err(Error::General("no authority is known".to_owned()));
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
        Ok(Self {
            inner,
            known,
            anyone,
        })
    }
}

/// Whether a certificate was refused for being an authority's only. That it has not expired was
/// found out before.
fn is_authority(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::Other(why)) => {
            format!("{why:?}").contains("CaUsedAsEndEntity")
        }
        _ => false,
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.anyone {
            return Ok(ServerCertVerified::assertion());
        }
        match self.inner.verify_server_cert(own, between, name, ocsp, now) {
            Err(error) if is_authority(&error) && self.known.iter().any(|known| known == own) => {
                verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
