//! The files of a log: the newest, to which records are appended, and those before it.
//!
//! Every step of a rotation is a rename, so that a death in the middle of it leaves each record
//! in exactly one file.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
};

use runtime::logfile::{
    FIRST, LogEnd, LogForm, LogOptions, compressed, first_time, local, next, rotated,
};
use rustix::{io::Errno, process::Pid};

use super::{batch::Batch, compress::Compressor, header};

/// The files of a log.
pub(super) struct Files {
    path: String,
    form: LogForm,
    max_size: u64,
    max_file: u32,
    /// Absent if there was no room to make it; tried again with each piece of output.
    file: Option<File>,
    /// Bytes of whole records in the newest file.
    size: u64,
    compressor: Option<Compressor>,
}

impl Files {
    pub(super) fn open(path: &str, options: &LogOptions) -> io::Result<Self> {
        let mut files = Self {
            path: path.to_owned(),
            form: options.form,
            max_size: options.max_size,
            max_file: options.max_file.max(1),
            file: None,
            size: 0,
            compressor: options.compress.then(|| Compressor::new(path)),
        };
        // Of a rotation that was not finished.
        let _ = fs::remove_file(next(path));
        match open(path, options.form) {
            Ok((file, size)) => (files.file, files.size) = (Some(file), size),
            Err(e) if is_full(&e) => {}
            Err(e) => return Err(e),
        }
        files.compress();
        Ok(files)
    }

    pub(super) fn end(&self) -> LogEnd {
        let mut bytes = vec![0; FIRST.min(usize::try_from(self.size).unwrap_or(FIRST))];
        let read = self.file.as_ref().map(|f| f.read_exact_at(&mut bytes, 0));
        let first = match read {
            Some(Ok(())) => first_time(self.form, &bytes),
            _ => None,
        };
        LogEnd {
            first,
            size: self.size,
        }
    }

    /// Appends the records of a batch, over as many files as they need. Answers how many were
    /// written, and why no more.
    pub(super) fn append(&mut self, batch: &Batch) -> (usize, Option<io::Error>) {
        let mut done = 0;
        while done < batch.count() {
            if self.max_size > 0 && self.size >= self.max_size {
                // Where that fails, the file becomes longer than it should.
                if let Err(e) = self.rotate() {
                    eprintln!("wharf-shim: cannot rotate the log: {e}");
                }
            }
            let start = batch.start(done);
            let room = self.max_size.saturating_sub(self.size);
            let last = if self.max_size == 0 || room == 0 {
                batch.count()
            } else {
                // The record that reaches the limit still belongs to this file.
                let room = usize::try_from(room).unwrap_or(usize::MAX);
                (batch.whole(start.saturating_add(room).saturating_sub(1)) + 1).min(batch.count())
            };
            let bytes = &batch.bytes[start..batch.start(last)];
            let (written, error) = match self.newest() {
                Ok(file) => write_all(file, bytes),
                Err(e) => (0, Some(e)),
            };
            let Some(error) = error else {
                self.size += bytes.len() as u64;
                done = last;
                continue;
            };
            // Only whole records may stay: the rest of the last one is cut off again.
            let whole = batch.whole(start + written);
            self.size += (batch.start(whole) - start) as u64;
            if let Some(file) = &self.file {
                let _ = file.set_len(self.size);
            }
            return (whole, Some(error));
        }
        (done, None)
    }

    fn newest(&mut self) -> io::Result<&File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let (file, size) = open(&self.path, self.form)?;
                self.size = size;
                Ok(none.insert(file))
            }
        }
    }

    /// Begins a new file. Nothing has changed when that cannot be made.
    fn rotate(&mut self) -> io::Result<()> {
        if self.max_file == 1 {
            // As Docker does: what was written is gone.
            let file = self.newest()?;
            file.set_len(0)?;
            self.size = 0;
            return self.begin();
        }
        let fresh = next(&self.path);
        let _ = fs::remove_file(&fresh);
        let (file, size) = open(&fresh, self.form)?;
        let oldest = self.max_file - 1;
        for number in (1..oldest).rev() {
            self.shift(number)?;
        }
        let _ = fs::remove_file(compressed(&self.path, 1));
        fs::rename(&self.path, rotated(&self.path, 1))?;
        if let Err(error) = fs::rename(&fresh, &self.path) {
            // Else the next rotation would find nothing to rename.
            let _ = fs::rename(rotated(&self.path, 1), &self.path);
            return Err(error);
        }
        (self.file, self.size) = (Some(file), size);
        if let Some(compressor) = &mut self.compressor {
            compressor.shifted();
        }
        self.compress();
        Ok(())
    }

    /// Makes the file that was rotated `number` times one that was rotated once more.
    fn shift(&self, number: u32) -> io::Result<()> {
        let path = &self.path;
        let names = [
            (rotated(path, number), rotated(path, number + 1)),
            (compressed(path, number), compressed(path, number + 1)),
        ];
        // Whatever is there of the older file goes first: no two contents may have one number.
        if names.iter().any(|(from, _)| fs::metadata(from).is_ok()) {
            for (from, to) in names {
                match fs::rename(&from, &to) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        let _ = fs::remove_file(to);
                    }
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Writes what a file of this form begins with.
    fn begin(&mut self) -> io::Result<()> {
        let begins = header(self.form);
        if let Some(file) = &self.file
            && let (_, Some(error)) = write_all(file, begins)
        {
            return Err(error);
        }
        self.size = begins.len() as u64;
        Ok(())
    }

    fn compress(&mut self) {
        if let Some(compressor) = &mut self.compressor {
            compressor.start(self.max_file);
        }
    }

    pub(super) fn child_ended(&mut self, pid: Pid, code: i32) -> bool {
        let Some(compressor) = &mut self.compressor else {
            return false;
        };
        let ours = compressor.ended(pid, code, self.max_file);
        if ours && code == 0 {
            self.compress();
        }
        ours
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Opens a file to append to it, and sees to it that it ends with a whole record.
fn open(path: &str, form: LogForm) -> io::Result<(File, u64)> {
    let file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    let len = file.metadata()?.len();
    let begins = header(form);
    if len < begins.len() as u64 {
        file.set_len(0)?;
        return match write_all(&file, begins) {
            (_, None) => Ok((file, begins.len() as u64)),
            (_, Some(error)) => Err(error),
        };
    }
    let size = match form {
        LogForm::JsonFile => close_line(&file, len)?,
        LogForm::Local => cut_torn(&file, len)?,
    };
    Ok((file, size))
}

/// A record that a power cut left half must not swallow our first one.
fn close_line(file: &File, len: u64) -> io::Result<u64> {
    if len == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.read_exact_at(&mut last, len - 1)?;
    if last[0] != b'\n' && matches!(write_all(file, b"\n"), (1, None)) {
        return Ok(len + 1);
    }
    Ok(len)
}

/// The same for the compact form, where the half record is cut off.
fn cut_torn(file: &File, len: u64) -> io::Result<u64> {
    let whole = local::whole_until(file, len)?;
    if whole < len {
        file.set_len(whole)?;
    }
    Ok(whole)
}

fn write_all(file: &File, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut at = 0;
    while at < bytes.len() {
        match rustix::io::write(file, &bytes[at..]) {
            Ok(0) => return (at, Some(io::ErrorKind::WriteZero.into())),
            Ok(n) => at += n,
            Err(Errno::INTR) => {}
            Err(e) => return (at, Some(e.into())),
        }
    }
    (at, None)
}
