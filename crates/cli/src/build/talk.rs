//! The talk with the daemon while a build runs: its progress, the result's archive, and the questions
//! of steps to the user's agent.

use std::time::Duration;

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use types::build::{AgentFrame, BuildEvent, Built};

use super::{
    agent::{Agents, Connections},
    caches::Sinks,
};
use crate::{
    client::{Demux, Piece},
    error::{Error, Result},
    progress::build::Board,
};

/// How often the picture is drawn again.
const EVERY: Duration = Duration::from_millis(100);
/// A line of progress that is longer is none.
const LONGEST: usize = 16 << 20;

/// Follows a build to its end over `connection`. To end this earlier is to call the build off.
pub(crate) async fn talk<S>(
    connection: S,
    board: &mut Board,
    agents: Agents,
    sink: &mut Sinks,
) -> Result<Built>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut from, to) = tokio::io::split(connection);
    let (answers, frames) = mpsc::channel(16);
    let mut agents = Connections::new(agents, answers);
    let writing = tokio::spawn(write(frames, to));
    let mut talk = Talk {
        demux: Demux::default(),
        line: BytesMut::new(),
        end: None,
    };
    let mut buffer = vec![0; 64 << 10];
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(0) => break Ok(()),
                Err(e) => break Err(Error::msg(format!(
                    "ERROR: the connection to the daemon broke: {e}"
                ))),
                Ok(n) => {
                    let taken = talk.take(&buffer[..n], board, &mut agents, sink).await;
                    if taken.is_err() || talk.end.is_some() {
                        break taken;
                    }
                }
            },
            _ = ticks.tick() => board.tick(),
        }
    };
    writing.abort();
    match (talk.end, ended) {
        (Some(end), _) => end,
        (None, Err(e)) => Err(e),
        (None, Ok(())) => Err(Error::msg(
            "ERROR: the daemon's answer ended before the build did",
        )),
    }
}

/// Sends agents' answers.
async fn write(mut frames: mpsc::Receiver<AgentFrame>, mut to: impl AsyncWrite + Unpin) {
    while let Some(frame) = frames.recv().await {
        let Ok(mut line) = serde_json::to_vec(&frame) else {
            continue;
        };
        line.push(b'\n');
        if to.write_all(&line).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    // Kept open: its end would call the build off.
    std::future::pending::<()>().await;
}

struct Talk {
    demux: Demux,
    line: BytesMut,
    /// How the build ended.
    end: Option<Result<Built>>,
}

impl Talk {
    async fn take(
        &mut self,
        bytes: &[u8],
        board: &mut Board,
        agents: &mut Connections,
        sink: &mut Sinks,
    ) -> Result {
        self.demux.push(bytes);
        while let Some(piece) = self.demux.next().map_err(Error::msg)? {
            match piece {
                Piece::Out(bytes) => {
                    self.line.extend_from_slice(&bytes);
                    self.lines(board, agents, sink).await?;
                }
                Piece::Err(bytes) => sink.take(bytes).await?,
                Piece::Failure(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    return Err(Error::msg(format!("ERROR: {text}")));
                }
            }
        }
        Ok(())
    }

    async fn lines(
        &mut self,
        board: &mut Board,
        agents: &mut Connections,
        sink: &mut Sinks,
    ) -> Result {
        while let Some(end) = self.line.iter().position(|&b| b == b'\n') {
            let line = self.line.split_to(end + 1);
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let event: BuildEvent = serde_json::from_slice(&line).map_err(|e| {
                Error::msg(format!("ERROR: the daemon's progress cannot be read: {e}"))
            })?;
            match event {
                BuildEvent::Agent(frame) => agents.take(&frame).await,
                BuildEvent::Cache(dir) => sink.cache(&dir).await?,
                BuildEvent::Built(built) => self.end = Some(Ok(built)),
                BuildEvent::Error(text) => self.end = Some(Err(Error::Message(failure(&text)))),
                event => board.event(&event),
            }
        }
        if self.line.len() > LONGEST {
            return Err(Error::msg("ERROR: the daemon's progress has no lines"));
        }
        Ok(())
    }
}

/// The daemon's words, marked as buildx does.
fn failure(text: &str) -> String {
    let text = text.trim_end();
    if text.lines().any(|line| line.starts_with("ERROR: ")) {
        text.to_owned()
    } else if text.starts_with("failed to ") {
        format!("ERROR: {text}")
    } else {
        format!("ERROR: failed to solve: {text}")
    }
}

#[cfg(test)]
mod tests {
    use types::build::BuildRequest;

    use super::*;
    use crate::{build::Sink, progress::build::Form};

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let mut out = vec![stream, 0, 0, 0];
        out.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        out.extend(text.as_bytes());
        out
    }

    async fn answer(bytes: Vec<u8>) -> Result<Built> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let serving = tokio::spawn(async move {
            theirs.write_all(&bytes).await.unwrap();
        });
        let mut board = Board::new(Form::Quiet);
        let mut sink = Sinks::new(Sink::Nothing, &BuildRequest::default());
        let built = talk(ours, &mut board, Agents::default(), &mut sink).await;
        serving.await.unwrap();
        built
    }

    #[tokio::test]
    async fn the_last_line_says_how_it_ended() {
        let built = frame(1, "{\"built\":{\"image\":\"sha256:aa\"}}\n");
        assert_eq!(answer(built).await.unwrap().image, "sha256:aa");
        for (bytes, text) in [
            (
                frame(1, "{\"error\":\"failed to solve: x\"}\n"),
                "ERROR: failed to solve: x",
            ),
            (
                frame(1, "{\"error\":\"Dockerfile:2:1: bad\\n 2 | RUN x\"}\n"),
                "ERROR: failed to solve: Dockerfile:2:1: bad\n 2 | RUN x",
            ),
            (
                Vec::new(),
                "ERROR: the daemon's answer ended before the build did",
            ),
            (
                frame(2, "tar"),
                "the daemon sent an archive that nobody asked for",
            ),
            (
                frame(1, "{\"cache\":\"/etc\"}\n"),
                "the daemon sent a cache that nobody asked for",
            ),
        ] {
            assert_eq!(answer(bytes).await.unwrap_err().to_string(), text);
        }
    }
}
