//! TLS on the way in: bounded in time and number, and away from the loop that accepts.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

use crate::{backend::Peer, common_name};

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many may be under way at once, in all and with one address: nobody keeps others out.
const ALL: usize = 512;
const EACH: usize = 64;

/// The handshakes under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handshakes(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them.
struct Place {
    all: Handshakes,
    address: IpAddr,
}

impl Handshakes {
    fn enter(&self, address: IpAddr) -> io::Result<Place> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = under_way.values().sum::<usize>() >= ALL;
        let own = under_way.entry(address).or_default();
        if full || *own >= EACH {
            return Err(io::Error::other("too many handshakes are under way"));
        }
        *own += 1;
        let all = self.clone();
        Ok(Place { all, address })
    }

    /// Makes the client known.
    pub(crate) async fn with(
        &self,
        socket: TcpStream,
        config: Arc<ServerConfig>,
    ) -> io::Result<(Box<TlsStream<TcpStream>>, Peer)> {
        let _place = self.enter(socket.peer_addr()?.ip())?;
        let shake = TlsAcceptor::from(config).accept(socket);
        let stream = tokio::time::timeout(PATIENCE, shake)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = match certificates.first() {
            None => Peer::default(),
            // A name that cannot be read must not become nobody's.
            Some(first) => Peer {
                user: common_name::of(first)
                    .ok_or_else(|| io::Error::other("the client's name cannot be read"))?,
                method: "TLS".into(),
                certificates: certificates.iter().map(|c| c.to_vec()).collect(),
            },
        };
        Ok((Box::new(stream), peer))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = under_way.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                under_way.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_keep_others_out() {
        let all = Handshakes::default();
        let (one, other) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let places: Vec<_> = (0..EACH).map(|_| all.enter(one).unwrap()).collect();
        assert!(all.enter(one).is_err() && all.enter(other).is_ok());
        drop(places);
        assert!(all.enter(one).is_ok());
    }
}
