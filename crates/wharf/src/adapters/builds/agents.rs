//! Steps' connections to the SSH agents of a build's client.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, BufReader};
use types::build::{AgentFrame, BuildEvent};

use super::live::{Piece, Sender, line};

/// One read's length.
const BUFFER: usize = 16 << 10;
/// Connections that a build may have at the same time.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of an answer: OpenSSH's agents give no longer one.
const MAX_MESSAGE: usize = 256 << 10;
/// Of the line that it comes in.
const MAX_LINE: u64 = (MAX_MESSAGE / 3 * 4 + 1024) as u64;
/// How long a step may leave its answer unread.
const PATIENCE: Duration = Duration::from_secs(30);

type Open = Arc<Mutex<HashMap<u32, UnixStream>>>;

/// All of them.
pub(super) struct Agents {
    sender: Sender<Piece>,
    open: Open,
    next: AtomicU32,
}

impl Agents {
    pub(super) fn new(sender: Sender<Piece>) -> Self {
        Self {
            sender,
            open: Arc::default(),
            next: AtomicU32::new(1),
        }
    }

    /// What the client writes: frames, a line each.
    pub(super) fn input(&self) -> impl AsyncWrite + Send + 'static {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let open = Arc::clone(&self.open);
        tokio::spawn(async move {
            let mut lines = BufReader::new(theirs);
            while let Some(text) = next_line(&mut lines).await {
                let Ok(frame) = serde_json::from_slice::<AgentFrame>(&text) else {
                    continue;
                };
                let Ok(bytes) = STANDARD.decode(&frame.data) else {
                    continue;
                };
                let stream = {
                    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                    if bytes.is_empty() {
                        open.remove(&frame.connection)
                    } else {
                        open.get(&frame.connection).and_then(|s| s.try_clone().ok())
                    }
                };
                let Some(mut stream) = stream else { continue };
                // A step that does not read its agent's answer must not hold up a task.
                let written = tokio::task::spawn_blocking(move || {
                    if bytes.is_empty() || stream.write_all(&bytes).is_err() {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                });
                let _ = written.await;
            }
            // Nobody answers any more.
            end(&open);
        });
        ours
    }

    /// Passes a step's bytes on to the client's agent `name`.
    pub(super) fn serve(&self, name: &str, mut stream: UnixStream) {
        let Ok(kept) = stream.try_clone() else { return };
        if stream.set_write_timeout(Some(PATIENCE)).is_err() {
            return;
        }
        let connection = self.next.fetch_add(1, Ordering::Relaxed);
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.len() >= MAX_CONNECTIONS {
                return;
            }
            open.insert(connection, kept);
        }
        let (sender, open, agent) = (self.sender.clone(), Arc::clone(&self.open), name.to_owned());
        let pass = move || {
            let mut buffer = vec![0; BUFFER];
            loop {
                let length = stream.read(&mut buffer).unwrap_or(0);
                let frame = AgentFrame {
                    agent: agent.clone(),
                    connection,
                    data: STANDARD.encode(&buffer[..length]),
                };
                if !sender.send(line(&BuildEvent::Agent(frame))) || length == 0 {
                    break;
                }
            }
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            open.remove(&connection);
        };
        let thread = std::thread::Builder::new().name("ssh-agent".to_owned());
        if thread.spawn(pass).is_err() {
            // Without a thread the step finds its agent closed.
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(stream) = open.remove(&connection) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Closes what is open.
    pub(super) fn end(&self) {
        end(&self.open);
    }
}

fn end(open: &Open) {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, stream) in open.drain() {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// The next line; none at the end, or where there is no end of it.
async fn next_line(lines: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = lines.take(MAX_LINE).read_until(b'\n', &mut line).await;
    (read.is_ok() && line.ends_with(b"\n")).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded() {
        let mut lines: &[u8] = b"one\ntwo";
        assert_eq!(next_line(&mut lines).await.as_deref(), Some(&b"one\n"[..]));
        assert_eq!(next_line(&mut lines).await, None);
        let endless = tokio::io::repeat(b'x');
        assert_eq!(next_line(&mut BufReader::new(endless)).await, None);
    }
}
