//! The small file beside the log: who this manager is, whom it voted for, and how far the log's files go.

use serde::{Deserialize, Serialize};

use super::frame::{Cipher, Kind, Reader};
use super::{Shared, damaged_by};
use crate::error::{Error, Result};
use crate::types::Vote;

const FILE: &str = "state";

/// What is in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The manager's number; 0 until it has one.
    pub(super) id: u64,
    pub(super) vote: Option<Vote>,
    /// The newest file of the log that is whole: it must be there.
    pub(super) segment: u64,
}

impl State {
    pub(super) fn read(shared: &Shared) -> Result<Self> {
        let Some(bytes) = shared.folder.read(FILE)? else {
            return Ok(Self::default());
        };
        let path = shared.folder.file(FILE);
        let short = || Error::damaged(&path, 0, "the file is cut short");
        let reader = Reader::new(&shared.keys(), Kind::State, &path, bytes)?;
        let mut reader = reader.ok_or_else(short)?;
        let found = reader.next()?.ok_or_else(short)?;
        if reader.torn() {
            return Err(Error::damaged(
                &path,
                reader.at(),
                "there is more than there should be",
            ));
        }
        serde_json::from_slice(&found.plain).map_err(|e| damaged_by(&path, found.offset, &e))
    }

    /// Writes it anew: sealed under a key of this copy alone.
    pub(super) fn write(&self, shared: &Shared, step: &str) -> Result<()> {
        let cipher = Cipher::new(&shared.keys(), Kind::State, 0)?;
        let plain = serde_json::to_vec(self).map_err(|e| Error::Failed(e.to_string()))?;
        let mut bytes = cipher.header().to_vec();
        cipher.seal(0, &plain, &mut bytes)?;
        shared.folder.replace(FILE, &bytes, step)
    }
}
