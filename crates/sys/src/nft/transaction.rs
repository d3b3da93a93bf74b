//! One atomic change to nftables.

use super::{DATA_VALUE, Entry, Family, LIST_ELEM, Rule, message};
use crate::netlink::{Batch, Error, Socket};

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEWTABLE: u16 = message(0);
const DELTABLE: u16 = message(2);
const NEWCHAIN: u16 = message(3);
const NEWRULE: u16 = message(6);
const NEWSET: u16 = message(9);
const NEWSETELEM: u16 = message(12);
const DELSETELEM: u16 = message(14);
const ACK: u16 = libc::NLM_F_ACK as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = CREATE | libc::NLM_F_APPEND as u16;
const SET_IS_MAP: u32 = 8;
/// An attribute's length is 16 bits; this many elements of ours fit with room to spare.
const ELEMENTS_PER_MESSAGE: usize = 256;

/// Where in a packet's way a base chain sits; the numbers are the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Whatever arrives, before routing.
    Prerouting = 0,
    /// What is for the host itself.
    Input = 1,
    /// What passes through.
    Forward = 2,
    /// What the host itself sends.
    Output = 3,
    /// Whatever leaves, after routing.
    Postrouting = 4,
}

/// What makes a chain a base chain. Its policy is to accept.
#[derive(Debug, Clone, Copy)]
pub struct Base {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// Its place.
    pub hook: Hook,
    /// Its order among the chains there; lower comes first.
    pub priority: i32,
}

/// A map's definition. The types only matter to `nft list`.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its keys, in `nft`'s numbering.
    pub key_type: u32,
    /// The size of a key.
    pub key_len: u32,
    /// The type of its values.
    pub data_type: u32,
    /// The size of a value.
    pub data_len: u32,
}

/// A change to one table that happens as a whole or not at all.
#[derive(Debug)]
pub struct Transaction<'t> {
    batch: Batch,
    family: Family,
    table: &'t str,
    sets: u32,
    last: usize,
}

impl<'t> Transaction<'t> {
    /// A change to `table`.
    #[must_use]
    pub fn new(family: Family, table: &'t str) -> Self {
        let mut batch = Batch::new();
        batch.push(BATCH_BEGIN, 0, "begin a change to nftables".into(), |b| {
            b.raw(&subsystem_header());
        });
        Self {
            batch,
            family,
            table,
            sets: 0,
            last: 0,
        }
    }

    fn push(&mut self, kind: u16, flags: u16, what: String, body: impl FnOnce(&mut Batch)) {
        self.last = self.batch.buf.len();
        let family = self.family as u8;
        self.batch.push(
            kind,
            flags,
            format!("{what} (nftables table {})", self.table),
            |b| {
                b.raw(&[family, 0, 0, 0]);
                body(b);
            },
        );
    }

    /// Makes the table unless it exists.
    pub fn add_table(&mut self) {
        let table = self.table;
        self.push(NEWTABLE, CREATE, "add the table".into(), |b| {
            b.attr_str(1, table);
            b.attr_be32(2, 0);
        });
    }

    /// Deletes the table with all in it.
    pub fn delete_table(&mut self) {
        let table = self.table;
        self.push(DELTABLE, 0, "delete the table".into(), |b| {
            b.attr_str(1, table)
        });
    }

    /// Makes a chain: one for jumps, or with `base` one that the kernel runs.
    pub fn add_chain(&mut self, name: &str, base: Option<Base>) {
        let table = self.table;
        self.push(NEWCHAIN, CREATE, format!("add the chain {name}"), |b| {
            b.attr_str(1, table);
            b.attr_str(3, name);
            if let Some(base) = base {
                b.nest(4, |b| {
                    b.attr_be32(1, base.hook as u32);
                    b.attr_be32(2, base.priority as u32);
                });
                b.attr_be32(5, 1);
                b.attr_str(7, base.kind);
            }
        });
    }

