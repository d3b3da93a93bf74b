//! The keys that the folder is sealed with.
//!
//! Files are sealed with a data key, which is in the file `keys`: readable by root alone, or itself sealed
//! with the unlock key when the swarm is locked. Several data keys are there while files of an older one
//! are: a new one is taken for new files, and the old one goes with the last file that needs it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, Nonce};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::frame::{derive, random};
use crate::error::{Error, Result};

const FILE: &str = "keys";
const PREFIX: &str = "SWMKEY-1-";
const FORMAT: u16 = 1;

/// A key that seals data. It is not shown.
#[derive(Clone)]
pub(super) struct DataKey([u8; 32]);

impl DataKey {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a locked manager's disk is opened by: `SWMKEY-1-…`, as Docker writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct UnlockKey([u8; 32]);

impl UnlockKey {
    /// The key of these bytes, which must be random.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for UnlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for UnlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnlockKey(…)")
    }
}

impl FromStr for UnlockKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(Error::NoKey)?;
        let bytes = STANDARD_NO_PAD.decode(digits).map_err(|_| Error::NoKey)?;
        bytes.try_into().map(Self).map_err(|_| Error::NoKey)
    }
}

/// The file. `open` or `sealed` is there.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u16,
    /// The data keys in base64, by number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    open: Option<BTreeMap<u32, String>>,
    /// The same as JSON, sealed with the unlock key and the salt before it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sealed: Option<[String; 2]>,
    /// Of `open` or `sealed`.
    crc: u32,
}

/// All data keys of a folder.
pub(crate) struct Keys {
    all: BTreeMap<u32, DataKey>,
    unlock: Option<UnlockKey>,
}

impl Keys {
    /// The keys of a folder; new ones in a new folder, locked where `unlock` is given.
    pub(crate) fn open(folder: &Folder, unlock: Option<&UnlockKey>) -> Result<Self> {
        let path = folder.file(FILE);
        let Some(bytes) = folder.read(FILE)? else {
            let others = folder.names()?;
            if let Some(name) = others
                .iter()
                .find(|n| n.starts_with("log-") || n.starts_with("snapshot-"))
            {
                let what = format!("the keys are gone, without which {name} cannot be read");
                return Err(Error::damaged(&path, 0, what));
            }
            let keys = Self {
                all: BTreeMap::from([(1, DataKey(random()?))]),
                unlock: unlock.cloned(),
            };
            keys.save(folder)?;
            return Ok(keys);
        };
        let damaged = |what: &str| Error::damaged(&path, 0, what);
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|e| damaged(&e.to_string()))?;
        if stored.format > FORMAT {
            let version = stored.format;
            return Err(Error::Newer { path, version });
        }
        let text = match (&stored.open, &stored.sealed) {
            (Some(open), None) => {
                let text = serde_json::to_vec(open).map_err(|e| damaged(&e.to_string()))?;
                if crc32fast::hash(&text) != stored.crc {
                    return Err(damaged("the checksum is wrong"));
                }
                text
            }
            (None, Some([salt, sealed])) => {
                if crc32fast::hash([salt.as_str(), sealed].concat().as_bytes()) != stored.crc {
                    return Err(damaged("the checksum is wrong"));
                }
                let decode = |text: &str| {
                    let decoded = STANDARD_NO_PAD.decode(text);
                    decoded.map_err(|e| damaged(&e.to_string()))
                };
                let (salt, mut sealed) = (decode(salt)?, decode(sealed)?);
                let unlock = unlock.ok_or(Error::Locked)?;
                let key = derive(&DataKey(unlock.0), &salt, b"wharf raft keys 1")?;
                let nonce = Nonce::assume_unique_for_key([0; 12]);
                let opened = key.open_in_place(nonce, Aad::empty(), &mut sealed);
                opened.map_err(|_| Error::WrongKey)?.to_vec()
            }
            _ => return Err(damaged("there must be keys, either open or sealed")),
        };
        let all: BTreeMap<u32, String> =
            serde_json::from_slice(&text).map_err(|e| damaged(&e.to_string()))?;
        let mut keys = BTreeMap::new();
        for (number, text) in all {
            let bytes = STANDARD_NO_PAD.decode(text).ok();
            let bytes = bytes.and_then(|b| <[u8; 32]>::try_from(b).ok());
            keys.insert(
                number,
                DataKey(bytes.ok_or_else(|| damaged("a key is no key"))?),
            );
        }
        if keys.is_empty() {
            return Err(damaged("there is no key"));
        }
        Ok(Self {
            all: keys,
            // A folder that is not locked stays so until it is told otherwise.
            unlock: stored.sealed.and(unlock.cloned()),
        })
    }

    fn save(&self, folder: &Folder) -> Result<()> {
        let failed = |e: &dyn fmt::Display| Error::Failed(format!("the keys: {e}"));
        let encode = |key: &DataKey| STANDARD_NO_PAD.encode(key.0);
        let all: BTreeMap<u32, String> = self.all.iter().map(|(n, k)| (*n, encode(k))).collect();
        let mut text = serde_json::to_vec(&all).map_err(|e| failed(&e))?;
        let stored = match &self.unlock {
            None => Stored {
                format: FORMAT,
                crc: crc32fast::hash(&text),
                open: Some(all),
                sealed: None,
            },
            Some(unlock) => {
                // New salt makes a new key, so that its one nonce is used once.
                let salt = random()?;
                let key = derive(&DataKey(unlock.0), &salt, b"wharf raft keys 1")?;
                let nonce = Nonce::assume_unique_for_key([0; 12]);
                key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text)
                    .map_err(|_| failed(&"they cannot be sealed"))?;
                let (salt, sealed) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(text));
                Stored {
                    format: FORMAT,
                    crc: crc32fast::hash([salt.as_str(), &sealed].concat().as_bytes()),
                    open: None,
                    sealed: Some([salt, sealed]),
                }
            }
        };
        let content = serde_json::to_vec(&stored).map_err(|e| failed(&e))?;
        folder.replace(FILE, &content, "raft.keys")
    }

    /// The one that new files are sealed with.
    pub(super) fn newest(&self) -> Result<(u32, &DataKey)> {
        let newest = self.all.last_key_value();
        let newest = newest.map(|(number, key)| (*number, key));
        newest.ok_or_else(|| Error::Failed("there is no data key".into()))
    }

    pub(super) fn find(&self, number: u32) -> Option<&DataKey> {
        self.all.get(&number)
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether the folder is locked.
    pub(crate) fn locked(&self) -> bool {
        self.unlock.is_some()
    }

    /// Seals the data keys with another unlock key, or with none.
    pub(crate) fn lock(&mut self, folder: &Folder, unlock: Option<UnlockKey>) -> Result<()> {
        let before = std::mem::replace(&mut self.unlock, unlock);
        let saved = self.save(folder);
        if saved.is_err() {
            self.unlock = before;
        }
        saved
    }

    /// Adds a data key, which new files are sealed with.
    pub(crate) fn rotate(&mut self, folder: &Folder) -> Result<()> {
        let number = self.newest()?.0 + 1;
        self.all.insert(number, DataKey(random()?));
        let saved = self.save(folder);
        if saved.is_err() {
            self.all.remove(&number);
        }
        saved
    }

    /// Drops data keys that no file needs.
    pub(crate) fn keep(&mut self, folder: &Folder, needed: &[u32]) -> Result<()> {
        let newest = self.newest()?.0;
        let before = self.all.len();
        self.all
            .retain(|number, _| *number == newest || needed.contains(number));
        if self.all.len() == before {
            return Ok(());
        }
        self.save(folder)
    }
}
