//! Reading a container's log, which its shim writes: all of it or its end, over all files that are
//! there, and what comes.
//!
//! Files are read in blocks on threads that may block; each block is sent before the next is read,
//! so a client that does not read holds up nothing but itself. Who follows waits for the kernel's
//! word that the newest file has grown or was renamed.

mod files;
mod filter;
mod hub;
mod json;

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use runtime::logfile::LogEnd;
use tokio::sync::{mpsc, watch};
use types::options::{LogsOptions, StdStream};

pub(crate) use self::{files::Place, hub::Hub};
use self::{
    files::{Got, Opened},
    filter::Filter,
};
use crate::{clock, state::State};

/// How long to wait for the file that follows one which was just rotated away.
const MOMENT: Duration = Duration::from_millis(5);
/// How often that wait is doubled at most: somebody may have removed the file for good.
const DOUBLED: u32 = 7;

/// Pieces in a block by which it is no longer a line now and then.
const MANY: usize = 64;

/// A piece of output, or why there is no more.
pub(crate) type Chunk = io::Result<(StdStream, Bytes)>;

/// Pieces that were read together.
type Chunks = io::Result<Vec<(StdStream, Bytes)>>;

/// The log at `place` as `options` ask for it. Following ends with the container's run; where
/// there is an `end`, reading ends there.
pub(crate) fn read(
    place: Place,
    options: LogsOptions,
    end: Option<LogEnd>,
    state: watch::Receiver<State>,
    hub: &Arc<Hub>,
) -> impl Stream<Item = Chunk> + Send + 'static {
    let (chunks, mut receiver) = mpsc::channel(2);
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        let reader = Reader {
            follow: options.follow && end.is_none(),
            until: options.until,
            hub,
            chunks: chunks.clone(),
        };
        let filter = Filter::new(options, place.form);
        if let Err(error) = reader.run(place, filter, end, state).await {
            // The reader of a closed channel went away: nobody to tell.
            let _ = chunks.send(Err(error)).await;
        }
    });
    stream::poll_fn(move |cx| receiver.poll_recv(cx)).flat_map(|chunks: Chunks| {
        let chunks = match chunks {
            Ok(chunks) => chunks.into_iter().map(Ok).collect(),
            Err(e) => vec![Err(e)],
        };
        stream::iter(chunks)
    })
}

struct Reader {
    follow: bool,
    until: Option<i64>,
    hub: Arc<Hub>,
    chunks: mpsc::Sender<Chunks>,
}

/// The files that are still to be read, the first of them under way.
struct Cursor {
    place: Place,
    files: VecDeque<Opened>,
    filter: Filter,
    block: Vec<u8>,
}

/// What became of a step.
enum Step {
    /// Records were read.
    Read(Vec<(StdStream, Bytes)>),
    /// Everything that is there was read.
    End,
}

