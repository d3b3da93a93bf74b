//! TLS on the way in: bounded in time and number, and away from the loop that accepts.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

use crate::{backend::Peer, common_name};

/// How long a client may take, with the time that it waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many may be under way at once, in all and with one address, and how many more of one
/// address may wait for their turn: nobody keeps others out.
const ALL: usize = 512;
const EACH: usize = 64;
const WAITING: usize = 256;

/// What somebody is told who speaks HTTP where TLS is spoken; the words of Go's server.
const NOT_TLS: &str =
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// The handshakes under way.
#[derive(Debug, Clone)]
pub(crate) struct Handshakes {
    all: Arc<Semaphore>,
    each: Arc<Mutex<HashMap<IpAddr, Address>>>,
}

/// Those of one address.
#[derive(Debug)]
struct Address {
    turns: Arc<Semaphore>,
    clients: usize,
}

/// A client that makes itself known or waits for its turn.
struct Place {
    handshakes: Handshakes,
    address: IpAddr,
    turns: Arc<Semaphore>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            each: Arc::default(),
        }
    }
}

impl Handshakes {
    fn enter(&self, address: IpAddr) -> io::Result<Place> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let own = each.entry(address).or_insert_with(|| Address {
            turns: Arc::new(Semaphore::new(EACH)),
            clients: 0,
        });
        if own.clients >= EACH + WAITING {
            return Err(io::Error::other("too many handshakes are under way"));
        }
        own.clients += 1;
        let turns = Arc::clone(&own.turns);
        let handshakes = self.clone();
        Ok(Place {
            handshakes,
            address,
            turns,
        })
    }

    /// Makes the client known.
    pub(crate) async fn with(
        &self,
        socket: TcpStream,
        config: Arc<ServerConfig>,
    ) -> io::Result<(Box<TlsStream<TcpStream>>, Peer)> {
        let place = self.enter(socket.peer_addr()?.ip())?;
        let mut socket = socket;
        let shake = async {
            // The address's own turn first: those that wait for it take no place of others.
            let _own = place.turns.acquire().await.map_err(io::Error::other)?;
            let _one = self.all.acquire().await.map_err(io::Error::other)?;
            let mut first = [0];
            // What begins with a letter is a request, and its client sees no sense in an alert.
            if socket.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
                // What stays unread would end the connection before the answer is read.
                let _ = socket.read(&mut vec![0; 4096]).await?;
                socket.write_all(NOT_TLS.as_bytes()).await?;
                socket.shutdown().await?;
                return Err(io::Error::other("a client speaks without TLS"));
            }
            TlsAcceptor::from(config).accept(socket).await
        };
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
        let each = &self.handshakes.each;
        let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = each.get_mut(&self.address) {
            own.clients -= 1;
            if own.clients == 0 {
                each.remove(&self.address);
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
        let places: Vec<_> = (0..EACH + WAITING)
            .map(|_| all.enter(one).unwrap())
            .collect();
        assert!(all.enter(one).is_err() && all.enter(other).is_ok());
        drop(places);
        assert!(all.enter(one).is_ok());
        assert!(all.each.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn those_of_one_address_wait_for_their_turn() {
        let all = Handshakes::default();
        let address = IpAddr::from([1, 1, 1, 1]);
        let first = all.enter(address).unwrap();
        let second = all.enter(address).unwrap();
        let held = first.turns.acquire_many(EACH as u32).await.unwrap();
        assert!(second.turns.try_acquire().is_err());
        drop(held);
        assert!(second.turns.try_acquire().is_ok());
    }
}
