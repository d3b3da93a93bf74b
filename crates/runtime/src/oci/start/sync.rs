//! What the process inside and the one outside say to each other: one message a packet, over a pair
//! of sockets. The inner end closes when the program begins, which says that it did.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair},
};

use crate::oci::{Context, Error, Result};

/// The longest message. A longer sentence is cut.
const MAX: usize = 8192;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// To the inside: identities are mapped, go on.
    Mapped,
    /// From the inside: the namespaces are there, the root is not.
    Namespaces,
    /// To the inside: it is known outside that you are there, or the hooks have run.
    Done,
    /// From the inside: everything but the program is there.
    Created,
    /// From a process between: the inner one is this.
    Pid(i32),
    /// From the inside: it did not work.
    Failed {
        /// The whole sentence.
        message: String,
        /// The kernel's reason, or 0.
        errno: i32,
    },
}

impl Note {
    fn to_bytes(&self) -> Vec<u8> {
        let with = |tag: u8, n: i32| {
            let mut bytes = vec![tag];
            bytes.extend_from_slice(&n.to_le_bytes());
            bytes
        };
        match self {
            Self::Mapped => vec![1],
            Self::Namespaces => vec![2],
            Self::Done => vec![3],
            Self::Created => vec![4],
            Self::Pid(n) => with(5, *n),
            Self::Failed { message, errno } => {
                let mut bytes = with(6, *errno);
                bytes.extend_from_slice(message.as_bytes());
                bytes.truncate(MAX);
                bytes
            }
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |rest: &[u8]| Some(i32::from_le_bytes(rest.get(..4)?.try_into().ok()?));
        let (tag, rest) = bytes.split_first()?;
        Some(match tag {
            1 => Self::Mapped,
            2 => Self::Namespaces,
            3 => Self::Done,
            4 => Self::Created,
            5 => Self::Pid(number(rest)?),
            6 => Self::Failed {
                errno: number(rest)?,
                message: String::from_utf8_lossy(&rest[4..]).into_owned(),
            },
            _ => return None,
        })
    }

    /// An error as a message.
    pub(crate) fn failed(error: &Error) -> Self {
        Self::Failed {
            message: error.to_string(),
            errno: error.errno().unwrap_or_default(),
        }
    }
}

/// One end.
#[derive(Debug)]
pub(crate) struct End(OwnedFd);

/// Both ends.
pub(crate) fn pair() -> Result<(End, End)> {
    let (a, b) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .context(|| "socketpair")?;
    Ok((End(a), End(b)))
}

impl End {
    /// An end of a connection that was made otherwise.
    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(crate) fn send(&self, note: &Note) -> Result<()> {
        loop {
            match send(&self.0, &note.to_bytes(), SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                other => {
                    return other
                        .map(drop)
                        .context(|| "the other side of the start is gone");
                }
            }
        }
    }

    /// The next message; none if the other end is closed.
    pub(crate) fn receive(&self) -> Result<Option<Note>> {
        let mut bytes = [0u8; MAX];
        let (bytes, length) = loop {
            match recv(&self.0, &mut bytes[..], RecvFlags::empty()) {
                Ok((_, n)) => break (&bytes, n),
                // Reset: the other side has ended with a message of ours unread. It is told once, and
                // before what that side had said itself.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(e) => return Err(e).context(|| "receive from the other side of the start"),
            }
        };
        if length == 0 {
            return Ok(None);
        }
        match Note::from_bytes(&bytes[..length.min(MAX)]) {
            Some(Note::Failed { message, errno }) => Err(Error::Inside { message, errno }),
            Some(note) => Ok(Some(note)),
            None => Err(Error::State("a message of the start is unknown".to_owned())),
        }
    }

    /// Waits for exactly this message.
    pub(crate) fn expect(&self, wanted: &Note) -> Result<()> {
        match self.receive()? {
            Some(note) if note == *wanted => Ok(()),
            Some(note) => Err(Error::State(format!(
                "{note:?} came where {wanted:?} should"
            ))),
            None => Err(Error::State(
                "the other side of the start has ended".to_owned(),
            )),
        }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_and_failures_are_errors() {
        let (a, b) = pair().unwrap();
        for note in [Note::Done, Note::Pid(1 << 20)] {
            a.send(&note).unwrap();
            assert_eq!(b.receive().unwrap(), Some(note));
        }
        let failure = Note::Failed {
            message: "x".repeat(2 * MAX),
            errno: 13,
        };
        a.send(&failure).unwrap();
        let error = b.receive().unwrap_err();
        assert_eq!(error.errno(), Some(13));
        assert!(error.to_string().len() > MAX / 2);
        a.send(&Note::Done).unwrap();
        assert!(b.expect(&Note::Mapped).is_err());
        drop(a);
        assert_eq!(b.receive().unwrap(), None);
    }
}
