//! What a node's certificate says.

use swarm_api::{Id, Time};
use types::swarm::node::NodeRole;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::error::{Error, Result};

/// The organisational unit of a role.
pub(crate) fn unit(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Manager => "swarm-manager",
        NodeRole::Worker => "swarm-worker",
    }
}

/// Who a certificate is for. Whether it is to be believed is decided by TLS, before this is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The node.
    pub node: Id,
    /// Its role.
    pub role: NodeRole,
    /// Its cluster.
    pub cluster: Id,
    /// From when the certificate holds.
    pub from: Time,
    /// Until when it holds.
    pub until: Time,
}

impl Identity {
    /// What a certificate (DER) says.
    ///
    /// # Errors
    /// When it cannot be read, or is not a node's.
    pub fn of(der: &[u8]) -> Result<Self> {
        let bad = |what: &str| Error::BadCertificate(what.to_owned());
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|e| Error::BadCertificate(e.to_string()))?;
        if !rest.is_empty() {
            return Err(bad("bytes behind its end"));
        }
        let subject = certificate.subject();
        let role = match one(subject.iter_organizational_unit())? {
            "swarm-manager" => NodeRole::Manager,
            "swarm-worker" => NodeRole::Worker,
            other => {
                return Err(Error::BadCertificate(format!(
                    "its unit is {other}, which is no role"
                )));
            }
        };
        let validity = certificate.validity();
        let nanoseconds = |seconds: i64| seconds.saturating_mul(1_000_000_000);
        Ok(Self {
            node: one(subject.iter_common_name())?.into(),
            cluster: one(subject.iter_organization())?.into(),
            role,
            from: nanoseconds(validity.not_before.timestamp()),
            until: nanoseconds(validity.not_after.timestamp()),
        })
    }

    /// The identity, if it is one of this cluster's.
    ///
    /// # Errors
    /// When it is of another.
    pub fn in_cluster(self, cluster: &Id) -> Result<Self> {
        if self.cluster == *cluster {
            return Ok(self);
        }
        Err(Error::OtherCluster {
            node: self.node.to_string(),
            found: self.cluster.to_string(),
            expected: cluster.to_string(),
        })
    }

    /// When it is time for a new certificate: after half to four fifths of its life, by `random` (any number), so
    /// that not all nodes ask at once.
    #[must_use]
    pub fn renew_at(&self, random: u64) -> Time {
        let life = (self.until - self.from).max(0);
        let share = i64::try_from(random % 1_000).unwrap_or(0);
        self.from + life / 2 + life * 3 / 10 / 1_000 * share
    }
}

/// The only value of a part of a name.
fn one<'a>(
    mut values: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
) -> Result<&'a str> {
    let bad = || Error::BadCertificate("its subject is not a node's".to_owned());
    let value = values.next().ok_or_else(bad)?;
    if values.next().is_some() {
        return Err(bad());
    }
    value.as_str().map_err(|_| bad())
}

/// A name as Docker shows it: in DER, in base64 elsewhere.
pub(crate) fn raw_subject(name: &X509Name<'_>) -> Vec<u8> {
    name.as_raw().to_vec()
}
