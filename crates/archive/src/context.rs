//! Archives as build contexts: the command line and the daemon read them, each with its own place
//! for contents.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use types::build::{ContextEntry, EntryKind};

use crate::packed::unpacked;
use crate::path::clean;
use crate::read::{Header, Kind, TarReader};

/// Entries that one archive may have.
const MAX_ENTRIES: usize = 5_000_000;
/// Bytes of holes that the files of one archive may have, together: they cost nothing in the archive,
/// and reading them takes time.
const MAX_HOLES: u64 = 64 << 30;
/// Bytes of one path, or of what a link leads to: no system opens a longer one.
const MAX_PATH: usize = 4096;
/// Directories above a file. An archive need not have entries for them, and a path that is long has
/// so many that they would take its length squared.
const MAX_DEPTH: usize = 512;
/// Bytes of all paths together, directories that have no entry among them.
const MAX_PATHS: usize = 1 << 30;

/// Takes in the contents of files.
pub trait ContextSink {
    /// What goes wrong here.
    type Error;

    /// Keeps a file's content; its digest as hexadecimal digits, and its length.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    fn keep(&mut self, content: &mut dyn Read) -> Result<(String, u64), Self::Error>;

    /// What is wrong with the archive, as an error of the sink's.
    fn broken(&self, error: io::Error) -> Self::Error;

    /// Asked at each entry: whether to go on.
    ///
    /// # Errors
    /// To end it.
    fn check(&self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// The files of an archive, packed or not, by their paths. Links are kept as they are; devices and
/// pipes are left out, as no context has them. Directories that have no entry are made up. Reads to
/// the source's end.
///
/// # Errors
/// When the archive is damaged, a path leads out of it, a name is not UTF-8, or the sink fails.
pub fn read_context<S: ContextSink>(
    source: impl BufRead,
    sink: &mut S,
) -> Result<BTreeMap<String, ContextEntry>, S::Error> {
    let (reader, _) = unpacked(source).map_err(|e| sink.broken(e))?;
    let mut tar = TarReader::new(BufReader::with_capacity(64 << 10, reader));
    let mut entries = BTreeMap::new();
    let (mut count, mut holes, mut names) = (0, 0_u64, 0_usize);
    while let Some(header) = tar.next().map_err(|e| sink.broken(e))? {
        sink.check()?;
        count += 1;
        let stored = header.sparse.iter().flatten();
        if header.sparse.is_some() {
            holes =
                holes.saturating_add(header.size - stored.map(|(_, length)| length).sum::<u64>());
        }
        let too_much = match () {
            () if count > MAX_ENTRIES => Some(format!("more than {MAX_ENTRIES} entries")),
            () if holes > MAX_HOLES => {
                Some(format!("files with more than {MAX_HOLES} bytes of holes"))
            }
            () => None,
        };
        if let Some(what) = too_much {
            return Err(sink.broken(bad(format!("it has {what}, which is the limit"))));
        }
        check_lengths(&header).map_err(|e| sink.broken(e))?;
        let described = describe(&header, &mut entries).map_err(|e| sink.broken(e))?;
        let Some((path, mut entry)) = described else {
            continue;
        };
        if header.kind == Kind::File {
            (entry.digest, entry.size) = sink.keep(&mut Content::new(&header, &mut tar))?;
        }
        names += path.len() + add_parents(&mut entries, &path);
        if names > MAX_PATHS || entries.len() > MAX_ENTRIES {
            let what = "more files and directories than a build context may have";
            return Err(sink.broken(bad(format!("it has {what}"))));
        }
        if entry.kind != EntryKind::Dir {
            forget_below(&mut entries, &path);
        }
        entries.insert(path, entry);
    }
    // To the end of what a client sends: only then is it seen to go away.
    tar.drain().map_err(|e| sink.broken(e))?;
    Ok(entries)
}

/// What an entry of the archive makes; nothing for what is no part of a context.
fn describe(
    header: &Header,
    entries: &mut BTreeMap<String, ContextEntry>,
) -> io::Result<Option<(String, ContextEntry)>> {
    let shown = String::from_utf8_lossy(&header.path);
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|_| bad(format!("{shown:?}: a name is not UTF-8")))
    };
    let path = clean(&header.path)
        .ok_or_else(|| bad(format!("{shown:?} leads out of the build context")))?;
    let path = text(path)?;
    if path.is_empty() {
        return Ok(None);
    }
    let mut entry = directory();
    entry.mode = header.mode & 0o7777;
    entry.mtime = header.mtime.0;
    match header.kind {
        Kind::Dir => {}
        Kind::File => entry.kind = EntryKind::File,
        Kind::Symlink => {
            entry.kind = EntryKind::Symlink;
            entry.link = text(header.link.clone())?;
        }
        Kind::HardLink => {
            let target = clean(&header.link).and_then(|link| String::from_utf8(link).ok());
            let target = target.and_then(|link| Some((entries.get_mut(&link)?, link)));
            let Some((target, link)) = target.filter(|(t, _)| t.kind != EntryKind::Dir) else {
                return Err(bad(format!(
                    "{shown:?} is a link to what is not in the archive"
                )));
            };
            if target.kind == EntryKind::File && target.link.is_empty() {
                target.link = link;
            }
            entry = target.clone();
        }
        Kind::Char | Kind::Block | Kind::Fifo => return Ok(None),
    }
    Ok(Some((path, entry)))
}

