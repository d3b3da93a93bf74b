//! Where each entry is, and the rules by which the log's records follow one another.

use std::collections::BTreeMap;

use super::record::{Record, Start};
use crate::types::LogId;

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) id: LogId,
    /// The number of the file.
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) counter: u64,
}

/// The entries that there are.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) entries: BTreeMap<u64, Place>,
    /// The index of the entry that comes next.
    pub(super) next: u64,
    pub(super) purged: Option<LogId>,
    pub(super) committed: Option<LogId>,
}

impl Index {
    pub(super) fn start(&self) -> Start {
        Start {
            next: self.next,
            purged: self.purged,
            committed: self.committed,
        }
    }

    pub(super) fn last(&self) -> Option<LogId> {
        let last = self.entries.last_key_value();
        last.map(|(_, place)| place.id).or(self.purged)
    }

    /// The first file that an entry is in.
    pub(super) fn first_segment(&self) -> Option<u64> {
        let first = self.entries.first_key_value();
        first.map(|(_, place)| place.segment)
    }

    /// Takes the next record in, or says why it cannot be the next.
    pub(super) fn take(
        &mut self,
        record: &Record,
        place: Place,
        first: bool,
    ) -> Result<(), String> {
        match record {
            Record::Start(start) if first => {
                self.next = start.next;
                self.purged = start.purged;
                self.committed = start.committed;
            }
            Record::Start(start) if start.next == self.next => {}
            Record::Start(start) => {
                return Err(format!(
                    "this file begins at entry {}, and the one before ends at {}",
                    start.next, self.next
                ));
            }
            Record::Entry(id) => {
                if id.index != self.next {
                    return Err(format!(
                        "entry {} stands where {} belongs",
                        id.index, self.next
                    ));
                }
                if self
                    .last()
                    .is_some_and(|last| last.leader_id > id.leader_id)
                {
                    return Err(format!(
                        "entry {} is of an older term than the one before",
                        id.index
                    ));
                }
                self.entries.insert(id.index, place);
                self.next += 1;
            }
            Record::Truncate(from) => {
                if *from > self.next || self.purged.is_some_and(|p| *from <= p.index) {
                    return Err(format!(
                        "the entries from {from} on are taken back, which are not there"
                    ));
                }
                self.entries.split_off(from);
                self.next = *from;
            }
            Record::Committed(id) => self.committed = self.committed.max(Some(*id)),
            Record::Purged(id) => {
                if self.purged.is_some_and(|p| p.index > id.index) {
                    return Err(format!(
                        "entries up to {} are removed a second time",
                        id.index
                    ));
                }
                self.entries = self.entries.split_off(&(id.index + 1));
                self.purged = Some(*id);
                if id.index >= self.next {
                    self.next = id.index + 1;
                }
            }
        }
        Ok(())
    }

    /// Whether all entries are there from the first that was not removed.
    pub(super) fn check(&self) -> Result<(), String> {
        let first = self.purged.map_or(0, |id| id.index + 1);
        let there = self.entries.len() as u64;
        let begins = self
            .entries
            .keys()
            .next()
            .is_none_or(|index| *index == first);
        if begins && first + there == self.next {
            return Ok(());
        }
        Err(format!(
            "of the entries from {first} to {} there are only {there}",
            self.next.saturating_sub(1)
        ))
    }
}
