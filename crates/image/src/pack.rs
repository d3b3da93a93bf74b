//! Packing layers that are stored unpacked, for registries: gzip in pieces, all processors at
//! once, one stream as a result. The pieces do not depend on the number of processors, so a layer
//! gets the same digest everywhere and a registry that has it is recognised.

use std::collections::HashSet;
use std::io::{self, Read};

use flate2::{Compress, Compression, Crc, FlushCompress};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::blob::{Blob, BlobWriter};
use crate::digest::Digest;
use crate::error::{Context as _, Error, Result};
use crate::store::Store;

const PIECE: usize = 1 << 20;
/// gzip's, without a name or a time. The 4 says that it was packed fast: registries and networks take
/// less time than a better packing would.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// The packed form of a layer, as remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packed {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// One piece, so that others can follow it.
fn pack(piece: &[u8]) -> io::Result<(Vec<u8>, Crc)> {
    let mut crc = Crc::new();
    crc.update(piece);
    let mut deflate = Compress::new(Compression::fast(), false);
    let mut out = Vec::with_capacity(piece.len() / 2 + 1024);
    loop {
        let read = usize::try_from(deflate.total_in()).unwrap_or(piece.len());
        let before = deflate.total_out();
        deflate
            .compress_vec(&piece[read..], &mut out, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        let whole = deflate.total_in() == piece.len() as u64;
        // Room left over means that the flush is complete.
        if whole && out.len() < out.capacity() {
            return Ok((out, crc));
        }
        if deflate.total_out() == before && whole {
            return Ok((out, crc));
        }
        out.reserve(PIECE / 4);
    }
}

fn fill(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE);
    source.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// Packs all of `source` into `sink`.
fn pack_all(
    mut source: impl Read,
    mut sink: impl FnMut(&[u8]) -> Result<()>,
    cancel: &CancellationToken,
) -> Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(8)) * 2;
    let mut sum = Crc::new();
    sink(&HEADER)?;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled("the push"));
        }
        let pieces: Vec<_> = (0..workers)
            .map(|_| fill(&mut source))
            .collect::<io::Result<_>>()
            .doing(|| "read a layer".to_owned())?;
        let packed: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = pieces
                .iter()
                .filter(|piece| !piece.is_empty())
                .map(|piece| scope.spawn(|| pack(piece)))
                .collect();
            running
                .into_iter()
                .map(|one| {
                    one.join()
                        .unwrap_or_else(|_| Err(io::Error::other("a thread failed")))
                })
                .collect::<io::Result<_>>()
        })
        .doing(|| "pack a layer".to_owned())?;
        for (bytes, crc) in &packed {
            sink(bytes)?;
            sum.combine(crc);
        }
        if pieces.iter().any(|piece| piece.len() < PIECE) {
            break;
        }
    }
    // An empty last block, the checksum and the length.
    sink(&[3, 0])?;
    sink(&sum.sum().to_le_bytes())?;
    sink(&sum.amount().to_le_bytes())
}

impl Store {
    fn packed_path(&self, plain: &Digest) -> std::path::PathBuf {
        self.0.root.join("packed").join(plain.hex())
    }

    /// What the layer's packed form is, where it was made before.
    pub(crate) fn packed(&self, plain: &Digest) -> Option<Packed> {
        let bytes = std::fs::read(self.packed_path(plain)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Forgets the packed forms of layers that are not here any more.
    pub(crate) fn forget_packed(&self, keep: &HashSet<Digest>) {
        let notes = std::fs::read_dir(self.0.root.join("packed"));
        for note in notes.into_iter().flatten().flatten() {
            let name = note.file_name();
            let plain = name.to_str().and_then(Digest::from_hex);
            if plain.is_none_or(|plain| !keep.contains(&plain)) {
                // Only a note: one that stays does no harm.
                let _ = std::fs::remove_file(note.path());
            }
        }
    }

    /// Makes the packed form of a stored layer. Blocks.
    pub(crate) fn pack(&self, plain: &Digest, cancel: &CancellationToken) -> Result<Blob> {
        let source = self.0.blobs.open(plain)?;
        let mut writer = BlobWriter::new(&self.0.temp)?;
        pack_all(source, |bytes| writer.write(bytes), cancel)?;
        let blob = writer.finish()?;
        let note = crate::load::to_json(&Packed {
            digest: blob.digest.clone(),
            size: blob.size,
        })?;
        crate::index::replace(&self.packed_path(plain), &self.0.temp, &note)?;
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_one_stream_that_anything_unpacks() {
        for length in [0, PIECE, 2 * PIECE + 77] {
            let mut seed = 1_u32;
            let plain: Vec<u8> = (0..length)
                .map(|at| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Half of it cannot be packed.
                    if at / 4096 % 2 == 0 {
                        (seed >> 24) as u8
                    } else {
                        7
                    }
                })
                .collect();
            let mut packed = Vec::new();
            let put = |bytes: &[u8]| {
                packed.extend_from_slice(bytes);
                Ok(())
            };
            pack_all(plain.as_slice(), put, &CancellationToken::new()).unwrap();
            let mut out = Vec::new();
            // Of one member only.
            let mut reader = flate2::bufread::GzDecoder::new(packed.as_slice());
            reader.read_to_end(&mut out).unwrap();
            assert!(out == plain && reader.into_inner().is_empty(), "{length}");
        }
    }
}
