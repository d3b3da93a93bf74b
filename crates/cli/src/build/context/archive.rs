//! A context that comes as an archive on standard input: its contents wait in a temporary file, of
//! which what the daemon lacks is sent.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufRead, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use ::archive::{ContextSink, read_context};
use ring::digest::{Context as Hash, SHA256};
use types::build::{ContextEntry, EntryKind};

use super::{
    Ignore, Progress, blocking,
    file::Failure,
    hash::{finish, hex},
    picture::{Content, Difference},
    send::{self, Source, Transfer},
};
use crate::{
    client::Client,
    error::{Error, Result},
    progress::build::Board,
};

/// An archive that was read.
#[derive(Debug)]
pub(crate) struct Archive {
    entries: BTreeMap<String, ContextEntry>,
    /// Where contents stand in the file, by their digests.
    places: HashMap<String, u64>,
    spool: File,
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::msg(format!(
        "ERROR: failed to read the build context from standard input: {why}"
    ))
}

/// A file without a name.
fn spool() -> Result<File> {
    use rustix::fs::{Mode, OFlags};
    let dir = std::env::temp_dir();
    let told = |e: &io::Error| Error::file("open", &dir.display().to_string(), e);
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(&dir, flags, Mode::from(0o600)) {
        Ok(file) => Ok(File::from(file)),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            let path = dir.join(format!("wharf-context-{}", std::process::id()));
            let mut options = File::options();
            let options = options.read(true).write(true).create_new(true);
            let file = options.open(&path).map_err(|e| told(&e))?;
            std::fs::remove_file(&path).map_err(|e| told(&e))?;
            Ok(file)
        }
        Err(e) => Err(told(&e.into())),
    }
}

/// Puts contents into the file; each once.
struct Sink {
    places: HashMap<String, u64>,
    spool: File,
    end: u64,
    buffer: Vec<u8>,
}

impl ContextSink for Sink {
    type Error = Error;

    fn keep(&mut self, content: &mut dyn Read) -> Result<(String, u64)> {
        let mut hash = Hash::new(&SHA256);
        let mut size = 0;
        loop {
            let length = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(failed(e)),
            };
            let bytes = &self.buffer[..length];
            hash.update(bytes);
            // What was never written is zeros, and takes no room.
            if bytes.iter().any(|b| *b != 0) {
                let at = self.end + size;
                self.spool.write_all_at(bytes, at).map_err(failed)?;
            }
            size += length as u64;
        }
        let digest = hex(&finish(&hash.finish()));
        if self.places.contains_key(&digest) {
            // Once is enough; and what follows counts on zeros.
            self.spool.set_len(self.end).map_err(failed)?;
        } else {
            self.places.insert(digest.clone(), self.end);
            self.end += size;
            self.spool.set_len(self.end).map_err(failed)?;
        }
        Ok((digest, size))
    }

    fn broken(&self, error: io::Error) -> Error {
        failed(error)
    }
}

impl Archive {
    /// Reads all of `source`.
    pub(crate) fn read(source: impl BufRead) -> Result<Self> {
        let mut sink = Sink {
            places: HashMap::new(),
            spool: spool()?,
            end: 0,
            buffer: vec![0; 64 << 10],
        };
        let entries = read_context(source, &mut sink)?;
        Ok(Self {
            entries,
            places: sink.places,
            spool: sink.spool,
        })
    }

    /// The text of the file at `path`, of at most `most` bytes.
    pub(crate) fn text(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(path).filter(|e| e.kind == EntryKind::File) else {
            return Ok(None);
        };
        let place = self.places.get(&entry.digest).copied();
        let Some(place) = place.filter(|_| entry.size <= most) else {
            return Ok(None);
        };
        let mut bytes = vec![0; usize::try_from(entry.size).unwrap_or(0)];
        self.spool
            .read_exact_at(&mut bytes, place)
            .map_err(failed)?;
        Ok(Some(bytes))
    }

