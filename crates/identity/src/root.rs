//! The root that all nodes trust, and what it signs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use swarm_api::{Id, Time};
use time::OffsetDateTime;
use types::swarm::node::{NodeRole, TlsInfo};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::{raw_subject, unit};
use crate::error::{Error, Result};
use crate::token::Digest;

/// How long a root holds.
const ROOT_LIFE: time::Duration = time::Duration::days(20 * 365);
/// A certificate holds from before it was made: nodes' clocks differ.
const BACKDATED: time::Duration = time::Duration::hours(1);

/// A cluster's root, with its key.
pub struct Root {
    /// Its certificate, in PEM.
    pub certificate: String,
    key: KeyPair,
}

/// A node's key, and its request for a certificate.
#[derive(Debug)]
pub struct Request {
    /// The key in PEM; it never leaves the node.
    pub key: String,
    /// The request in PEM. What it says of the node is not believed; only the key in it counts.
    pub request: String,
}

impl Request {
    /// A new key and the request for it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?;
        Ok(Self {
            key: key.serialize_pem(),
            request: request.pem()?,
        })
    }
}

impl Root {
    /// A new root.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new(now: Time) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "swarm-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = moment(now)? - BACKDATED;
        params.not_after = moment(now)? + ROOT_LIFE;
        Ok(Self {
            certificate: params.self_signed(&key)?.pem(),
            key,
        })
    }

    /// The root of this certificate and this key.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key)?;
        let der = der(certificate)?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|e| Error::BadCertificate(e.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(Error::Crypto(
                "the key is not that of the certificate".into(),
            ));
        }
        if !parsed.is_ca() {
            return Err(Error::Crypto(
                "the certificate is not one that may sign others".into(),
            ));
        }
        Ok(Self {
            certificate: certificate.to_owned(),
            key,
        })
    }

    /// Its key in PEM.
    #[must_use]
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// What tokens name it by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    /// A certificate for a node, in PEM, that holds for `life` nanoseconds.
    ///
    /// # Errors
    /// When the request cannot be read or is not signed by its own key.
    pub fn sign(
        &self,
        request: &str,
        node: &Id,
        role: NodeRole,
        cluster: &Id,
        (now, life): (Time, i64),
    ) -> Result<String> {
        let mut request = CertificateSigningRequestParams::from_pem(request)?;
        let params = &mut request.params;
        *params = CertificateParams::default();
        let name = &mut params.distinguished_name;
        *name = DistinguishedName::new();
        name.push(DnType::OrganizationName, cluster.as_str());
        name.push(DnType::OrganizationalUnitName, unit(role));
        name.push(DnType::CommonName, node.as_str());
        // Nodes are known by what they are, not by where: clients ask for a role's name.
        let names = [unit(role), node.as_str()];
        params.subject_alt_names = names
            .into_iter()
            .map(|n| Ok(rcgen::SanType::DnsName(n.try_into()?)))
            .collect::<Result<_>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.serial_number = Some(serial()?);
        params.not_before = moment(now)? - BACKDATED;
        params.not_after = moment(now.saturating_add(life))?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, &self.key)?;
        Ok(request.signed_by(&issuer)?.pem())
    }

    /// What `inspect` and `info` show of it.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn info(certificate: &str) -> Result<TlsInfo> {
        let der = der(certificate)?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|e| Error::BadCertificate(e.to_string()))?;
        Ok(TlsInfo {
            trust_root: certificate.to_owned(),
            cert_issuer_subject: STANDARD.encode(raw_subject(parsed.subject())),
            cert_issuer_public_key: STANDARD.encode(parsed.public_key().raw),
        })
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Root")
            .field("digest", &self.digest().hex())
            .finish_non_exhaustive()
    }
}

pub(crate) fn der(pem: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| Error::BadCertificate(e.to_string()))
}

fn serial() -> Result<SerialNumber> {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0u8; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::Crypto("the system has no randomness".into()))?;
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&bytes))
}

fn moment(time: Time) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time))
        .map_err(|e| Error::Crypto(format!("the time {time}: {e}")))
}
