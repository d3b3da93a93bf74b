//! Reading a container's log: lines of Docker's `json-file` form, which its shim appends.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde::Deserialize;
use sys::watch::FileWatch;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, SeekFrom, unix::AsyncFd},
    sync::{mpsc, watch},
};
use types::options::{LogsOptions, StdStream};

use crate::{clock, state::State};

/// How much is read at a time.
const BLOCK: usize = 64 * 1024;
/// A line that the shim writes is far below this; what is longer is damage.
const LONGEST: usize = 1 << 20;

/// A piece of output, or why there is no more.
pub(crate) type Chunk = io::Result<(StdStream, Bytes)>;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    log: std::borrow::Cow<'a, str>,
    stream: &'a str,
    time: &'a str,
}

/// The log at `path` as `options` ask for it. Following ends with the container's run.
pub(crate) fn read(
    path: PathBuf,
    options: LogsOptions,
    state: watch::Receiver<State>,
) -> impl Stream<Item = Chunk> + Send + 'static {
    let (chunks, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        let reader = Reader {
            options,
            chunks: chunks.clone(),
            line_open: [false; 2],
        };
        if let Err(error) = reader.run(path, state).await {
            // The reader of a closed channel went away: nobody to tell.
            let _ = chunks.send(Err(error)).await;
        }
    });
    stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    })
}

struct Reader {
    options: LogsOptions,
    chunks: mpsc::Sender<Chunk>,
    /// For each stream: its last entry did not end its line, and the next gets no time stamp.
    line_open: [bool; 2],
}

impl Reader {
    async fn run(mut self, path: PathBuf, mut state: watch::Receiver<State>) -> io::Result<()> {
        let mut file = match File::open(&path).await {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.options.follow => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if !wait_for_start(&mut state, &self.chunks).await {
                    return Ok(());
                }
                match File::open(&path).await {
                    Ok(file) => file,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(e) => return Err(e),
                }
            }
            Err(e) => return Err(e),
        };
        if let Some(lines) = self.options.tail {
            let start = start_of_tail(&mut file, lines).await?;
            file.seek(SeekFrom::Start(start)).await?;
        }
        let notify = self.options.follow.then(|| watch_file(&path)).transpose()?;
        let mut pending = BytesMut::with_capacity(BLOCK);
        loop {
            // Looked at before reading: what the container wrote before it ended is read below.
            let over = !runs(&state.borrow_and_update());
            while file.read_buf(&mut pending).await? > 0 {
                if !self.pass_on(&mut pending).await {
                    return Ok(());
                }
            }
            let Some(notify) = &notify else { return Ok(()) };
            if over || self.past_the_end() {
                return Ok(());
            }
            tokio::select! {
                ready = notify.readable() => {
                    let mut ready = ready?;
                    ready.get_inner().clear()?;
                    ready.clear_ready();
                }
                gone = state.changed() => if gone.is_err() { return Ok(()) },
                () = self.chunks.closed() => return Ok(()),
                () = sleep_until(self.options.until) => {}
            }
        }
    }

    /// Sends the whole lines in `pending`; false when nobody reads any more.
    async fn pass_on(&mut self, pending: &mut BytesMut) -> bool {
        let Some(end) = memchr_last(pending) else {
            if pending.len() > LONGEST {
                pending.clear();
            }
            return true;
        };
        let lines = pending.split_to(end + 1);
        let mut out = BytesMut::new();
        let mut kind = StdStream::Out;
        for line in lines
            .as_ref()
            .split(|b: &u8| *b == b'\n')
            .filter(|l| !l.is_empty())
        {
            // A damaged line is passed over rather than hiding all that follow it.
            let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
                continue;
            };
            let stream = if line.stream == "stderr" {
                StdStream::Err
            } else {
                StdStream::Out
            };
            if !self.wants(stream, line.time) {
                continue;
            }
            if stream != kind
                && !out.is_empty()
                && self
                    .chunks
                    .send(Ok((kind, out.split().freeze())))
                    .await
                    .is_err()
            {
                return false;
            }
            kind = stream;
            let line_open = &mut self.line_open[usize::from(stream == StdStream::Err)];
            if self.options.timestamps && !*line_open {
                out.extend_from_slice(line.time.as_bytes());
                out.extend_from_slice(b" ");
            }
            *line_open = !line.log.ends_with('\n');
            out.extend_from_slice(line.log.as_bytes());
        }
        out.is_empty() || self.chunks.send(Ok((kind, out.freeze()))).await.is_ok()
    }

    fn wants(&self, stream: StdStream, time: &str) -> bool {
        let o = &self.options;
        let wanted = if stream == StdStream::Err {
            o.stderr
        } else {
            o.stdout
        };
        if !wanted || (o.since.is_none() && o.until.is_none()) {
            return wanted;
        }
        let Ok(time) = time.parse::<Timestamp>() else {
            return true;
        };
        let time = clock::nanos(time);
        o.since.is_none_or(|since| time >= since) && o.until.is_none_or(|until| time <= until)
    }

    fn past_the_end(&self) -> bool {
        self.options
            .until
            .is_some_and(|until| clock::nanos(Timestamp::now()) > until)
    }
}

