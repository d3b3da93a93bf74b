//! From the network's side, which waits, to the threads that hash, write and unpack.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use bytes::{Buf, Bytes};

use crate::decompress::read_buffered;

/// Reads what another thread sends. Its channel is bounded, so memory stays flat.
pub(crate) struct ChannelReader {
    receiver: Receiver<Bytes>,
    chunk: Bytes,
    /// Bytes read so far, for whoever shows progress.
    read: Arc<AtomicU64>,
}

impl ChannelReader {
    pub(crate) fn new(receiver: Receiver<Bytes>, read: Arc<AtomicU64>) -> Self {
        Self {
            receiver,
            chunk: Bytes::new(),
            read,
        }
    }
}

impl Read for ChannelReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for ChannelReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            match self.receiver.recv() {
                Ok(chunk) => self.chunk = chunk,
                Err(_) => return Ok(&[]),
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, length: usize) {
        self.chunk.advance(length);
        self.read.fetch_add(length as u64, Ordering::Relaxed);
    }
}
