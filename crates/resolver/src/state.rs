//! What is known, on disk: for the process that comes after this one.
//!
//! Run state, as all under the daemon's exec root: written under another name and renamed, not
//! synced, since a reboot ends what it is about.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model::{Asker, Known, Network};

/// The file.
pub(crate) struct State(PathBuf);

#[derive(Serialize)]
struct Borrowed<'a> {
    askers: Vec<&'a Asker>,
    networks: Vec<&'a Network>,
}

impl State {
    /// Names the file.
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// What it holds: nothing if there is none. One that cannot be read is worth no more: the
    /// daemon tells everything again.
    pub(crate) fn load(&self) -> Known {
        match fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                crate::say(&format!("{} is not used: {error}", self.0.display()));
                Known::default()
            }),
            Err(_) => Known::default(),
        }
    }

    /// Writes it anew.
    pub(crate) fn save(&self, askers: Vec<&Asker>, networks: Vec<&Network>) -> io::Result<()> {
        let mut name = self.0.clone().into_os_string();
        name.push(".new");
        let mut file = io::BufWriter::new(fs::File::create(&name)?);
        serde_json::to_writer(&mut file, &Borrowed { askers, networks })?;
        file.flush()?;
        fs::rename(&name, &self.0)
    }
}
