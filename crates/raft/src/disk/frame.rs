//! Files of sealed frames: what log, snapshots and state are made of.
//!
//! ```text
//! file   = header frame*
//! header = "WHARFRFT" version:u16 kind:u16 data-key:u32 number:u64 salt:[32] crc:u32   (all little-endian)
//! frame  = length:u32 crc-of-body:u32 crc-of-this-header:u32 body:[length]             (body = sealed + tag)
//! ```
//!
//! The body is sealed with AES-256-GCM under a key that is the file's own: HKDF-SHA256 of the data key and
//! the 32 random bytes of the file's header. The nonce is the frame's number in the file. A file is
//! written once, from its first frame on, by one process: it is never appended to after it was opened
//! again, cut and continued, or rewritten with other content (a start, a failed write and a conflict all
//! begin a new file with new salt). So no nonce is used twice under one key, whatever crashes; and a frame
//! that is moved, repeated or of another file does not open.
//!
//! The crc of a frame's header tells a frame that a crash cut short from one whose length was damaged.

use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use super::keys::{DataKey, Keys};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"WHARFRFT";
/// The newest format that is read, and the one that is written.
const VERSION: u16 = 1;
/// How long a file's header is.
pub(super) const HEADER: usize = 8 + 2 + 2 + 4 + 8 + 32 + 4;
/// How long a frame's header is.
pub(super) const FRAME: usize = 12;
/// No frame is longer: a length above is damage.
const LONGEST: usize = 1 << 30;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Log = 1,
    Snapshot = 2,
    State = 3,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(super) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::Failed("the system has no random bytes".into()))?;
    Ok(bytes)
}

/// The key that is of one file only.
pub(super) fn derive(key: &DataKey, salt: &[u8], what: &[u8]) -> Result<LessSafeKey> {
    let extracted = Salt::new(HKDF_SHA256, salt).extract(key.bytes());
    let info = [what];
    let expanded = extracted.expand(&info, &AES_256_GCM);
    let expanded = expanded.map_err(|_| Error::Failed("no key can be derived".into()))?;
    Ok(LessSafeKey::new(UnboundKey::from(expanded)))
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// What opens and seals the frames of one file.
pub(super) struct Cipher {
    key: LessSafeKey,
    header: [u8; HEADER],
    pub(super) number: u64,
    pub(super) data_key: u32,
}

impl Cipher {
    /// Of a new file.
    pub(super) fn new(keys: &Keys, kind: Kind, number: u64) -> Result<Self> {
        let salt = random()?;
        let (data_key, key) = keys.newest()?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        header[10..12].copy_from_slice(&(kind as u16).to_le_bytes());
        header[12..16].copy_from_slice(&data_key.to_le_bytes());
        header[16..24].copy_from_slice(&number.to_le_bytes());
        header[24..56].copy_from_slice(&salt);
        let crc = crc32fast::hash(&header[..56]);
        header[56..].copy_from_slice(&crc.to_le_bytes());
        Ok(Self {
            key: derive(key, &salt, b"wharf raft file 1")?,
            header,
            number,
            data_key,
        })
    }

    /// Of a file that is there.
    fn read(keys: &Keys, kind: Kind, path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut header = [0; HEADER];
        header.copy_from_slice(&bytes[..HEADER]);
        if header[..8] != *MAGIC {
            return Err(Error::damaged(
                path,
                0,
                "this is no file of the cluster's log",
            ));
        }
        let version = u16::from_le_bytes([header[8], header[9]]);
        if crc32fast::hash(&header[..56]) != word(&header, 56) {
            return Err(Error::damaged(path, 0, "the header's checksum is wrong"));
        }
        if version > VERSION {
            let path = path.to_owned();
            return Err(Error::Newer { path, version });
        }
        if u16::from_le_bytes([header[10], header[11]]) != kind as u16 {
            return Err(Error::damaged(path, 10, "this is a file of another kind"));
        }
        let data_key = word(&header, 12);
        let Some(key) = keys.find(data_key) else {
            let what = format!("sealed with data key {data_key}, which is not in the key file");
            return Err(Error::damaged(path, 12, what));
        };
        let mut number = [0; 8];
        number.copy_from_slice(&header[16..24]);
        Ok(Self {
            key: derive(key, &header[24..56], b"wharf raft file 1")?,
            header,
            number: u64::from_le_bytes(number),
            data_key,
        })
    }

    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    fn frame_crc(&self, counter: u64, length_and_crc: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.header[24..56]);
        hasher.update(&counter.to_le_bytes());
        hasher.update(length_and_crc);
        hasher.finalize()
    }

    /// Appends the sealed frame number `counter` to `out`. The caller never gives a number twice.
    pub(super) fn seal(&self, counter: u64, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME]);
        out.extend_from_slice(plain);
        let body = &mut out[start + FRAME..];
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(counter), Aad::from(&self.header), body)
            .map_err(|_| Error::Failed("a frame cannot be sealed".into()))?;
        out.extend_from_slice(tag.as_ref());
        let body = &out[start + FRAME..];
        let crc = crc32fast::hash(body);
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        if body.len() > LONGEST {
            return Err(Error::Failed(format!(
                "{length} bytes are too much for one entry"
            )));
        }
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        let crc = self.frame_crc(counter, &out[start..start + 8]);
        out[start + 8..start + FRAME].copy_from_slice(&crc.to_le_bytes());
        Ok(())
    }

    /// Opens a whole frame, header and body.
    pub(super) fn open(&self, counter: u64, path: &Path, at: u64, frame: &[u8]) -> Result<Vec<u8>> {
        if frame.len() < FRAME || self.frame_crc(counter, &frame[..8]) != word(frame, 8) {
            return Err(Error::damaged(
                path,
                at,
                "a frame's header is damaged, or not of this place",
            ));
        }
        let mut body = frame[FRAME..].to_vec();
        if crc32fast::hash(&body) != word(frame, 4) {
            return Err(Error::damaged(path, at, "a frame's checksum is wrong"));
        }
        let opened = self
            .key
            .open_in_place(nonce(counter), Aad::from(&self.header), &mut body)
            .map(|plain| plain.len());
        let Ok(length) = opened else {
            return Err(Error::damaged(path, at, "a frame's seal is broken"));
        };
        body.truncate(length);
        Ok(body)
    }
}

