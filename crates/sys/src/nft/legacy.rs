//! The firewall from before nftables, as far as it may be in our way: the policy of its FORWARD
//! chain. Its tables are not seen through nftables.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;
const TABLE: &[u8] = b"filter";
const NAME_LEN: usize = 32;
const FORWARD: usize = 2;
/// `struct ipt_getinfo`: name, valid hooks, five entry points, five policies, count, size.
const INFO_LEN: usize = NAME_LEN + 4 + 20 + 20 + 8;
/// `struct ipt_get_entries` before its entries, which are aligned to eight bytes.
const ENTRIES_HEAD: usize = NAME_LEN + 8;
/// Where a `struct ipt_entry` says how far its target is.
const TARGET_OFFSET: usize = 88;
/// Where a standard target has its verdict.
const VERDICT: usize = 32;
const DROP: i32 = -1;

/// The legacy table `filter`, as far as it matters here.
#[derive(Debug)]
pub struct Legacy {
    /// What becomes of what no rule of FORWARD decides about.
    verdict: i32,
    entries: Vec<u8>,
}

impl Legacy {
    /// Whether it drops forwarded packets by default and has no rule about this link.
    #[must_use]
    pub fn drops(&self, link: &str) -> bool {
        let mut name = link.as_bytes().to_vec();
        name.push(0);
        self.verdict == DROP && !self.entries.windows(name.len()).any(|w| w == name)
    }
}

/// The legacy table `filter`, if it is there.
///
/// # Errors
/// When the kernel refuses or its answer makes no sense.
pub fn legacy_forward() -> io::Result<Option<Legacy>> {
    // To ask about a table that is not there would make it.
    let tables = fs::read("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    if !tables.split(|b| *b == b'\n').any(|t| t == TABLE) {
        return Ok(None);
    }
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    let mut info = vec![0; INFO_LEN];
    info[..TABLE.len()].copy_from_slice(TABLE);
    get(&socket, GET_INFO, &mut info)?;
    let policy = number(&info, NAME_LEN + 4 + 20 + 4 * FORWARD)? as usize;
    let size = number(&info, INFO_LEN - 4)?;
    let mut table = vec![0; ENTRIES_HEAD + size as usize];
    table[..TABLE.len()].copy_from_slice(TABLE);
    table[NAME_LEN..NAME_LEN + 4].copy_from_slice(&size.to_ne_bytes());
    get(&socket, GET_ENTRIES, &mut table)?;
    let entries = &table[ENTRIES_HEAD..];
    let target = number(entries, policy + TARGET_OFFSET)? as u16;
    let verdict = number(entries, policy + usize::from(target) + VERDICT)? as i32;
    Ok(Some(Legacy {
        verdict,
        entries: entries.to_vec(),
    }))
}

fn number(bytes: &[u8], at: usize) -> io::Result<u32> {
    let value = bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map(u32::from_ne_bytes);
    value.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn get(socket: &OwnedFd, option: i32, buffer: &mut [u8]) -> io::Result<()> {
    let mut len = buffer.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to the buffer, which has that many.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_IP,
            option,
            buffer.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
