//! Reaching the daemon.

use std::{cell::RefCell, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};

use super::{Error, Host, Tls, ssh};
use crate::contexts::Material;

/// Where a daemon is, and how it is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// As the user named it.
    pub(crate) host: String,
    /// For TCP.
    pub(crate) tls: Option<Tls>,
}

/// What is wrong with a daemon's address and certificates, before anybody connects.
pub(crate) fn check(host: &str, material: Option<&Material>, skip: bool) -> Result<(), String> {
    let _ = Host::parse(host, material.is_some()).map_err(|e| match e {
        Error::Host(why) => why,
        e => e.to_string(),
    })?;
    let Some(material) = material else {
        return Ok(());
    };
    let tls = Tls {
        material: material.clone(),
        verify: !skip,
    };
    tls.config().map(drop).map_err(|e| {
        format!("invalid docker endpoint options: failed to retrieve context tls info: {e}")
    })
}

/// A connection of any kind.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Opens connections to one daemon.
pub(super) struct Dialer {
    host: Host,
    pub(super) shown: String,
    daemon: String,
    tls: Option<Arc<ClientConfig>>,
    /// How the last `ssh` ends.
    ssh: RefCell<Option<JoinHandle<String>>>,
}

impl Dialer {
    pub(super) fn new(endpoint: &Endpoint, daemon: &str) -> Result<Self, Error> {
        let host = Host::parse(&endpoint.host, endpoint.tls.is_some())?;
        let tls = match (&endpoint.tls, &host) {
            (None, _) => None,
            (Some(tls), Host::Tcp(_)) => Some(tls.config().map_err(|e| {
                Error::Host(format!(
                    "unable to resolve docker endpoint: failed to retrieve context tls info: {e}"
                ))
            })?),
            (Some(_), _) => {
                return Err(Error::Host(format!(
                    "TLS is for daemons at tcp://, not for {}",
                    endpoint.host
                )));
            }
        };
        Ok(Self {
            host,
            shown: endpoint.host.clone(),
            daemon: daemon.to_owned(),
            tls,
            ssh: RefCell::default(),
        })
    }

    /// A new connection.
    pub(super) async fn dial(&self) -> Result<Box<dyn Duplex>, Error> {
        let failed =
            |e: &std::io::Error| Error::connect(e, self.shown.clone(), self.daemon.clone());
        match &self.host {
            Host::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|e| failed(&e))?;
                Ok(Box::new(stream))
            }
            Host::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(|e| failed(&e))?;
                // Keystrokes are small; waiting to fill a packet would be felt.
                let _ = stream.set_nodelay(true);
                match &self.tls {
                    Some(config) => self.secure(config, address, stream).await,
                    None => Ok(Box::new(stream)),
                }
            }
            Host::Ssh(ssh) => {
                let program = self.daemon.split(' ').next().unwrap_or_default();
                let (stream, end) = ssh
                    .connect(&program.to_lowercase())
                    .map_err(|e| self.broken(&e.to_string()))?;
                *self.ssh.borrow_mut() = Some(end);
                Ok(Box::new(stream))
            }
        }
    }

    fn broken(&self, why: &str) -> Error {
        Error::Broken {
            what: self.shown.clone(),
            why: why.to_owned(),
        }
    }

    async fn secure(
        &self,
        config: &Arc<ClientConfig>,
        address: &str,
        stream: TcpStream,
    ) -> Result<Box<dyn Duplex>, Error> {
        let name = address.rsplit_once(':').map_or(address, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| self.broken(&format!("tls: {name} is no name for a server")))?;
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        let stream = connector.connect(name, stream).await.map_err(|e| {
            let text = e.to_string();
            // It answered in plain HTTP.
            let plain = text.contains("InvalidContentType") || text.contains("corrupt message");
            self.broken(&if plain {
                "http: server gave HTTP response to HTTPS client".to_owned()
            } else {
                format!("tls: {text}")
            })
        })?;
        Ok(Box::new(stream))
    }

    /// Why a connection broke, where somebody in between knows.
    pub(super) async fn explain(&self) -> Option<String> {
        let task = self.ssh.borrow_mut().take()?;
        ssh::ending(task).await
    }
}
