//! The name server's process: found, started, replaced by one of our program.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use companion::process::Process;
use resolver::Client;

use super::{known::Held, told::Told};

/// The name server of one exec root.
pub(super) struct Server {
    pub(super) process: Process,
    known: PathBuf,
}

impl Server {
    pub(super) fn new(exec_root: &Path, program: &[u8]) -> io::Result<Self> {
        let control = exec_root.join("names.sock");
        Ok(Self {
            process: Process::new("wharf-dns", program, control)?,
            known: exec_root.join("names.json"),
        })
    }

    /// A connection to a name server of our program that knows everything in `held`.
    pub(super) fn reach(&mut self, held: &BTreeMap<String, Held>) -> io::Result<Told> {
        let mut inherited = BTreeMap::new();
        if let Ok(mut client) = Client::connect(self.process.control()) {
            let pid = client.process()?;
            let ours = self.process.adopt(pid)?;
            match client.status() {
                Ok(status) if ours => {
                    let mut told = Told::new(client, status.serving);
                    if told.all(held, inherited).is_ok() {
                        return Ok(told);
                    }
                    // It went away meanwhile.
                    inherited = BTreeMap::new();
                }
                Ok(status) => {
                    tracing::info!(pid, "the name server is of another version: it is replaced");
                    // Questions that come from now on wait in the sockets.
                    for id in status.serving {
                        if let Ok(fds) = client.descriptors(&id) {
                            inherited.insert(id, fds);
                        }
                    }
                    let _ = client.stop();
                }
                Err(error) => {
                    tracing::warn!(pid, %error, "the name server does not answer: it is replaced");
                }
            }
            self.process.end()?;
        }
        let client = self.start()?;
        let mut told = Told::new(client, Vec::new());
        told.all(held, inherited)?;
        Ok(told)
    }

    /// Ends a name server that an earlier daemon left.
    pub(super) fn stop_other(&self) -> io::Result<()> {
        match Client::connect(self.process.control()) {
            Ok(mut client) => Ok(client.stop()?),
            Err(_) => Ok(()),
        }
    }

    fn start(&mut self) -> io::Result<Client> {
        let state = ["--state".as_ref(), self.known.as_os_str()];
        self.process.start(&state).map(Client::over)
    }
}
