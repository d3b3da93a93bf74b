//! Files that tell how something ended: written under another name, then renamed, so that whoever
//! finds one finds it whole.

use std::{
    fs::{self, File},
    io::{self, Write},
};

use runtime::protocol::{EXIT_FILE, Exit, exec_exit_file};
use rustix::fs::FallocateFlags;

const TEMPORARY: &str = "exit.json.new";
/// Space for the record, held from the beginning: a full disk must not make an end unknown.
const SPACE: u64 = 4096;
/// What of an error message fits in it with certainty, even if every byte must be escaped.
const MESSAGE: usize = 512;

/// The place of the container's exit record.
pub(crate) struct ExitRecord {
    file: File,
}

impl ExitRecord {
    /// Makes room for it. A record of an earlier run in this bundle is removed.
    pub(crate) fn reserve() -> io::Result<Self> {
        match fs::remove_file(EXIT_FILE) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = File::create(TEMPORARY)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SPACE) {
            // Not every file system can; then we have tried.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(Self { file }),
            Err(e) => Err(e.into()),
        }
    }

    /// Writes it. May be repeated after a failure.
    pub(crate) fn write(&self, exit: &Exit) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let bytes = to_json(exit)?;
        self.file.write_all_at(&bytes, 0)?;
        self.file.set_len(bytes.len() as u64)?;
        fs::rename(TEMPORARY, EXIT_FILE)
    }
}

/// Records the end of an exec.
pub(crate) fn write_exec(id: &str, exit: &Exit) -> io::Result<()> {
    let name = exec_exit_file(id);
    let temporary = format!("{name}.new");
    File::create(&temporary)?.write_all(&to_json(exit)?)?;
    fs::rename(temporary, name)
}

fn to_json(exit: &Exit) -> io::Result<Vec<u8>> {
    let mut exit = exit.clone();
    if let Some(error) = &mut exit.error
        && error.len() > MESSAGE
    {
        let mut end = MESSAGE;
        while !error.is_char_boundary(end) {
            end -= 1;
        }
        error.truncate(end);
    }
    serde_json::to_vec(&exit).map_err(io::Error::other)
}
