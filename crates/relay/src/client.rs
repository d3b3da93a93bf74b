//! The daemon's side.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use companion::client::Connection;
pub use companion::client::Error;

use crate::model::Door;
use crate::protocol::{Op, Reply, Status};

/// So many doors go with one message; the kernel takes 253 descriptors.
const AT_ONCE: usize = 200;

/// A connection to the relay. Each method returns when what it says is done; all may be repeated.
#[derive(Debug)]
pub struct Client(Connection);

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When no relay listens there.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        Connection::connect(path).map(Self)
    }

    /// Speaks over a connection that is there.
    #[must_use]
    pub fn over(connection: Connection) -> Self {
        Self(connection)
    }

    /// The process that listens, as the kernel names it.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn process(&self) -> Result<u32, Error> {
        self.0.process()
    }

    /// Hands over all of a container's doors. `life` becomes readable when the container is gone. The
    /// caller may close its copies.
    ///
    /// # Errors
    /// When the relay is gone or refuses.
    pub fn serve(
        &mut self,
        id: &str,
        to: Option<IpAddr>,
        doors: &[(Door, BorrowedFd<'_>)],
        life: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        for (n, some) in doors.chunks(AT_ONCE).enumerate() {
            let mut fds: Vec<_> = some.iter().map(|(_, fd)| *fd).collect();
            if n == 0 {
                fds.push(life);
            }
            let op = Op::Serve {
                id: id.to_owned(),
                to,
                doors: some.iter().map(|(door, _)| *door).collect(),
                life: n == 0,
            };
            self.done(op, &fds)?;
        }
        Ok(())
    }

    /// Leads a container's doors to another address, or nowhere.
    ///
    /// # Errors
    /// When the relay is gone, or does not serve it.
    pub fn lead(&mut self, id: &str, to: Option<IpAddr>) -> Result<(), Error> {
        let id = id.to_owned();
        self.done(Op::Lead { id, to }, &[])
    }

    /// Closes all doors of a container but these.
    ///
    /// # Errors
    /// When the relay is gone.
    pub fn keep(&mut self, id: &str, doors: &[Door]) -> Result<(), Error> {
        let (id, doors) = (id.to_owned(), doors.to_vec());
        self.done(Op::Keep { id, doors }, &[])
    }

    /// Closes a container's doors.
    ///
    /// # Errors
    /// When the relay is gone.
    pub fn remove(&mut self, id: &str) -> Result<(), Error> {
        self.done(Op::Remove { id: id.to_owned() }, &[])
    }

    /// Closes the doors of all containers but these.
    ///
    /// # Errors
    /// When the relay is gone.
    pub fn retain(&mut self, ids: &[String]) -> Result<(), Error> {
        self.done(Op::Retain { ids: ids.to_vec() }, &[])
    }

    /// What the relay knows and has done.
    ///
    /// # Errors
    /// When the relay is gone.
    pub fn status(&mut self) -> Result<Status, Error> {
        match self.ask(Op::Status, &[])? {
            Reply::Status { status } => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes room for another relay: it goes on with the connections that there are, and then ends.
    ///
    /// # Errors
    /// When the relay is gone.
    pub fn retire(&mut self) -> Result<(), Error> {
        self.done(Op::Retire, &[])
    }

    fn done(&mut self, op: Op, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        match self.ask(op, fds)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&mut self, op: Op, fds: &[BorrowedFd<'_>]) -> Result<Reply, Error> {
        match self.0.ask(op, fds)? {
            Reply::Refused { reason } => Err(Error::Refused(reason)),
            reply => Ok(reply),
        }
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Gone(io::Error::other(format!(
        "a reply to something else: {reply:?}"
    )))
}
