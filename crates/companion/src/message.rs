//! How the daemon and a program talk: a Unix stream on which each message is its length (four bytes,
//! the lowest first) and JSON; descriptors travel with the first byte of the message that names them.
//! Each request has one reply, in order, and may be repeated: it sets a state and does not change one.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// No message is longer: a network of 100,000 containers.
const LONGEST: usize = 32 << 20;

/// What a program can be asked for.
pub trait Operation: Serialize + DeserializeOwned {
    /// The version of the protocol. A program serves all up to its own.
    const VERSION: u32;

    /// How many descriptors come along.
    fn descriptors(&self) -> usize;
}

/// A request as it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request<O> {
    /// The version of the protocol that it needs.
    pub version: u32,
    /// What is asked for.
    #[serde(flatten)]
    pub op: O,
}

/// A path to a socket that is short enough for one, however long `path` is: by the descriptor of
/// its directory, which must stay open meanwhile.
pub(crate) fn short(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (dir, name) = (
        path.parent().ok_or_else(invalid)?,
        path.file_name().ok_or_else(invalid)?,
    );
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, flags, Mode::empty())?;
    let by_fd = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string());
    Ok((dir, by_fd.join(name)))
}

/// A message as it is sent.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut all = vec![0; 4];
    serde_json::to_writer(&mut all, message)?;
    let len = u32::try_from(all.len() - 4).map_err(io::Error::other)?;
    all[..4].copy_from_slice(&len.to_le_bytes());
    Ok(all)
}

/// What has come in and is not read yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Takes in what has come.
    pub(crate) fn push(&mut self, bytes: &[u8], fds: Vec<OwnedFd>) {
        self.bytes.extend_from_slice(bytes);
        self.fds.extend(fds);
    }

    /// The next message, if it is whole.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((len, rest)) = self.bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*len) as usize;
        if len > LONGEST {
            return Err(io::Error::other("the message is too long"));
        }
        let Some(body) = rest.get(..len) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.bytes.drain(..4 + len);
        Ok(Some(message))
    }

    /// The descriptors that came with a message.
    pub(crate) fn take(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        if count > self.fds.len() {
            return Err(io::Error::other("descriptors are missing"));
        }
        Ok(self.fds.drain(..count).collect())
    }
}
