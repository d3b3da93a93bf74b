//! One atomic change to nftables.

use super::{DATA_VALUE, Entry, Family, LIST_ELEM, Rule, Verdict, message};
use crate::netlink::{Batch, Error, Socket};

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEWTABLE: u16 = message(0);
const DELTABLE: u16 = message(2);
const NEWCHAIN: u16 = message(3);
const DELCHAIN: u16 = message(5);
const NEWRULE: u16 = message(6);
const DELRULE: u16 = message(8);
const NEWSET: u16 = message(9);
const NEWSETELEM: u16 = message(12);
const DELSETELEM: u16 = message(14);
const ACK: u16 = libc::NLM_F_ACK as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = CREATE | libc::NLM_F_APPEND as u16;
const SET_IS_MAP: u32 = 8;
const SET_HAS_INTERVALS: u32 = 4;
const SET_HAS_FIELDS: u32 = 0x80;
const ELEMENT_LAST_KEY: u16 = 10;
const ELEMENT_ENDS_INTERVAL: u32 = 1;
/// What `nft` notes about a set: its keys are in the host's order of bytes, as names of links are.
const KEYS_IN_HOST_ORDER: [u8; 6] = host_order();

const fn host_order() -> [u8; 6] {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d]
}

/// The type of a map's values that are verdicts.
const TYPE_VERDICT: u32 = 0xffff_ff00;
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

/// What a set maps its keys to.
#[derive(Debug, Clone, Copy)]
pub enum Data {
    /// Nothing: being in it is all.
    None,
    /// A chain to jump to.
    Jump,
    /// Values of a type, in `nft`'s numbering, and size.
    Value(u32, u32),
}

/// A set's or map's definition. The types only matter to `nft list`.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its keys, in `nft`'s numbering.
    pub key_type: u32,
    /// The size of a key.
    pub key_len: u32,
    /// Its values.
    pub data: Data,
    /// Whether its keys are ranges.
    pub intervals: bool,
    /// The sizes of the parts of a key, where each part has a range of its own ([`Span`]).
    pub fields: &'a [u32],
    /// Whether its keys are names of links.
    pub links: bool,
}

/// Keys of several parts, each from the first's to the last's, and what they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The first of each part.
    pub first: Vec<u8>,
    /// The last of each part, which is in it.
    pub last: Vec<u8>,
    /// What the keys have; empty in a set.
    pub value: Vec<u8>,
}

