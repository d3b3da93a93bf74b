//! The daemon's side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use companion::client::Connection;
pub use companion::client::Error;

use crate::model::{Asker, Endpoint, Network};
use crate::protocol::{Op, Reply, Role, Status};

/// What is handed over for an asker.
#[derive(Debug, Default)]
pub struct AskerFds {
    /// A UDP socket, bound in the container's namespace.
    pub udp: Option<OwnedFd>,
    /// A listening TCP socket, bound in the container's namespace.
    pub tcp: Option<OwnedFd>,
    /// The container's network namespace; needed for servers that are asked from there.
    pub namespace: Option<OwnedFd>,
    /// Becomes readable when the container is gone (a pidfd): the name server then lets go of the
    /// namespace, and of the container's names, by itself.
    pub life: Option<OwnedFd>,
}

impl AskerFds {
    fn list(&self) -> Vec<(Role, BorrowedFd<'_>)> {
        let all = [
            (Role::Udp, &self.udp),
            (Role::Tcp, &self.tcp),
            (Role::Namespace, &self.namespace),
            (Role::Life, &self.life),
        ];
        let some = all.into_iter();
        some.filter_map(|(role, fd)| Some((role, fd.as_ref()?.as_fd())))
            .collect()
    }
}

/// A connection to the name server. Each method returns when what it says is done; all may be
/// repeated.
#[derive(Debug)]
pub struct Client(Connection);

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When no server listens there.
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

    /// Adds an asker with its sockets, or puts them in the place of what it had. The caller may
    /// close its copies.
    ///
    /// # Errors
    /// When the server is gone or refuses.
    pub fn set_asker(&mut self, asker: &Asker, fds: &AskerFds) -> Result<(), Error> {
        let (roles, fds): (Vec<_>, Vec<_>) = fds.list().into_iter().unzip();
        let op = Op::SetAsker {
            asker: asker.clone(),
            fds: roles,
        };
        self.done(op, &fds)
    }

    /// Changes an asker's settings and leaves its sockets.
    ///
    /// # Errors
    /// When the server is gone, or does not serve it.
    pub fn change_asker(&mut self, asker: &Asker) -> Result<(), Error> {
        self.set_asker(asker, &AskerFds::default())
    }

    /// Forgets an asker.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn remove_asker(&mut self, id: &str) -> Result<(), Error> {
        self.done(Op::RemoveAsker { id: id.to_owned() }, &[])
    }

    /// Sets all names of a network.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn set_network(&mut self, network: &Network) -> Result<(), Error> {
        let network = network.clone();
        self.done(Op::SetNetwork { network }, &[])
    }

    /// Forgets a network.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn remove_network(&mut self, id: &str) -> Result<(), Error> {
        self.done(Op::RemoveNetwork { id: id.to_owned() }, &[])
    }

    /// Sets the names of one endpoint of a network.
    ///
    /// # Errors
    /// When the server is gone, or does not know the network.
    pub fn set_endpoint(
        &mut self,
        network: &str,
        key: &str,
        endpoint: &Endpoint,
    ) -> Result<(), Error> {
        let op = Op::SetEndpoint {
            network: network.to_owned(),
            key: key.to_owned(),
            endpoint: endpoint.clone(),
        };
        self.done(op, &[])
    }

    /// Forgets an endpoint of a network.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn remove_endpoint(&mut self, network: &str, key: &str) -> Result<(), Error> {
        let op = Op::RemoveEndpoint {
            network: network.to_owned(),
            key: key.to_owned(),
        };
        self.done(op, &[])
    }

    /// Forgets everything but these, as after a restart of the daemon.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn retain(&mut self, askers: &[String], networks: &[String]) -> Result<(), Error> {
        let op = Op::Retain {
            askers: askers.to_vec(),
            networks: networks.to_vec(),
        };
        self.done(op, &[])
    }

    /// Copies of what was handed over for an asker: the way to a newer server process without an
    /// unanswered question.
    ///
    /// # Errors
    /// When the server is gone, or does not serve it.
    pub fn descriptors(&mut self, id: &str) -> Result<AskerFds, Error> {
        match self.ask(Op::Descriptors { id: id.to_owned() }, &[])? {
            Reply::Descriptors { fds } => {
                let mut all = AskerFds::default();
                for (role, fd) in fds.iter().zip(self.0.take(fds.len())?) {
                    let place = match role {
                        Role::Udp => &mut all.udp,
                        Role::Tcp => &mut all.tcp,
                        Role::Namespace => &mut all.namespace,
                        Role::Life => &mut all.life,
                    };
                    *place = Some(fd);
                }
                Ok(all)
            }
            other => Err(unexpected(other)),
        }
    }

    /// What the server knows and has done.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn status(&mut self) -> Result<Status, Error> {
        match self.ask(Op::Status, &[])? {
            Reply::Status { status } => Ok(status),
            other => Err(unexpected(other)),
        }
    }

    /// Ends the server; what it knows is on disk then.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.done(Op::Stop, &[])
    }

    fn done(&mut self, op: Op, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        match self.ask(op, fds)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn ask(&mut self, op: Op, fds: &[BorrowedFd<'_>]) -> Result<Reply, Error> {
        match self.0.ask(op, fds)? {
            Reply::Refused { reason } => Err(Error::Refused(reason)),
            reply => Ok(reply),
        }
    }
}

fn unexpected(reply: Reply) -> Error {
    Error::Gone(std::io::Error::other(format!(
        "a reply to something else: {reply:?}"
    )))
}