impl Reader {
    async fn run(
        self,
        place: Place,
        filter: Filter,
        end: Option<LogEnd>,
        mut state: watch::Receiver<State>,
    ) -> io::Result<()> {
        let mut opened = open(place.clone(), &filter, end.clone()).await;
        if self.follow && matches!(&opened, Err(e) if e.kind() == io::ErrorKind::NotFound) {
            if !wait_for_start(&mut state, &self.chunks).await {
                return Ok(());
            }
            opened = open(place.clone(), &filter, end).await;
        }
        let files = match opened {
            Ok(files) => files,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        let mut cursor = Cursor {
            place,
            files,
            filter,
            block: Vec::new(),
        };
        let mut watched = None;
        // Whether the container is waited for, and not the disk.
        let mut caught_up = false;
        let mut waited = 0;
        loop {
            if self.follow && watched.is_none() {
                watched = Some(self.hub.watch(&cursor.place.path));
            }
            // From here on no change is missed.
            let changed = match &watched {
                Some(Ok(watched)) => Some(watched.changed()),
                _ => None,
            };
            // Looked at before reading: what the container wrote before it ended is read below.
            let over = !runs(&state.borrow_and_update());
            loop {
                let step;
                (cursor, step) = if caught_up {
                    // What was written this moment is in memory: no other thread need wake for it.
                    let step = cursor.step()?;
                    (cursor, step)
                } else {
                    cursor.step_elsewhere().await?
                };
                match step {
                    Step::Read(pieces) if pieces.is_empty() => {}
                    Step::Read(pieces) => {
                        caught_up &= pieces.len() < MANY;
                        if self.chunks.send(Ok(pieces)).await.is_err() {
                            return Ok(());
                        }
                    }
                    Step::End => break,
                }
            }
            if !self.follow || cursor.filter.done {
                return Ok(());
            }
            caught_up = true;
            let next;
            (cursor, next) = cursor.goes_on().await?;
            match next {
                Next::Files => {
                    drop(changed);
                    watched = None;
                    waited = 0;
                    continue;
                }
                Next::Nothing if over || self.past_the_end() => return Ok(()),
                Next::Nothing => {}
                Next::Soon if over => return Ok(()),
                Next::Soon => {
                    drop(changed);
                    watched = None;
                    if !self.moment(&mut waited).await {
                        return Ok(());
                    }
                    continue;
                }
            }
            let Some(changed) = changed else {
                // It was renamed before it could be watched, or there are no watches left.
                match watched {
                    Some(Err(e)) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
                watched = None;
                if !self.moment(&mut waited).await {
                    return Ok(());
                }
                continue;
            };
            waited = 0;
            tokio::select! {
                () = changed => {}
                gone = state.changed() => if gone.is_err() { return Ok(()) },
                () = self.chunks.closed() => return Ok(()),
                () = sleep_until(self.until) => {}
            }
        }
    }

    /// Waits for a while, longer each time; false when nobody listens any more.
    async fn moment(&self, waited: &mut u32) -> bool {
        let pause = MOMENT * (1 << (*waited).min(DOUBLED));
        *waited += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.chunks.closed() => false,
        }
    }

    fn past_the_end(&self) -> bool {
        self.until
            .is_some_and(|until| clock::nanos(Timestamp::now()) > until)
    }
}

/// Opens the files and goes to where the reader begins.
async fn open(place: Place, filter: &Filter, end: Option<LogEnd>) -> io::Result<VecDeque<Opened>> {
    let (tail, since) = (filter.options().tail, filter.options().since);
    elsewhere(move || {
        let mut files = VecDeque::from(place.open()?);
        if let Some(end) = end {
            cut(&mut files, &end)?;
        }
        if let Some(mut lines) = tail {
            let mut kept = VecDeque::new();
            while let Some(mut file) = files.pop_back() {
                let newest = kept.is_empty();
                if lines == 0 && !newest {
                    break;
                }
                lines -= file.tail(lines)?;
                kept.push_front(file);
            }
            files = kept;
        }
        if let Some(since) = since {
            // The newest is kept, to be followed.
            while files.len() > 1 && files.front().is_some_and(|f| f.is_older_than(since)) {
                files.pop_front();
            }
        }
        Ok(files)
    })
    .await
}

/// Leaves only what was written when the log ended there.
fn cut(files: &mut VecDeque<Opened>, end: &LogEnd) -> io::Result<()> {
    while let Some(mut file) = files.pop_back() {
        let first = file.first()?;
        if end.first.is_some() && first == end.first {
            file.stop_at(end.size);
            files.push_back(file);
            return Ok(());
        }
        if end.first.is_none() {
            // The newest was empty then: nothing of it counts, and all of those before it.
            return Ok(());
        }
    }
    Ok(())
}

/// What there is to read after everything was read.
enum Next {
    /// Files that came after.
    Files,
    /// Only what is still to be written to the newest file.
    Nothing,
    /// A file that is about to be there.
    Soon,
}

impl Cursor {
    /// Reads one block.
    fn step(&mut self) -> io::Result<Step> {
        while !self.filter.done {
            // A file that others follow grows no more.
            let more = self.files.len() > 1;
            let filter = &mut self.filter;
            let Some(file) = self.files.front_mut() else {
                break;
            };
            match file.read(&mut self.block, more, |bytes, last| {
                filter.feed(bytes, last)
            })? {
                Got::Some => return Ok(Step::Read(self.filter.take())),
                Got::End if more => {
                    self.files.pop_front();
                }
                Got::End => break,
            }
        }
        let pieces = self.filter.take();
        Ok(if pieces.is_empty() {
            Step::End
        } else {
            Step::Read(pieces)
        })
    }

    async fn step_elsewhere(mut self) -> io::Result<(Self, Step)> {
        elsewhere(move || {
            let step = self.step()?;
            Ok((self, step))
        })
        .await
    }

    /// Whether the last file read is still the newest, which one look at its name tells; takes up
    /// those that follow it if not.
    async fn goes_on(mut self) -> io::Result<(Self, Next)> {
        if self.files.front().is_none_or(|f| self.place.is_newest(f)) {
            return Ok((self, Next::Nothing));
        }
        // Waits where the files are being renamed, or are not there at all.
        elsewhere(move || {
            let next = self.take_up()?;
            Ok((self, next))
        })
        .await
    }

    fn take_up(&mut self) -> io::Result<Next> {
        let Some(file) = self.files.front() else {
            return Ok(Next::Nothing);
        };
        match self.place.after(file.first()?.as_deref()) {
            Ok(files) if files.is_empty() => Ok(Next::Soon),
            Ok(files) => {
                // What was written to it before it was renamed comes first.
                self.files.extend(files);
                Ok(Next::Files)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Next::Soon),
            Err(e) => Err(e),
        }
    }
}

/// Runs `work` where it may block.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn runs(state: &State) -> bool {
    use crate::state::Phase::{Restarting, Running};
    matches!(state.phase, Running { .. } | Restarting)
}

/// Waits until a container that never ran starts; false when it never will or nobody listens.
async fn wait_for_start(state: &mut watch::Receiver<State>, to: &mpsc::Sender<Chunks>) -> bool {
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

#[cfg(test)]
mod tests;
