//! Random numbers from the kernel, fetched in portions: one call serves many questions.

use rustix::rand::{GetRandomFlags, getrandom};

/// A store of random bytes.
pub(crate) struct Random {
    bytes: [u8; 256],
    used: usize,
}

impl Random {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; 256],
            used: 256,
        }
    }

    fn byte(&mut self) -> u8 {
        if self.used >= self.bytes.len() {
            let mut filled = 0;
            while filled < self.bytes.len() {
                // It fails only where a signal interrupts it, of which there are none.
                filled += getrandom(&mut self.bytes[filled..], GetRandomFlags::empty())
                    .unwrap_or_default();
            }
            self.used = 0;
        }
        self.used += 1;
        self.bytes[self.used - 1]
    }

    /// For a question's id: nobody must be able to guess it.
    pub(crate) fn id(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Fisher and Yates; for the few that an answer has, 16 bits each are even enough.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, usize::from(self.id()) % (last + 1));
        }
    }
}
