//! The files of a log as a reader finds them, oldest first.
//!
//! The shim may rotate at any moment. A file keeps the time of its first record through all
//! renamings and when it is compressed: by that a reader knows it again.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use flate2::read::MultiGzDecoder;
use memchr::memrchr_iter;
use runtime::logfile::{FIRST, LogForm, compressed, first_time, local, rotated};

/// How much is read at a time.
const BLOCK: usize = 256 * 1024;
/// How much at first, where a reader waits for what is written.
const LITTLE: usize = 4 * 1024;
/// How often the opening is tried again when it is rotated meanwhile.
const TRIES: u32 = 50;

/// Where a log is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its newest file.
    pub(crate) path: PathBuf,
    pub(crate) form: LogForm,
}

impl Place {
    fn text(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// The file that is the newest one now.
    fn newest(&self) -> io::Result<(u64, u64)> {
        let meta = fs::metadata(&self.path)?;
        Ok((meta.dev(), meta.ino()))
    }

    /// Whether `file` is the newest one.
    pub(super) fn is_newest(&self, file: &Opened) -> bool {
        self.newest().is_ok_and(|newest| Some(newest) == file.inode)
    }

    /// The numbers of the rotated files, highest and so oldest first.
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let (Some(dir), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(Vec::new());
        };
        let prefix = format!("{}.", name.to_string_lossy());
        let mut numbers = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let number = name.strip_prefix(&prefix);
            let number = number.map(|n| n.strip_suffix(".gz").unwrap_or(n));
            numbers.extend(number.and_then(|n| n.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers.reverse();
        Ok(numbers)
    }

    /// All files, as they are at one moment.
    pub(super) fn open(&self) -> io::Result<Vec<Opened>> {
        let mut tried = 0;
        loop {
            match self.try_open() {
                Ok(Some(files)) => return Ok(files),
                Ok(None) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    if self.numbers().map_or(true, |n| n.is_empty()) && tried > 0 {
                        return Err(e);
                    }
                }
                Err(e) => return Err(e),
            }
            tried += 1;
            if tried > TRIES {
                return Err(io::ErrorKind::NotFound.into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Nothing when it was rotated meanwhile.
    fn try_open(&self) -> io::Result<Option<Vec<Opened>>> {
        let before = self.newest()?;
        let text = self.text();
        let mut files = Vec::new();
        for number in self.numbers()? {
            let plain = Opened::plain(Path::new(&rotated(&text, number)), self.form);
            files.push(match plain {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    match Opened::gzip(Path::new(&compressed(&text, number)), self.form) {
                        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                        other => other?,
                    }
                }
                other => other?,
            });
        }
        let newest = Opened::plain(&self.path, self.form)?;
        let same = newest.inode == Some(before) && self.newest()? == before;
        files.push(newest);
        Ok(same.then_some(files))
    }

    /// The files that come after the one that begins with the record of `first`.
    pub(super) fn after(&self, first: Option<&str>) -> io::Result<Vec<Opened>> {
        let mut files = self.open()?;
        let Some(first) = first else { return Ok(files) };
        for (i, file) in files.iter().enumerate() {
            if file.first()?.as_deref() == Some(first) {
                return Ok(files.split_off(i + 1));
            }
        }
        // It was removed: all that there is came later.
        Ok(files)
    }
}

enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
}

/// A file of a log, and how far it was read.
pub(super) struct Opened {
    path: PathBuf,
    form: LogForm,
    source: Source,
    inode: Option<(u64, u64)>,
    /// The next byte to be read.
    offset: u64,
    /// Read, and not a whole record yet. Of a plain file it is read again instead.
    left: Vec<u8>,
    /// Records to be passed over, of a compressed file.
    skip: usize,
    /// Where to stop.
    limit: Option<u64>,
    /// How much to read next.
    want: usize,
}

/// How reading went.
pub(super) enum Got {
    /// There may be more.
    Some,
    /// There is no more, for now at least.
    End,
}

impl Opened {
    fn plain(path: &Path, form: LogForm) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let inode = Some((meta.dev(), meta.ino()));
        Ok(Self::new(path, form, Source::Plain(file), inode))
    }

    fn gzip(path: &Path, form: LogForm) -> io::Result<Self> {
        let decoder = Box::new(MultiGzDecoder::new(File::open(path)?));
        Ok(Self::new(path, form, Source::Gzip(decoder), None))
    }

    fn new(path: &Path, form: LogForm, source: Source, inode: Option<(u64, u64)>) -> Self {
        Self {
            path: path.to_owned(),
            form,
            source,
            inode,
            offset: 0,
            left: Vec::new(),
            skip: 0,
            limit: None,
            want: BLOCK,
        }
    }

    /// Reads up to `limit` bytes only.
    pub(super) fn stop_at(&mut self, limit: u64) {
        self.limit = Some(limit);
    }

    /// The time of its first record.
    pub(super) fn first(&self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        match &self.source {
            Source::Plain(file) => {
                bytes.resize(FIRST, 0);
                let got = read_at(file, &mut bytes, 0)?;
                bytes.truncate(got);
            }
            Source::Gzip(_) => {
                let decoder = MultiGzDecoder::new(File::open(&self.path)?);
                decoder.take(FIRST as u64).read_to_end(&mut bytes)?;
            }
        }
        Ok(first_time(self.form, &bytes))
    }

    /// Whether nothing in it was written at or after `since`.
    pub(super) fn is_older_than(&self, since: i64) -> bool {
        let Source::Plain(file) = &self.source else {
            return false;
        };
        let modified = file.metadata().and_then(|m| m.modified());
        let modified = modified
            .ok()
            .and_then(|m| m.duration_since(UNIX_EPOCH).ok());
        // A file's time is that of the kernel's last tick.
        modified.is_some_and(|m| {
            let reached = m.saturating_add(Duration::from_millis(20));
            i64::try_from(reached.as_nanos()).is_ok_and(|reached| reached < since)
        })
    }

    /// Reads one block of records into `take`, which answers how many bytes it could use.
    pub(super) fn read(
        &mut self,
        block: &mut Vec<u8>,
        last: bool,
        mut take: impl FnMut(&[u8], bool) -> usize,
    ) -> io::Result<Got> {
        match &mut self.source {
            Source::Plain(file) => {
                let mut want = self.want;
                loop {
                    let limit = self
                        .limit
                        .map_or(u64::MAX, |l| l.saturating_sub(self.offset));
                    want = want.min(usize::try_from(limit).unwrap_or(usize::MAX));
                    block.resize(want, 0);
                    let mut got = read_at(file, block, self.offset)?;
                    if got == 0 && limit > 0 && file.metadata()?.len() < self.offset {
                        // Somebody cut it: what is there now is new.
                        self.offset = 0;
                        got = read_at(file, block, 0)?;
                    }
                    if got == 0 {
                        *block = Vec::new();
                        self.want = LITTLE;
                        return Ok(Got::End);
                    }
                    if got == self.want {
                        self.want = BLOCK;
                    }
                    let whole_file = got < want;
                    let used = take(&block[..got], last && whole_file);
                    self.offset += used as u64;
                    if used > 0 {
                        return Ok(Got::Some);
                    }
                    if whole_file || want as u64 == limit {
                        return Ok(Got::End);
                    }
                    // A record longer than the block.
                    want *= 2;
                }
            }
            Source::Gzip(decoder) => {
                let from = self.left.len();
                self.left.resize(from + BLOCK, 0);
                let mut filled = from;
                while filled < self.left.len() {
                    match decoder.read(&mut self.left[filled..])? {
                        0 => break,
                        n => filled += n,
                    }
                }
                let end = filled < self.left.len();
                self.left.truncate(filled);
                let mut at = 0;
                while self.skip > 0 {
                    let Some(length) = record_length(self.form, &self.left[at..]) else {
                        break;
                    };
                    at += length;
                    self.skip -= 1;
                }
                if self.skip == 0 && at < self.left.len() {
                    at += take(&self.left[at..], end);
                }
                self.left.drain(..at);
                Ok(if end { Got::End } else { Got::Some })
            }
        }
    }

    /// Goes to the last `lines` records; answers how many it has, at most that many.
    pub(super) fn tail(&mut self, lines: usize) -> io::Result<usize> {
        let form = self.form;
        match &self.source {
            Source::Plain(file) => {
                let end = file.metadata()?.len();
                let (offset, met) = match form {
                    LogForm::JsonFile => tail_lines(file, end, lines)?,
                    LogForm::Local => tail_local(file, end, lines)?,
                };
                self.offset = offset;
                Ok(met)
            }
            Source::Gzip(_) => {
                let mut all = Self::gzip(&self.path, form)?;
                let (mut count, mut block) = (0, Vec::new());
                loop {
                    let got = all.read(&mut block, true, |mut bytes, _| {
                        let total = bytes.len();
                        while let Some(length) = record_length(form, bytes) {
                            bytes = &bytes[length..];
                            count += 1;
                        }
                        total - bytes.len()
                    })?;
                    if matches!(got, Got::End) {
                        break;
                    }
                }
                self.skip = count - count.min(lines);
                Ok(count.min(lines))
            }
        }
    }
}

/// The length of the record at the beginning of `bytes`, with what a file begins with.
fn record_length(form: LogForm, bytes: &[u8]) -> Option<usize> {
    match form {
        LogForm::JsonFile => memchr::memchr(b'\n', bytes).map(|at| at + 1),
        LogForm::Local => {
            let rest = bytes.strip_prefix(local::MAGIC).unwrap_or(bytes);
            match local::decode(rest) {
                local::Decoded::Record(_, length) => Some(bytes.len() - rest.len() + length),
                _ => None,
            }
        }
    }
}

/// Where the last `lines` lines begin, and how many there are; read backwards, so that it costs
/// what is shown.
fn tail_lines(file: &File, end: u64, lines: usize) -> io::Result<(u64, usize)> {
    if lines == 0 {
        return Ok((end, 0));
    }
    let mut block = vec![0; 64 * 1024];
    // The newline that ends the last line counts as the first one met.
    let (mut position, mut met) = (end, 0);
    while position > 0 {
        let length = block
            .len()
            .min(usize::try_from(position).unwrap_or(usize::MAX));
        position -= length as u64;
        file.read_exact_at(&mut block[..length], position)?;
        for offset in memrchr_iter(b'\n', &block[..length]) {
            met += 1;
            if met > lines {
                return Ok((position + offset as u64 + 1, lines));
            }
        }
    }
    Ok((0, met))
}

fn tail_local(file: &File, end: u64, lines: usize) -> io::Result<(u64, usize)> {
    // The shim may be writing: a record that is not all there yet is not one.
    let end = local::whole_until(file, end)?;
    let (begin, mut at, mut met) = (local::MAGIC.len() as u64, end, 0);
    let mut word = [0; 4];
    while met < lines && at > begin {
        file.read_exact_at(&mut word, at - 4)?;
        let length = u64::from(u32::from_le_bytes(word));
        if length < local::OVERHEAD as u64 || length > at - begin {
            // Torn: nothing before it can be found from here.
            return Ok((begin, met));
        }
        at -= length;
        met += 1;
    }
    Ok((at.max(begin.min(end)), met))
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut at = 0;
    while at < buffer.len() {
        match file.read_at(&mut buffer[at..], offset + at as u64) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}