fn directory() -> ContextEntry {
    ContextEntry {
        kind: EntryKind::Dir,
        mode: 0o755,
        mtime: 0,
        size: 0,
        digest: String::new(),
        link: String::new(),
    }
}

/// Refuses what no file could be called, before anything is made of it.
fn check_lengths(header: &Header) -> io::Result<()> {
    let depth = header.path.iter().filter(|b| **b == b'/').count();
    let what = match () {
        () if header.path.len() >= MAX_PATH => "its path is too long",
        () if header.link.len() >= MAX_PATH => "what it leads to is too long",
        () if depth > MAX_DEPTH => "it is in too many directories",
        () => return Ok(()),
    };
    let shown = &header.path[..header.path.len().min(64)];
    let shown = String::from_utf8_lossy(shown);
    Err(bad(format!("{shown:?}: {what}")))
}

/// An archive need not have an entry for each directory. How long the paths of the new ones are.
fn add_parents(entries: &mut BTreeMap<String, ContextEntry>, path: &str) -> usize {
    let mut names = 0;
    for (at, _) in path.match_indices('/') {
        let parent = &path[..at];
        let there = entries.get(parent);
        if there.is_none_or(|e| e.kind != EntryKind::Dir) {
            names += parent.len();
            entries.insert(parent.to_owned(), directory());
        }
    }
    names
}

/// Of a directory that something else takes the place of.
fn forget_below(entries: &mut BTreeMap<String, ContextEntry>, path: &str) {
    let below = format!("{path}/");
    let range = entries.range(below.clone()..);
    let gone: Vec<_> = range
        .map(|(p, _)| p.clone())
        .take_while(|p| p.starts_with(&below))
        .collect();
    for path in gone {
        entries.remove(&path);
    }
}

/// The content of a file, holes as zeros.
struct Content<'a, R> {
    tar: &'a mut TarReader<R>,
    /// Pieces that are still to come, the next one last; none where all is stored.
    pieces: Option<Vec<(u64, u64)>>,
    at: u64,
    size: u64,
}

impl<'a, R: BufRead> Content<'a, R> {
    fn new(header: &Header, tar: &'a mut TarReader<R>) -> Self {
        let pieces = header.sparse.as_ref();
        let pieces = pieces.map(|map| map.iter().rev().copied().collect());
        Self {
            tar,
            pieces,
            at: 0,
            size: header.size,
        }
    }

    /// How much comes next of the same sort, and whether it is stored.
    fn run(&mut self) -> (u64, bool) {
        let Some(pieces) = &mut self.pieces else {
            return (u64::MAX, true);
        };
        while pieces
            .pop_if(|(offset, length)| *offset + *length <= self.at)
            .is_some()
        {}
        match pieces.last() {
            Some((offset, length)) if *offset <= self.at => (offset + length - self.at, true),
            Some((offset, _)) => (offset - self.at, false),
            None => (self.size - self.at, false),
        }
    }
}

impl<R: BufRead> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (run, stored) = self.run();
        let most = buffer.len().min(usize::try_from(run).unwrap_or(usize::MAX));
        let length = if stored {
            let data = self.tar.data()?;
            let length = data.len().min(most);
            buffer[..length].copy_from_slice(&data[..length]);
            self.tar.consume(length);
            length
        } else {
            buffer[..most].fill(0);
            most
        };
        self.at += length as u64;
        Ok(length)
    }
}

