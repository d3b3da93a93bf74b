//! Where in a text of JSON something is, as the path of a member.
//!
//! `serde_json` tells line and column. Only when it has refused is the text gone through a second time
//! for the path: a reader that keeps track of it all the time (`serde_path_to_error`) would be
//! a second copy of all the readers of all the types, in a program that has to be small.

use std::ops::Range;

/// A place in the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The member: `process.capabilities.bounding[3]`; empty for the whole.
    pub(super) path: String,
    /// Where the value begins, in bytes.
    pub(super) start: usize,
}

impl Place {
    /// The line, from 1.
    pub(super) fn line(&self, text: &[u8]) -> usize {
        let before = text.get(..self.start).unwrap_or_default();
        1 + before.iter().filter(|b| **b == b'\n').count()
    }
}

/// What a place is in, from the outermost.
enum Level {
    /// An object, and where the key stands whose value it is now.
    Object(Range<usize>),
    /// A list, and which of it.
    Array(usize),
}

/// What the scanner comes by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    List,
    Text,
    Other,
}

/// The member that a reader was at when it stopped there (both counted from 1, as `serde_json` does).
pub(super) fn place(text: &[u8], line: usize, column: usize) -> Place {
    let before: usize = text
        .split_inclusive(|b| *b == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let stop = before.saturating_add(column).min(text.len());
    let mut found = Place {
        path: String::new(),
        start: 0,
    };
    scan(text, stop, &mut |levels, value, _| {
        found = Place {
            path: path(text, levels),
            start: value.start,
        };
        true
    });
    found
}

/// Members whose value is an object. The reader would take a list for one, its parts in the order of
/// the specification's table: nobody means that.
const OBJECTS: [&str; 24] = [
    "annotations",
    "blockIO",
    "capabilities",
    "consoleSize",
    "cpu",
    "execCPUAffinity",
    "hooks",
    "ioPriority",
    "linux",
    "memory",
    "network",
    "personality",
    "pids",
    "process",
    "rdma",
    "resources",
    "root",
    "scheduler",
    "seccomp",
    "sysctl",
    "timeOffsets",
    "unified",
    "user",
    "windows",
];

/// Members whose value is a list of objects; so are all whose names end in `Device`.
const OF_OBJECTS: [&str; 16] = [
    "args",
    "createContainer",
    "createRuntime",
    "devices",
    "gidMappings",
    "hugepageLimits",
    "mounts",
    "namespaces",
    "poststart",
    "poststop",
    "prestart",
    "priorities",
    "rlimits",
    "startContainer",
    "syscalls",
    "uidMappings",
];

/// The first list that stands where an object should.
pub(super) fn list_for_object(text: &[u8]) -> Option<Place> {
    let mut found = None;
    scan(text, text.len(), &mut |levels, value, seen| {
        if seen != Seen::List {
            return true;
        }
        let key = |level: Option<&Level>| match level {
            Some(Level::Object(key)) => text.get(key.clone()).unwrap_or_default(),
            _ => &[],
        };
        let among = |list: &[&str], key: &[u8]| list.iter().any(|name| name.as_bytes() == key);
        let above = levels.len().checked_sub(2).and_then(|i| levels.get(i));
        let wrong = match levels.last() {
            None => true,
            Some(last @ Level::Object(_)) => {
                among(&OBJECTS, key(Some(last)))
                    || (above.is_some() && matches!(key(above), b"rdma" | b"timeOffsets"))
            }
            Some(Level::Array(_)) => {
                let name = key(above);
                among(&OF_OBJECTS, name) || name.ends_with(b"Device")
            }
        };
        if wrong {
            found = Some(Place {
                path: path(text, levels),
                start: value.start,
            });
        }
        !wrong
    });
    found
}

/// All texts in lists, with their paths, that pass the test of their path.
pub(super) fn texts(text: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    scan(text, text.len(), &mut |levels, value, seen| {
        if seen == Seen::Text && matches!(levels.last(), Some(Level::Array(_))) {
            let path = path(text, levels);
            if wanted(&path) {
                found.push((path, value));
            }
        }
        true
    });
    found
}

/// Is shown where a value is and what it is; says whether to go on.
type Visit<'a> = &'a mut dyn FnMut(&[Level], Range<usize>, Seen) -> bool;

/// Goes through the values in the order of the text, up to `stop`. An object or list is shown when it
/// begins, and once more when it has ended.
fn scan(text: &[u8], stop: usize, visit: Visit<'_>) {
    let mut levels: Vec<Level> = Vec::new();
    let mut starts = Vec::new();
    let mut key_next = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        // A list or an object that is not wanted is not gone into, so the reader stands before it.
        if at > stop || (at == stop && !matches!(byte, b'[' | b'{')) {
            break;
        }
        let mut go_on = true;
        match byte {
            b'{' | b'[' => {
                key_next = *byte == b'{';
                let seen = if key_next { Seen::Other } else { Seen::List };
                go_on = visit(&levels, at..at + 1, seen) && at < stop;
                starts.push(at);
                levels.push(if key_next {
                    Level::Object(0..0)
                } else {
                    Level::Array(0)
                });
                at += 1;
            }
            b'}' | b']' => {
                levels.pop();
                key_next = false;
                at += 1;
                go_on = visit(&levels, starts.pop().unwrap_or(0)..at, Seen::Other);
            }
            b',' => {
                match levels.last_mut() {
                    Some(Level::Array(index)) => *index += 1,
                    Some(Level::Object(_)) => key_next = true,
                    None => {}
                }
                at += 1;
            }
            b'"' => {
                let end = string_end(text, at);
                let mut seen = Seen::Text;
                if key_next && let Some(Level::Object(key)) = levels.last_mut() {
                    *key = at + 1..end.saturating_sub(1);
                    key_next = false;
                    seen = Seen::Other;
                }
                go_on = visit(&levels, at..end, seen);
                at = end;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b':' => at += 1,
            _ => {
                let rest = text.get(at..).unwrap_or_default();
                let ends = |b: &u8| b",]}:{[\" \t\r\n".contains(b);
                let end = at + rest.iter().position(ends).unwrap_or(rest.len()).max(1);
                go_on = visit(&levels, at..end, Seen::Other);
                at = end;
            }
        }
        if !go_on {
            break;
        }
    }
}

/// Behind the closing quote.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn path(text: &[u8], levels: &[Level]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                let key = text.get(key.clone()).unwrap_or_default();
                path.push_str(&String::from_utf8_lossy(key));
            }
            Level::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}