/// A frame as it is found in a file.
pub(super) struct Found {
    pub(super) counter: u64,
    pub(super) offset: u64,
    /// With its header.
    pub(super) length: usize,
    pub(super) plain: Vec<u8>,
}

/// Reads a file's frames, one after the other.
pub(super) struct Reader {
    path: PathBuf,
    bytes: Vec<u8>,
    at: usize,
    counter: u64,
    pub(super) cipher: Cipher,
}

impl Reader {
    /// None of a file that ends within its header, as only one that was just being made does.
    pub(super) fn new(
        keys: &Keys,
        kind: Kind,
        path: &Path,
        bytes: Vec<u8>,
    ) -> Result<Option<Self>> {
        if bytes.len() < HEADER || bytes[..HEADER].iter().all(|b| *b == 0) {
            return Ok(None);
        }
        Ok(Some(Self {
            cipher: Cipher::read(keys, kind, path, &bytes)?,
            path: path.to_owned(),
            at: HEADER,
            counter: 0,
            bytes,
        }))
    }

    /// The next frame; none at the end, which may be one that a crash cut short ([`Reader::torn`]).
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        let left = &self.bytes[self.at..];
        if left.len() < FRAME || left.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let at = self.at as u64;
        if self.cipher.frame_crc(self.counter, &left[..8]) != word(left, 8) {
            let what = "a frame's header is damaged, or not of this place";
            return Err(Error::damaged(&self.path, at, what));
        }
        let length = word(left, 0) as usize + FRAME;
        if left.len() < length {
            return Ok(None);
        }
        let plain = self
            .cipher
            .open(self.counter, &self.path, at, &left[..length])?;
        let found = Found {
            counter: self.counter,
            offset: at,
            length,
            plain,
        };
        self.at += length;
        self.counter += 1;
        Ok(Some(found))
    }

    /// Whether something is left that is no whole frame.
    pub(super) fn torn(&self) -> bool {
        self.at < self.bytes.len()
    }

    /// How far the file is good.
    pub(super) fn at(&self) -> u64 {
        self.at as u64
    }

    /// The part of the file that is good.
    pub(super) fn good(&self) -> &[u8] {
        &self.bytes[..self.at]
    }
}
