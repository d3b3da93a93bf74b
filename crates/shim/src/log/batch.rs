//! Records that are written together.

/// Records, one behind the other.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<u32>,
}

impl Batch {
    /// What was appended to `bytes` last is a record.
    pub(super) fn end_record(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Where the records before `index` end.
    pub(super) fn start(&self, index: usize) -> usize {
        index
            .checked_sub(1)
            .and_then(|i| self.ends.get(i))
            .map_or(0, |end| *end as usize)
    }

    pub(super) fn record(&self, index: usize) -> &[u8] {
        &self.bytes[self.start(index)..self.start(index + 1)]
    }

    /// How many records end at or before `at`.
    pub(super) fn whole(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end as usize <= at)
    }

    /// Appends a record of another batch.
    pub(super) fn push(&mut self, other: &Self, index: usize) {
        self.bytes.extend_from_slice(other.record(index));
        self.end_record();
    }

    /// Drops the first `count` records.
    pub(super) fn take_front(&mut self, count: usize) {
        let cut = self.start(count);
        self.bytes.drain(..cut);
        self.ends.drain(..count);
        self.ends.iter_mut().for_each(|end| *end -= cut as u32);
    }
}
