//! `--ssh`: the user's agent, for steps that mount it. Keys stay here; what travels is an agent's
//! questions and answers.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixStream, unix::OwnedWriteHalf},
    sync::mpsc,
};
use types::build::AgentFrame;

use super::{attributes::fields, keys::KeyAgent};
use crate::error::{Error, Result};

/// Connections to agents at a time.
const MOST: usize = 64;
/// Bytes of one frame.
const PIECE: usize = 32 << 10;
/// Bytes of a question: OpenSSH's agents take no longer one.
const LONGEST: usize = 256 << 10;
/// How long an agent may take no bytes, before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Agents by their names.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    sockets: BTreeMap<String, String>,
    /// Those that were started for this build.
    _own: Vec<KeyAgent>,
}

impl Agents {
    /// Reads `default`, `id=socket`, or `id=key,key`.
    pub(super) fn parse(all: &[String]) -> Result<Self> {
        let mut agents = BTreeMap::new();
        let mut own = Vec::new();
        for text in all {
            let (id, paths) = text.split_once('=').unwrap_or((text, ""));
            let mut paths = fields(paths)?;
            paths.retain(|path| !path.is_empty());
            let id = if id.is_empty() { "default" } else { id };
            if agents.contains_key(id) {
                return Err(Error::msg(format!("ERROR: invalid duplicate ID {id}")));
            }
            let socket = match paths.as_slice() {
                [] => String::new(),
                [one] if !is_file(one)? => one.clone(),
                keys => {
                    for key in keys {
                        if !is_file(key)? {
                            return Err(Error::msg(format!(
                                "ERROR: --ssh {id}: {key} is a socket: only keys can be given \
                                 together"
                            )));
                        }
                    }
                    let agent = KeyAgent::start(id, keys)?;
                    agents.insert(id.to_owned(), agent.socket());
                    own.push(agent);
                    continue;
                }
            };
            let socket = if socket.is_empty() {
                std::env::var("SSH_AUTH_SOCK")
                    .ok()
                    .filter(|s| !s.is_empty())
                    .ok_or_else(|| Error::msg(format!(
                        "ERROR: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set, or give a socket: --ssh {id}=PATH"
                    )))?
            } else {
                socket
            };
            if is_file(&socket)? {
                return Err(Error::msg(format!(
                    "ERROR: invalid ssh agent socket: SSH_AUTH_SOCK is {socket}, which is a file"
                )));
            }
            agents.insert(id.to_owned(), socket);
        }
        Ok(Self {
            sockets: agents,
            _own: own,
        })
    }

    /// The names.
    pub(super) fn names(&self) -> Vec<String> {
        self.sockets.keys().cloned().collect()
    }
}

/// Whether it is a file, and so a key; else it is a socket.
fn is_file(path: &str) -> Result<bool> {
    let meta = std::fs::metadata(path).map_err(|e| match Error::file("stat", path, &e) {
        Error::Message(text) => Error::msg(format!("ERROR: {text}")),
        other => other,
    })?;
    let kind = meta.file_type();
    if kind.is_file() || std::os::unix::fs::FileTypeExt::is_socket(&kind) {
        return Ok(kind.is_file());
    }
    Err(Error::msg(format!(
        "ERROR: --ssh: {path} is neither a key nor the socket of an agent"
    )))
}

/// The connections of a build to agents.
pub(super) struct Connections {
    agents: Agents,
    open: HashMap<u32, OwnedWriteHalf>,
    answers: mpsc::Sender<AgentFrame>,
}

impl Connections {
    /// What agents answer goes to `answers`.
    pub(super) fn new(agents: Agents, answers: mpsc::Sender<AgentFrame>) -> Self {
        Self {
            agents,
            open: HashMap::new(),
            answers,
        }
    }

    /// Takes in what a step asks. Whatever goes wrong ends the connection, and the step says so.
    pub(super) async fn take(&mut self, frame: &AgentFrame) {
        let fits = frame.data.len() <= LONGEST / 3 * 4 + 4;
        let Some(data) = STANDARD.decode(&frame.data).ok().filter(|_| fits) else {
            return self.end(frame.connection).await;
        };
        if !self.open.contains_key(&frame.connection) && !self.connect(frame).await {
            return self.end(frame.connection).await;
        }
        let Some(writer) = self.open.get_mut(&frame.connection) else {
            return;
        };
        if data.is_empty() {
            let _ = writer.shutdown().await;
            self.open.remove(&frame.connection);
        } else {
            // One agent that hangs must not hold up the build for ever.
            let written = tokio::time::timeout(PATIENCE, writer.write_all(&data)).await;
            if !matches!(written, Ok(Ok(()))) {
                self.end(frame.connection).await;
            }
        }
    }

    /// Only agents that the user named are ever asked.
    async fn connect(&mut self, frame: &AgentFrame) -> bool {
        let Some(socket) = self.agents.sockets.get(&frame.agent) else {
            return false;
        };
        if self.open.len() >= MOST {
            return false;
        }
        let Ok(stream) = UnixStream::connect(socket).await else {
            return false;
        };
        let (mut reader, writer) = stream.into_split();
        self.open.insert(frame.connection, writer);
        let (answers, connection) = (self.answers.clone(), frame.connection);
        tokio::spawn(async move {
            let mut buffer = vec![0; PIECE];
            loop {
                let length = reader.read(&mut buffer).await.unwrap_or(0);
                let answer = AgentFrame {
                    connection,
                    data: STANDARD.encode(&buffer[..length]),
                    ..AgentFrame::default()
                };
                if answers.send(answer).await.is_err() || length == 0 {
                    return;
                }
            }
        });
        true
    }

    async fn end(&mut self, connection: u32) {
        self.open.remove(&connection);
        let end = AgentFrame {
            connection,
            ..AgentFrame::default()
        };
        // Who no longer listens needs no end.
        let _ = self.answers.send(end).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_named_agents_are_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 2];
            stream.read_exact(&mut question).await.unwrap();
            stream.write_all(b"answer").await.unwrap();
        });
        let agents = Agents::parse(&[format!("mine={}", path.display())]).unwrap();
        assert_eq!(agents.names(), ["mine"]);
        let (sender, mut answers) = mpsc::channel(8);
        let mut connections = Connections::new(agents, sender);
        let frame = |agent: &str, connection, data: &str| AgentFrame {
            agent: agent.to_owned(),
            connection,
            data: STANDARD.encode(data),
        };
        connections.take(&frame("other", 1, "q?")).await;
        assert_eq!(answers.recv().await, Some(frame("", 1, "")));
        connections.take(&frame("mine", 2, "q?")).await;
        assert_eq!(answers.recv().await, Some(frame("", 2, "answer")));
        assert_eq!(answers.recv().await, Some(frame("", 2, "")));
    }

    #[test]
    fn what_is_neither_socket_nor_key_is_refused() {
        for bad in [
            "a=/nosuch",
            "a=/etc",
            "a=/etc/hostname",
            "a=/etc/hostname,/nosuch",
        ] {
            assert!(Agents::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn longer_questions_than_an_agent_takes_end_the_connection() {
        let (sender, mut answers) = mpsc::channel(8);
        let mut connections = Connections::new(Agents::default(), sender);
        let frame = AgentFrame {
            agent: "mine".to_owned(),
            connection: 3,
            data: STANDARD.encode(vec![0; LONGEST + 3]),
        };
        connections.take(&frame).await;
        let end = answers.recv().await.unwrap();
        assert!(end.connection == 3 && end.data.is_empty());
    }
}