fn bad(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::TarWriter;

    /// Keeps contents as their digests.
    struct Plain;

    impl ContextSink for Plain {
        type Error = io::Error;

        fn keep(&mut self, content: &mut dyn Read) -> io::Result<(String, u64)> {
            let mut text = String::new();
            let length = content.read_to_string(&mut text)?;
            Ok((text, length as u64))
        }

        fn broken(&self, error: io::Error) -> io::Error {
            error
        }
    }

    fn archive(entries: &[(Header, &str)]) -> Vec<u8> {
        let mut writer = TarWriter::new(Vec::new());
        for (header, data) in entries {
            writer.entry(header).unwrap();
            writer.data(data.as_bytes()).unwrap();
        }
        writer.finish().unwrap()
    }

    fn file(path: &str, text: &str) -> Header {
        Header::new(path.as_bytes(), Kind::File, text.len() as u64)
    }

    #[test]
    fn links_and_directories_without_entries() {
        let mut hard = Header::new(b"b", Kind::HardLink, 0);
        hard.link = b"./a/x".to_vec();
        let mut soft = Header::new(b"soft", Kind::Symlink, 0);
        soft.link = b"/etc/passwd".to_vec();
        let bytes = archive(&[
            (file("./a/x", "text"), "text"),
            (hard.clone(), ""),
            (soft, ""),
            (Header::new(b"pipe", Kind::Fifo, 0), ""),
        ]);
        let entries = read_context(bytes.as_slice(), &mut Plain).unwrap();
        let paths: Vec<_> = entries.keys().map(String::as_str).collect();
        assert_eq!(paths, ["a", "a/x", "b", "soft"]);
        assert_eq!(entries["b"], entries["a/x"]);
        assert_eq!((entries["b"].link.as_str(), entries["b"].size), ("a/x", 4));
        assert_eq!(entries["soft"].link, "/etc/passwd");
        // A file in a directory's place, and a link to nothing.
        let bytes = archive(&[(file("a/x", ""), ""), (file("a", ""), "")]);
        assert_eq!(read_context(bytes.as_slice(), &mut Plain).unwrap().len(), 1);
        for (bad, why) in [
            (hard, "not in the archive"),
            (file("../x", ""), "leads out"),
        ] {
            let error = read_context(archive(&[(bad, "")]).as_slice(), &mut Plain).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn paths_are_bounded_before_their_directories_are_made() {
        let deep = "a/".repeat(500);
        let bytes = archive(&[(file(&format!("{deep}x"), ""), "")]);
        let entries = read_context(bytes.as_slice(), &mut Plain).unwrap();
        assert_eq!(entries.len(), 501);
        let mut link = Header::new(b"l", Kind::Symlink, 0);
        link.link = vec![b'x'; 5000];
        for (header, why) in [
            (file(&"a/".repeat(500_000), ""), "too long"),
            (file(&"x".repeat(4096), ""), "too long"),
            (file(&format!("{}x", "a/".repeat(600)), ""), "too many"),
            (link, "too long"),
        ] {
            let error = read_context(archive(&[(header, "")]).as_slice(), &mut Plain).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.to_string().len() < 200);
        }
    }

    #[test]
    fn holes_are_zeros_and_bounded() {
        let expand = |size, map: &[(u64, u64)], data: &str| {
            let mut header = file("x", data);
            let bytes = archive(&[(header.clone(), data)]);
            let mut tar = TarReader::new(bytes.as_slice());
            tar.next().unwrap();
            (header.size, header.sparse) = (size, Some(map.to_vec()));
            let mut out = Vec::new();
            let mut content = Content::new(&header, &mut tar);
            content.read_to_end(&mut out).unwrap();
            String::from_utf8(out).unwrap().replace('\0', "-")
        };
        assert_eq!(expand(8, &[(2, 2), (5, 1)], "abc"), "--ab-c--");
        assert_eq!(expand(3, &[(0, 3), (3, 0)], "abc"), "abc");
        assert_eq!(expand(2, &[], ""), "--");
        // The old GNU form of a file of 8 GiB, sixteen times.
        let mut block = [0_u8; 512];
        block[..1].copy_from_slice(b"x");
        block[100..107].copy_from_slice(b"0000644");
        block[124..135].copy_from_slice(b"00000000000");
        block[156] = b'S';
        block[257..265].copy_from_slice(b"ustar  \0");
        block[483..494].copy_from_slice(b"77777777777");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        struct Nothing;
        impl ContextSink for Nothing {
            type Error = io::Error;
            fn keep(&mut self, _: &mut dyn Read) -> io::Result<(String, u64)> {
                Ok((String::new(), 0))
            }
            fn broken(&self, error: io::Error) -> io::Error {
                error
            }
        }
        assert!(read_context(block.repeat(4).as_slice(), &mut Nothing).is_ok());
        let error = read_context(block.repeat(16).as_slice(), &mut Nothing).unwrap_err();
        assert!(error.to_string().contains("bytes of holes"), "{error}");
    }
}
