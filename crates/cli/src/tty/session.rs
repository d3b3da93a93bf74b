//! A conversation with a process: its output to ours, our input to its.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Keys, Raw, is_terminal, parse_keys};
use crate::{
    client::{Demux, Piece},
    error::{Error, Result},
};

/// The keys that detach when none are named.
const DETACH: &str = "ctrl-p,ctrl-q";

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process's output ended.
    Output,
    /// The user pressed the keys that detach.
    Detached,
}

/// Which streams take part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// The process has a terminal: one raw stream.
    pub(crate) tty: bool,
    /// Our standard input is its.
    pub(crate) stdin: bool,
    /// Its output is shown on our standard output.
    pub(crate) stdout: bool,
    /// Its errors are shown on our standard error.
    pub(crate) stderr: bool,
    /// Keys that detach; the usual ones when empty.
    pub(crate) keys: String,
    /// Signals are passed on to the process, and so must not end us.
    pub(crate) proxied: bool,
}

impl Session {
    /// Runs the conversation over `connection`. Our terminal is in raw mode meanwhile if both
    /// sides have one.
    pub(crate) async fn run<S>(&self, connection: S) -> Result<End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // Signals are caught before the mode changes: one that comes in between must find us ready.
        let interactive = self.tty && self.stdin && is_terminal(std::io::stdin());
        let ending = (interactive && !self.proxied).then(super::signals::ending);
        let raw = if interactive { Raw::enter() } else { None };
        let keys = if self.tty && self.stdin {
            let text = if self.keys.is_empty() {
                DETACH
            } else {
                &self.keys
            };
            parse_keys(text).map_err(Error::msg)?
        } else {
            Vec::new()
        };
        let (from, to) = tokio::io::split(connection);
        let output = async {
            copy_output(
                from,
                self.tty,
                self.stdout || self.stderr,
                self.stdout,
                self.stderr,
            )
            .await?;
            Ok(End::Output)
        };
        let input = async {
            if !self.stdin {
                return std::future::pending().await;
            }
            copy_input(to, Keys::new(keys)).await
        };
        // A signal that ends us must not leave the terminal behind in raw mode.
        let ended = async {
            match ending {
                Some(ending) => Err(Error::Status(ending.await)),
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            end = output => end,
            end = input => end,
            end = ended => end,
        };
        drop(raw);
        end
    }
}

/// Standard input to the process until it ends, and then its end. Never completes but for the
/// keys: output goes on after the input's end.
async fn copy_input(mut to: impl AsyncWrite + Unpin, mut keys: Keys) -> Result<End> {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; 32 << 10];
    loop {
        match stdin.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => {
                let (pass, detach) = keys.feed(&buffer[..n]);
                if to.write_all(&pass).await.is_err() || to.flush().await.is_err() {
                    // The process no longer reads; its output tells how it ends.
                    return std::future::pending().await;
                }
                if detach {
                    return Ok(End::Detached);
                }
            }
        }
    }
    let _ = to.shutdown().await;
    // Kept: to drop it would not matter, but to return would end the conversation.
    let _to = to;
    std::future::pending().await
}

/// The process's output to our streams, until it ends.
pub(crate) async fn copy_output(
    mut from: impl AsyncRead + Unpin,
    tty: bool,
    any: bool,
    stdout: bool,
    stderr: bool,
) -> Result {
    let mut writer = Writer::new(tty, stdout, stderr);
    let mut buffer = vec![0; 32 << 10];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            // A connection that breaks after a detach or an end is that end.
            Err(_) => return Ok(()),
            Ok(n) if any => writer.write(&buffer[..n]).await?,
            Ok(_) => {}
        }
    }
}

/// Our standard streams as the end of a process's output.
pub(crate) struct Writer {
    tty: bool,
    show_out: bool,
    show_err: bool,
    demux: Demux,
    out: tokio::io::Stdout,
    err: tokio::io::Stderr,
}

impl Writer {
    /// For a process with or without a terminal; streams not wanted are dropped.
    pub(crate) fn new(tty: bool, stdout: bool, stderr: bool) -> Self {
        Self {
            tty,
            show_out: stdout,
            show_err: stderr,
            demux: Demux::default(),
            out: tokio::io::stdout(),
            err: tokio::io::stderr(),
        }
    }

    /// Writes what arrived.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result {
        if self.tty {
            return put(&mut self.out, bytes).await;
        }
        self.demux.push(bytes);
        while let Some(piece) = self.demux.next().map_err(Error::msg)? {
            match piece {
                Piece::Out(bytes) if self.show_out => put(&mut self.out, &bytes).await?,
                Piece::Err(bytes) if self.show_err => put(&mut self.err, &bytes).await?,
                Piece::Failure(bytes) => {
                    return Err(Error::msg(format!(
                        "error from daemon in stream: {}",
                        String::from_utf8_lossy(&bytes)
                    )));
                }
                Piece::Out(_) | Piece::Err(_) => {}
            }
        }
        Ok(())
    }
}

async fn put(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result {
    let written = async {
        to.write_all(bytes).await?;
        to.flush().await
    };
    written.await.map_err(|e| Error::stdio(&e))
}
