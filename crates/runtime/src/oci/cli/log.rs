//! What the one who called wants to know, where and in the form that was asked for.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use crate::time;

/// Where messages go: a file, if one was named, else standard error.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
}

impl Log {
    /// The log before any option is known.
    pub(super) fn stderr() -> Self {
        Self {
            file: None,
            json: false,
            debug: false,
        }
    }

    /// The log that the options describe. The file is appended to.
    pub(super) fn open(path: Option<&Path>, json: bool, debug: bool) -> Result<Self, String> {
        let open = |path: &Path| {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|e| format!("cannot open the log {}: {e}", path.display()))
        };
        // Standard error is there already, also where /dev/stderr cannot be opened again.
        let path = path.filter(|p| *p != Path::new("/dev/stderr"));
        Ok(Self {
            file: path.map(open).transpose()?,
            json,
            debug,
        })
    }

    /// Why it ends here. Whoever reads standard error is told too when the log is elsewhere.
    pub(super) fn fatal(&self, message: &str) {
        self.write("error", message);
        if self.file.is_some() {
            eprintln!("{message}");
        }
    }

    /// Something went another way than was asked.
    pub(super) fn warn(&self, message: &str) {
        self.write("warning", message);
    }

    /// For those who look for a fault.
    pub(super) fn debug(&self, message: &str) {
        if self.debug {
            self.write("debug", message);
        }
    }

    fn write(&self, level: &str, message: &str) {
        let time = time::now();
        let line = if self.json {
            serde_json::json!({ "level": level, "msg": message, "time": time }).to_string()
        } else {
            format!("time={time:?} level={level} msg={message:?}")
        };
        // One write a line, so that lines of others who append do not get in between. A log that
        // cannot be written to must not keep a container from its end.
        let line = format!("{line}\n");
        let _ = match &self.file {
            Some(file) => (&*file).write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(Some(&path), true, false).unwrap();
        log.fatal("a \"b\"\nc");
        log.debug("unseen");
        let text = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["level"], "error");
        assert_eq!(line["msg"], "a \"b\"\nc");
        assert!(line["time"].as_str().unwrap().ends_with('Z'));

        let log = Log::open(Some(&path), false, true).unwrap();
        log.debug("seen");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("level=debug msg=\"seen\"\n"), "{text}");
    }
}