    /// Takes out what is left out of the context. Directories stay where something in them does.
    pub(crate) fn leave_out(&mut self, ignore: &Ignore) {
        let all = std::mem::take(&mut self.entries);
        let mut gone: BTreeMap<String, ContextEntry> = BTreeMap::new();
        for (path, entry) in all {
            if ignore.ignores(&path) {
                gone.insert(path, entry);
            } else {
                self.entries.insert(path, entry);
            }
        }
        let paths: Vec<String> = self.entries.keys().cloned().collect();
        for path in paths {
            let mut above = path.as_str();
            while let Some((parent, _)) = above.rsplit_once('/') {
                above = parent;
                if let Some(entry) = gone.remove(above) {
                    self.entries.insert(above.to_owned(), entry);
                }
            }
        }
    }

    /// Makes it known to the daemon; the name that it has there.
    pub(crate) async fn give(self, client: &Client, board: &mut Board) -> Result<String> {
        let transfer = Progress::begin("load build context", board);
        let given = self.transfer(client, board, &transfer).await;
        transfer.end(board, given.as_ref().err());
        given
    }

    async fn transfer(self, client: &Client, board: &mut Board, show: &Progress) -> Result<String> {
        let difference = Difference {
            entries: self.entries.clone(),
            ..Difference::default()
        };
        let answer = send::update(client, difference, &show.sent).await?;
        let answer =
            answer.ok_or_else(|| Error::msg("the daemon does not take the build context"))?;
        if answer.missing.is_empty() {
            return Ok(answer.id);
        }
        let archive = Arc::new(self);
        let (all, missing) = (Arc::clone(&archive), answer.missing);
        let contents = blocking(move || all.contents(missing)).await?;
        let sending = send::contents(client, Spool(archive), contents, &show.sent);
        match show.during(board, sending).await? {
            Transfer::Done => Ok(answer.id),
            Transfer::Changed(_) => Err(failed("its temporary file was changed")),
            Transfer::Failed(failure) => Err(failed(failure.error)),
        }
    }

    fn contents(&self, digests: Vec<String>) -> Result<Vec<Content>> {
        let sizes: HashMap<&str, u64> = self
            .entries
            .values()
            .map(|e| (e.digest.as_str(), e.size))
            .collect();
        digests
            .into_iter()
            .map(|digest| {
                let size = sizes.get(digest.as_str()).copied();
                let size =
                    size.ok_or_else(|| failed("the daemon asks for contents that are not in it"))?;
                Ok(Content {
                    path: digest.clone(),
                    digest,
                    size,
                })
            })
            .collect()
    }
}

/// Contents in the file.
struct Spool(Arc<Archive>);

impl Source for Spool {
    fn open(&self, what: &Content) -> std::result::Result<Option<Box<dyn Read + '_>>, Failure> {
        let place = self.0.places.get(&what.digest).copied();
        Ok(place.map(|place| {
            let reader = At(&self.0.spool, place);
            Box::new(reader) as Box<dyn Read>
        }))
    }
}

/// A file read from a place on, whoever else reads it.
struct At<'a>(&'a File, u64);

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read_at(buffer, self.1)?;
        self.1 += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            let name = header.as_ustar_mut().unwrap();
            name.name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn contents_are_kept_once_and_directories_are_made_up() {
        let bytes = tar(&[("./a/b", "same"), ("c", "same"), ("Dockerfile", "FROM x\n")]);
        let mut archive = Archive::read(bytes.as_slice()).unwrap();
        let paths: Vec<_> = archive.entries.keys().map(String::as_str).collect();
        assert_eq!(paths, ["Dockerfile", "a", "a/b", "c"]);
        assert_eq!(archive.places.len(), 2);
        assert_eq!(
            archive.text("Dockerfile", 100).unwrap().unwrap(),
            b"FROM x\n"
        );
        assert_eq!(archive.text("Dockerfile", 3).unwrap(), None);
        let digest = archive.entries["c"].digest.clone();
        let contents = archive.contents(vec![digest]).unwrap();
        archive.leave_out(&Ignore::parse("x", b"a\n").unwrap());
        assert!(!archive.entries.contains_key("a/b"));
        let spool = Spool(Arc::new(archive));
        let mut text = String::new();
        let reader = spool.open(&contents[0]).unwrap().unwrap();
        reader
            .take(contents[0].size)
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "same");
    }

    #[test]
    fn what_leads_out_is_refused() {
        let error = Archive::read(tar(&[("../x", "y")]).as_slice()).unwrap_err();
        assert!(error.to_string().contains("leads out"), "{error}");
    }
}
