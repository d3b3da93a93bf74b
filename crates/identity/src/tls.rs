//! TLS between nodes: both show a certificate of a root of the cluster's.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use types::swarm::node::NodeRole;

use crate::certificate::{Identity, unit};
use crate::error::{Error, Result};
use crate::root::der;

/// What a node shows of itself, and whom it believes.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Its certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: String,
    /// Roots, in PEM: two while the cluster changes from one to another.
    pub roots: Vec<String>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A node that has no certificate yet: it may ask for one, by a token, and for nothing else.
    Stranger,
    /// A node.
    Node(Identity),
}

impl Peer {
    /// Who showed these certificates, in the order that they came in.
    ///
    /// # Errors
    /// When the first one is not a node's.
    pub fn of(certificates: Option<&[CertificateDer<'_>]>) -> Result<Self> {
        match certificates.and_then(<[_]>::first) {
            None => Ok(Self::Stranger),
            Some(certificate) => Ok(Self::Node(Identity::of(certificate)?)),
        }
    }
}

/// What a manager listens by. Who shows no certificate is let in as a stranger: [`Peer`] tells; who shows one that
/// is not to be believed, or is expired, is not let in at all.
///
/// # Errors
/// When the credentials cannot be read.
pub fn server(own: &Credentials) -> Result<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder_with_provider(store(&own.roots)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|e| Error::Crypto(e.to_string()))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(own)?, key(own)?)?;
    Ok(config)
}

/// What a node connects by, and the name that the other end must have: a worker is never taken for a manager.
///
/// # Errors
/// When the credentials cannot be read.
pub fn client(own: &Credentials, to: NodeRole) -> Result<(ClientConfig, ServerName<'static>)> {
    let verifier = WebPkiServerVerifier::builder_with_provider(store(&own.roots)?, provider())
        .build()
        .map_err(|e| Error::Crypto(e.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(chain(own)?, key(own)?)?;
    let name = ServerName::try_from(unit(to)).map_err(|e| Error::Crypto(e.to_string()))?;
    Ok((config, name))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn store(roots: &[String]) -> Result<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(der(root)?)?;
    }
    Ok(Arc::new(store))
}

fn chain(own: &Credentials) -> Result<Vec<CertificateDer<'static>>> {
    Ok(vec![der(&own.certificate)?])
}

fn key(own: &Credentials) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(own.key.as_bytes()).map_err(|e| Error::Crypto(e.to_string()))
}
