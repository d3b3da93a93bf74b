//! Who is asked whether a request may be served.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::Result;

/// Where those who are asked come from.
pub trait Authorization: Send + Sync {
    /// Those for one request, from its beginning to its answer; nobody is the usual case.
    fn chain(&self) -> Option<Arc<dyn Chain>>;
}

/// All who are asked about one request.
#[async_trait]
pub trait Chain: Send + Sync {
    /// Whether it may be served; whoever does not answer has refused.
    async fn request(&self, asked: &Asked) -> Result<()>;
    /// Whether its answer may be sent.
    async fn response(&self, asked: &Asked, answered: &Answered) -> Result<()>;
}

/// Who a client is, from its certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The common name.
    pub user: String,
    /// How that is known: `TLS`, or empty.
    pub method: String,
    /// The certificates it showed, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// A request, exactly as it is acted upon.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The client.
    pub peer: Peer,
    /// The method.
    pub method: String,
    /// Path and query, decoded and escaped again: there is one form for each meaning.
    pub uri: String,
    /// The body; empty where it is a stream of files or holds a password.
    pub body: Bytes,
    /// The headers, without credentials.
    pub headers: BTreeMap<String, String>,
}

/// The answer to a request.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body; empty where it is a stream or holds credentials.
    pub body: Bytes,
}