/// What a key has.
enum Value<'a> {
    None,
    Bytes(&'a [u8]),
    Jump(&'a str),
    /// It ends a range, and is not in it.
    End,
    /// It is the first of a span.
    Span {
        last: &'a [u8],
        value: &'a [u8],
    },
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

    /// Takes all rules out of a chain.
    pub fn flush_chain(&mut self, name: &str) {
        let table = self.table;
        self.push(DELRULE, 0, format!("empty the chain {name}"), |b| {
            b.attr_str(1, table);
            b.attr_str(2, name);
        });
    }

    /// Deletes a chain that nothing leads to.
    pub fn delete_chain(&mut self, name: &str) {
        let table = self.table;
        self.push(DELCHAIN, 0, format!("delete the chain {name}"), |b| {
            b.attr_str(1, table);
            b.attr_str(3, name);
        });
    }

    /// Makes a set or map.
    pub fn add_map(&mut self, map: Map<'_>) {
        let table = self.table;
        self.sets += 1;
        let id = self.sets;
        self.push(NEWSET, CREATE, format!("add the map {}", map.name), |b| {
            b.attr_str(1, table);
            b.attr_str(2, map.name);
            let is_map = !matches!(map.data, Data::None);
            let mut flags = if is_map { SET_IS_MAP } else { 0 };
            if map.intervals {
                flags |= SET_HAS_INTERVALS;
            }
            if !map.fields.is_empty() {
                flags |= SET_HAS_FIELDS;
            }
            b.attr_be32(3, flags);
            b.attr_be32(4, map.key_type);
            b.attr_be32(5, map.key_len);
            match map.data {
                Data::None => {}
                Data::Jump => b.attr_be32(6, TYPE_VERDICT),
                Data::Value(kind, len) => {
                    b.attr_be32(6, kind);
                    b.attr_be32(7, len);
                }
            }
            if !map.fields.is_empty() {
                b.nest(9, |b| {
                    b.nest(2, |b| {
                        for len in map.fields {
                            b.nest(LIST_ELEM, |b| b.attr_be32(1, *len));
                        }
                    });
                });
            }
            b.attr_be32(10, id);
            if map.links {
                b.attr(13, &KEYS_IN_HOST_ORDER);
            }
        });
    }

    /// Appends a rule to a chain.
    pub fn add_rule(&mut self, chain: &str, rule: &Rule) {
        self.rule(APPEND, chain, rule);
    }

    /// Puts a rule before all others of a chain.
    pub fn insert_rule(&mut self, chain: &str, rule: &Rule) {
        self.rule(CREATE, chain, rule);
    }

    /// Deletes a rule; one that is absent makes the transaction fail.
    pub fn delete_rule(&mut self, chain: &str, handle: u64) {
        let table = self.table;
        let what = format!("delete a rule of the chain {chain}");
        self.push(DELRULE, 0, what, |b| {
            b.attr_str(1, table);
            b.attr_str(2, chain);
            b.attr(3, &handle.to_be_bytes());
        });
    }

    fn rule(&mut self, flags: u16, chain: &str, rule: &Rule) {
        let table = self.table;
        self.push(
            NEWRULE,
            flags,
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
            let part = part.iter().map(|(k, v)| (k.as_slice(), Value::Bytes(v)));
            self.elements(NEWSETELEM, CREATE, "add to", map, part);
        }
    }

    /// Adds keys to a set.
    pub fn add_keys(&mut self, set: &str, keys: &[Vec<u8>]) {
        for part in keys.chunks(ELEMENTS_PER_MESSAGE) {
            let part = part.iter().map(|k| (k.as_slice(), Value::None));
            self.elements(NEWSETELEM, CREATE, "add to", set, part);
        }
    }

    /// Adds a key that leads to a chain.
    pub fn add_jump(&mut self, map: &str, key: &[u8], chain: &str) {
        let one = std::iter::once((key, Value::Jump(chain)));
        self.elements(NEWSETELEM, CREATE, "add to", map, one);
    }

    /// Adds a range of keys, all of which lead to a chain: from the first to before `end`, or to the
    /// very last if that is none.
    pub fn add_range(&mut self, map: &str, first: &[u8], end: Option<&[u8]>, chain: &str) {
        let end = end.map(|end| (end, Value::End));
        let both = std::iter::once((first, Value::Jump(chain))).chain(end);
        self.elements(NEWSETELEM, CREATE, "add to", map, both);
    }

    /// Removes a range; one that is absent makes the transaction fail.
    pub fn delete_range(&mut self, map: &str, first: &[u8], end: Option<&[u8]>) {
        let end = end.map(|end| (end, Value::End));
        let both = std::iter::once((first, Value::None)).chain(end);
        self.elements(DELSETELEM, 0, "delete from", map, both);
    }

    /// Adds spans to a map or set of such.
    pub fn add_spans(&mut self, map: &str, spans: &[Span]) {
        for part in spans.chunks(ELEMENTS_PER_MESSAGE) {
            let part = part.iter().map(|s| {
                let (last, value) = (s.last.as_slice(), s.value.as_slice());
                (s.first.as_slice(), Value::Span { last, value })
            });
            self.elements(NEWSETELEM, CREATE, "add to", map, part);
        }
    }

    /// Removes spans; one that is absent makes the transaction fail.
    pub fn delete_spans(&mut self, map: &str, spans: &[Span]) {
        for part in spans.chunks(ELEMENTS_PER_MESSAGE) {
            let part = part.iter().map(|s| {
                let (last, value) = (s.last.as_slice(), &[][..]);
                (s.first.as_slice(), Value::Span { last, value })
            });
            self.elements(DELSETELEM, 0, "delete from", map, part);
        }
    }

    /// Removes entries from a map; one that is absent makes the transaction fail.
    pub fn delete_elements(&mut self, map: &str, keys: &[Vec<u8>]) {
        for part in keys.chunks(ELEMENTS_PER_MESSAGE) {
            let part = part.iter().map(|k| (k.as_slice(), Value::None));
            self.elements(DELSETELEM, 0, "delete from", map, part);
        }
    }

    fn elements<'e>(
        &mut self,
        kind: u16,
        flags: u16,
        verb: &str,
        map: &str,
        entries: impl Iterator<Item = (&'e [u8], Value<'e>)>,
    ) {
        let table = self.table;
        self.push(kind, flags, format!("{verb} the map {map}"), |b| {
            b.attr_str(1, table);
            b.attr_str(2, map);
            b.nest(3, |b| {
                for (key, value) in entries {
                    b.nest(LIST_ELEM, |b| {
                        b.nest(1, |b| b.attr(DATA_VALUE, key));
                        match value {
                            Value::None => {}
                            Value::End => b.attr_be32(3, ELEMENT_ENDS_INTERVAL),
                            Value::Bytes(value) => b.nest(2, |b| b.attr(DATA_VALUE, value)),
                            Value::Span { last, value } => {
                                b.nest(ELEMENT_LAST_KEY, |b| b.attr(DATA_VALUE, last));
                                if !value.is_empty() {
                                    b.nest(2, |b| b.attr(DATA_VALUE, value));
                                }
                            }
                            Value::Jump(chain) => {
                                b.nest(2, |b| Verdict::Jump(chain).write(b));
                            }
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
