//! One daemon at a time chooses addresses on a host.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

/// A name that one process of a network namespace can have, and that goes with it.
const NAME: &[u8] = b"wharf-address-pools";
/// Whoever has it for so long hangs: overlapping subnets are still found when they are made.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);
/// Who has it is asked at the first attempt and each so many.
const ASK_EACH: u32 = 50;

/// The right to choose subnets in a network namespace, until it is dropped: daemons of one host see one
/// another's addresses, and not what is only chosen.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held")] Option<UnixListener>);

impl Claim {
    /// Waits until nobody else has it, in the namespace of the calling thread.
    #[must_use]
    pub fn wait() -> Self {
        let end = Instant::now() + PATIENCE;
        let mut attempts = 0_u32;
        loop {
            attempts += 1;
            let name = SocketAddr::from_abstract_name(NAME);
            match name.and_then(|name| UnixListener::bind_addr(&name)) {
                Ok(held) => return Self(Some(held)),
                Err(e)
                    if e.kind() == std::io::ErrorKind::AddrInUse
                        && Instant::now() < end
                        && (attempts % ASK_EACH != 1 || is_a_daemons()) =>
                {
                    std::thread::sleep(PAUSE);
                }
                Err(_) => return Self(None),
            }
        }
    }
}

/// Whether whoever has the claim runs as we do: anybody may take an abstract name.
fn is_a_daemons() -> bool {
    let ask = || {
        let kind = (AddressFamily::UNIX, SocketType::STREAM);
        // One that takes no connections must not be waited for.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(kind.0, kind.1, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(NAME)?)?;
        Ok(sockopt::socket_peercred(&socket)?.uid == rustix::process::geteuid())
    };
    match ask() {
        Ok(ours) => ours,
        // It was given up meanwhile.
        Err(Errno::CONNREFUSED) => true,
        Err(_) => false,
    }
}
