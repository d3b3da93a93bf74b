//! The store's tables as bytes: what a snapshot has, and what a manager that is far behind is sent.
//!
//! Lines of JSON, compressed: one that says what follows, then one for each object. Fields that a version
//! does not know are passed over, and those that are missing have their defaults, so that managers of two
//! versions next to one another can send each other theirs.

use std::io::{BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};
use store::Tables;
use swarm_api::Object;

use crate::codec::Unreadable;
use crate::share::Seen;

const FORMAT: u32 = 1;
/// No line is longer.
const LONGEST: u64 = 256 << 20;

/// The first line.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Start {
    format: u32,
    /// The entry that changed the tables last.
    index: u64,
    /// The number that the next new manager gets.
    #[serde(default)]
    next_member: u64,
    objects: u64,
}

type Result<T> = std::result::Result<T, Unreadable>;

/// Writes the tables.
pub(crate) fn write(tables: &Tables, next_member: u64) -> Result<Vec<u8>> {
    let start = Start {
        format: FORMAT,
        index: tables.index(),
        next_member,
        objects: tables.objects().count() as u64,
    };
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).map_err(Unreadable::new)?;
    let mut line = serde_json::to_vec(&start).map_err(Unreadable::new)?;
    line.push(b'\n');
    encoder.write_all(&line).map_err(Unreadable::new)?;
    for object in tables.objects() {
        line.clear();
        serde_json::to_writer(&mut line, &object).map_err(Unreadable::new)?;
        line.push(b'\n');
        encoder.write_all(&line).map_err(Unreadable::new)?;
    }
    encoder.finish().map_err(Unreadable::new)
}

/// Reads tables, and the number that the next new manager gets.
pub(crate) fn read(bytes: &[u8]) -> Result<(Tables, u64)> {
    let decoder = zstd::stream::Decoder::new(bytes).map_err(Unreadable::new)?;
    let mut reader = BufReader::new(decoder);
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| {
        line.clear();
        let mut bounded = (&mut reader).take(LONGEST);
        bounded.read_until(b'\n', line).map_err(Unreadable::new)
    };
    next(&mut line)?;
    let start: Start = serde_json::from_slice(&line).map_err(Unreadable::new)?;
    if start.format > FORMAT {
        return Err(Unreadable(format!(
            "a newer version of wharf made it (format {})",
            start.format
        )));
    }
    let mut seen = Seen::default();
    let mut objects = Vec::new();
    while next(&mut line)? > 0 {
        let mut object: Object = serde_json::from_slice(&line).map_err(Unreadable::new)?;
        seen.object(&mut object);
        objects.push(object);
    }
    if objects.len() as u64 != start.objects {
        let there = objects.len();
        return Err(Unreadable(format!(
            "{there} objects in place of {}",
            start.objects
        )));
    }
    Ok((
        Tables::from_objects(start.index, objects),
        start.next_member,
    ))
}