    /// Makes a map.
    pub fn add_map(&mut self, map: Map<'_>) {
        let table = self.table;
        self.sets += 1;
        let id = self.sets;
        self.push(NEWSET, CREATE, format!("add the map {}", map.name), |b| {
            b.attr_str(1, table);
            b.attr_str(2, map.name);
            b.attr_be32(3, SET_IS_MAP);
            b.attr_be32(4, map.key_type);
            b.attr_be32(5, map.key_len);
            b.attr_be32(6, map.data_type);
            b.attr_be32(7, map.data_len);
            b.attr_be32(10, id);
        });
    }

    /// Appends a rule to a chain.
    pub fn add_rule(&mut self, chain: &str, rule: &Rule) {
        let table = self.table;
        self.push(
            NEWRULE,
            APPEND,
            format!("add a rule to the chain {chain}"),
            |b| {
                b.attr_str(1, table);
                b.attr_str(2, chain);
                b.nest(4, |b| b.raw(&rule.expressions.buf));
                if let Some(comment) = &rule.comment {
                    // The form nft keeps remarks in: kind 0, length, text with its zero.
                    let text = &comment.as_bytes()[..comment.len().min(127)];
                    let mut data = vec![0, text.len() as u8 + 1];
                    data.extend_from_slice(text);
                    data.push(0);
                    b.attr(7, &data);
                }
            },
        );
    }

    /// Adds entries to a map. An equal entry may be there already; one with another value for
    /// the same key makes the transaction fail.
    pub fn add_elements(&mut self, map: &str, entries: &[Entry]) {
        for part in entries.chunks(ELEMENTS_PER_MESSAGE) {
            let part = part.iter().map(|(k, v)| (k.as_slice(), Some(v.as_slice())));
            self.elements(NEWSETELEM, CREATE, "add to", map, part);
        }
    }

    /// Removes entries from a map; one that is absent makes the transaction fail.
    pub fn delete_elements(&mut self, map: &str, keys: &[Vec<u8>]) {
        for part in keys.chunks(ELEMENTS_PER_MESSAGE) {
            let part = part.iter().map(|k| (k.as_slice(), None));
            self.elements(DELSETELEM, 0, "delete from", map, part);
        }
    }

    fn elements<'e>(
        &mut self,
        kind: u16,
        flags: u16,
        verb: &str,
        map: &str,
        entries: impl Iterator<Item = (&'e [u8], Option<&'e [u8]>)>,
    ) {
        let table = self.table;
        self.push(kind, flags, format!("{verb} the map {map}"), |b| {
            b.attr_str(1, table);
            b.attr_str(2, map);
            b.nest(3, |b| {
                for (key, value) in entries {
                    b.nest(LIST_ELEM, |b| {
                        b.nest(1, |b| b.attr(DATA_VALUE, key));
                        if let Some(value) = value {
                            b.nest(2, |b| b.attr(DATA_VALUE, value));
                        }
                    });
                }
            });
        });
    }

    /// Applies the change.
    ///
    /// # Errors
    /// The kernel's first objection; then nothing was changed.
    pub fn commit(mut self, socket: &mut Socket) -> Result<(), Error> {
        if self.batch.len() == 1 {
            return Ok(());
        }
        // The last operation alone asks for an answer; objections are sent unasked.
        let at = self.last + 6;
        let flags = u16::from_ne_bytes([self.batch.buf[at], self.batch.buf[at + 1]]) | ACK;
        self.batch.buf[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        self.batch
            .push(BATCH_END, 0, "commit a change to nftables".into(), |b| {
                b.raw(&subsystem_header());
            });
        socket.transaction(&mut self.batch)
    }
}

/// `struct nfgenmsg` naming the subsystem.
fn subsystem_header() -> [u8; 4] {
    let [high, low] = super::SUBSYSTEM.to_be_bytes();
    [0, 0, high, low]
}
