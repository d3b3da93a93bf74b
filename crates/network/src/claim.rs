//! One daemon at a time chooses addresses on a host.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

/// A name that one process of a network namespace can have, and that goes with it.
const NAME: &[u8] = b"wharf-address-pools";
/// Whoever has it for so long hangs: overlapping subnets are still found when they are made.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// The right to choose subnets in a network namespace, until it is dropped: daemons of one host see one
/// another's addresses, and not what is only chosen.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held")] Option<UnixListener>);

impl Claim {
    /// Waits until nobody else has it, in the namespace of the calling thread.
    #[must_use]
    pub fn wait() -> Self {
        let end = Instant::now() + PATIENCE;
        loop {
            let name = SocketAddr::from_abstract_name(NAME);
            match name.and_then(|name| UnixListener::bind_addr(&name)) {
                Ok(held) => return Self(Some(held)),
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < end => {
                    std::thread::sleep(PAUSE);
                }
                Err(_) => return Self(None),
            }
        }
    }
}