fn runs(state: &State) -> bool {
    use crate::state::Phase::{Restarting, Running};
    matches!(state.phase, Running { .. } | Restarting)
}

/// Waits until a container that never ran starts; false when it never will or nobody listens.
async fn wait_for_start(state: &mut watch::Receiver<State>, to: &mpsc::Sender<Chunk>) -> bool {
    tokio::select! {
        ready = state.wait_for(|s| s.removed || s.phase != crate::state::Phase::Created) => {
            ready.is_ok_and(|s| !s.removed)
        }
        () = to.closed() => false,
    }
}

async fn sleep_until(until: Option<i64>) {
    let Some(until) = until else {
        return std::future::pending().await;
    };
    let left = until
        .saturating_sub(clock::nanos(Timestamp::now()))
        .saturating_add(1_000_000);
    tokio::time::sleep(Duration::from_nanos(u64::try_from(left).unwrap_or(0))).await;
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; FileWatch owns its descriptor, so this is sound"
)]
fn watch_file(path: &Path) -> io::Result<AsyncFd<FileWatch>> {
    AsyncFd::new(FileWatch::new(path)?)
}

fn memchr_last(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|b| *b == b'\n')
}

/// Where the last `lines` lines begin; read backwards, so that it costs what is shown.
async fn start_of_tail(file: &mut File, lines: usize) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(end);
    }
    let mut block = vec![0; BLOCK];
    // The newline that ends the last line counts as the first one met.
    let (mut position, mut met) = (end, 0);
    while position > 0 {
        let length = BLOCK.min(usize::try_from(position).unwrap_or(BLOCK));
        position -= length as u64;
        file.seek(SeekFrom::Start(position)).await?;
        file.read_exact(&mut block[..length]).await?;
        for (offset, _) in block[..length]
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, b)| **b == b'\n')
        {
            met += 1;
            if met > lines {
                return Ok(position + offset as u64 + 1);
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use futures_util::StreamExt;

    use super::*;

    fn sample(lines: usize) -> tempfile::NamedTempFile {
        let mut text = String::new();
        for n in 0..lines {
            let stream = if n % 2 == 0 { "stdout" } else { "stderr" };
            writeln!(
                text,
                r#"{{"log":"line {n}\n","stream":"{stream}","time":"2026-01-01T00:00:{:02}.000000000Z"}}"#,
                n % 60
            )
            .unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    async fn text(file: &tempfile::NamedTempFile, options: LogsOptions) -> String {
        let (_keep, state) = watch::channel(State::at_rest(None));
        let chunks = read(file.path().to_owned(), options, state);
        chunks
            .map(|c| String::from_utf8(c.unwrap().1.to_vec()).unwrap())
            .collect::<Vec<_>>()
            .await
            .concat()
    }

    #[tokio::test]
    async fn tail_since_and_streams() {
        let file = sample(10_000);
        let all = LogsOptions {
            stdout: true,
            stderr: true,
            ..LogsOptions::default()
        };
        assert_eq!(text(&file, all.clone()).await.lines().count(), 10_000);
        let tail = LogsOptions {
            tail: Some(2),
            ..all.clone()
        };
        assert_eq!(text(&file, tail).await, "line 9998\nline 9999\n");
        let none = LogsOptions {
            tail: Some(0),
            ..all.clone()
        };
        assert_eq!(text(&file, none).await, "");
        let out = LogsOptions {
            stderr: false,
            tail: Some(2),
            ..all.clone()
        };
        assert_eq!(text(&file, out).await, "line 9998\n");
        let small = sample(10);
        let since = clock::nanos("2026-01-01T00:00:08Z".parse().unwrap());
        let since = LogsOptions {
            since: Some(since),
            timestamps: true,
            ..all
        };
        assert_eq!(
            text(&small, since).await,
            "2026-01-01T00:00:08.000000000Z line 8\n2026-01-01T00:00:09.000000000Z line 9\n"
        );
    }

    #[tokio::test]
    async fn damage_hides_only_itself() {
        let file = sample(2);
        let mut text_before = std::fs::read(file.path()).unwrap();
        text_before.extend_from_slice(b"\0\0garbage\n");
        text_before.extend_from_slice(
            br#"{"log":"after\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}"#,
        );
        text_before.push(b'\n');
        std::fs::write(file.path(), text_before).unwrap();
        let all = LogsOptions {
            stdout: true,
            stderr: true,
            ..LogsOptions::default()
        };
        assert_eq!(text(&file, all).await, "line 0\nline 1\nafter\n");
    }
}
