//! D-Bus messages as bytes: the few types that systemd's manager is asked with.

use std::io;

/// Calls, and what comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call = 1,
    Return = 2,
    Error = 3,
    Signal = 4,
}

/// A message. Strings that are empty are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) serial: u32,
    pub(super) reply_to: u32,
    pub(super) path: String,
    pub(super) interface: String,
    pub(super) member: String,
    pub(super) error: String,
    pub(super) destination: String,
    pub(super) sender: String,
    pub(super) signature: String,
    pub(super) body: Vec<u8>,
}

/// A value of a unit's property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Bool(bool),
    Number(u64),
    Numbers(Vec<u32>),
}

/// No message of systemd's is as long; D-Bus itself allows 128 MiB.
const LONGEST: usize = 1 << 20;

/// Bytes in the order of the protocol; each value stands at a multiple of its size.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub(super) fn u32(&mut self, n: u32) {
        self.align(4);
        self.0.extend(n.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.u32(length(text.len()));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        // Ours are all a few letters long.
        self.0
            .push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    /// An array whose elements stand at multiples of `align`.
    pub(super) fn array(&mut self, align: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let at = self.0.len() - 4;
        self.align(align);
        let start = self.0.len();
        elements(self);
        let len = length(self.0.len() - start);
        self.0[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }

    fn variant(&mut self, value: &Value) {
        match value {
            Value::Text(text) => {
                self.signature("s");
                self.text(text);
            }
            Value::Bool(on) => {
                self.signature("b");
                self.u32(u32::from(*on));
            }
            Value::Number(n) => {
                self.signature("t");
                self.align(8);
                self.0.extend(n.to_le_bytes());
            }
            Value::Numbers(all) => {
                self.signature("au");
                self.array(4, |w| all.iter().for_each(|n| w.u32(*n)));
            }
        }
    }

    /// `a(sv)`
    pub(super) fn properties(&mut self, all: &[(&str, Value)]) {
        self.array(8, |w| {
            for (name, value) in all {
                w.align(8);
                w.text(name);
                w.variant(value);
            }
        });
    }
}

fn length(n: usize) -> u32 {
    // Far below: messages are kept under `LONGEST`.
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Message {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            serial: 0,
            reply_to: 0,
            path: String::new(),
            interface: String::new(),
            member: String::new(),
            error: String::new(),
            destination: String::new(),
            sender: String::new(),
            signature: String::new(),
            body: Vec::new(),
        }
    }

    /// As it goes over the wire.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.0.extend([b'l', self.kind as u8, 0, 1]);
        w.u32(length(self.body.len()));
        w.u32(self.serial);
        let fields = [
            (1, "o", &self.path),
            (2, "s", &self.interface),
            (3, "s", &self.member),
            (4, "s", &self.error),
            (6, "s", &self.destination),
            (7, "s", &self.sender),
            (8, "g", &self.signature),
        ];
        w.array(8, |w| {
            for (code, kind, text) in fields {
                if text.is_empty() {
                    continue;
                }
                w.align(8);
                w.0.push(code);
                w.signature(kind);
                match kind {
                    "g" => w.signature(text),
                    _ => w.text(text),
                }
            }
            if self.reply_to != 0 {
                w.align(8);
                w.0.push(5);
                w.signature("u");
                w.u32(self.reply_to);
            }
        });
        w.align(8);
        w.0.extend(&self.body);
        w.0
    }

    /// How long a message is, from its first 16 bytes.
    pub(super) fn length(head: &[u8; 16]) -> io::Result<usize> {
        if head[0] != b'l' || head[3] != 1 {
            return Err(bad("is not of a kind that is understood"));
        }
        let number = |at: usize| {
            u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
        };
        let (body, fields) = (number(4), number(12));
        if body > LONGEST || fields > LONGEST {
            return Err(bad("is too long"));
        }
        Ok((16 + fields).next_multiple_of(8) + body)
    }

    /// The other way.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut r = Reader { bytes, at: 0 };
        r.u8()?;
        let kind = match r.u8()? {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => return Err(bad("is of no known kind")),
        };
        let mut message = Self::new(kind);
        r.at = 4;
        let body = r.u32()? as usize;
        message.serial = r.u32()?;
        let end = 16 + r.u32()? as usize;
        while r.at < end {
            r.align(8);
            let code = r.u8()?;
            match (code, &*r.signature()?) {
                (1, "o") => message.path = r.text()?,
                (2, "s") => message.interface = r.text()?,
                (3, "s") => message.member = r.text()?,
                (4, "s") => message.error = r.text()?,
                (5, "u") => message.reply_to = r.u32()?,
                (6, "s") => message.destination = r.text()?,
                (7, "s") => message.sender = r.text()?,
                (8, "g") => message.signature = r.signature()?,
                // Number of descriptors; none of ours is asked for.
                (9, "u") => drop(r.u32()?),
                _ => return Err(bad("has a header that is not understood")),
            }
        }
        r.align(8);
        message.body = r.take(body)?.to_vec();
        Ok(message)
    }

    /// What it carries.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            bytes: &self.body,
            at: 0,
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message on the D-Bus {what}"),
    )
}

/// Reads what [`Writer`] writes, and nothing past the end.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    pub(super) fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, n: usize) -> io::Result<&[u8]> {
        let end = self.at.checked_add(n);
        let found = end.and_then(|end| self.bytes.get(self.at..end));
        self.at = self.at.saturating_add(n);
        found.ok_or_else(|| bad("ends too early"))
    }

    fn u8(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> io::Result<u32> {
        self.align(4);
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub(super) fn text(&mut self) -> io::Result<String> {
        let len = self.u32()? as usize;
        self.string(len)
    }

    pub(super) fn signature(&mut self) -> io::Result<String> {
        let len = usize::from(self.u8()?);
        self.string(len)
    }

    fn string(&mut self, len: usize) -> io::Result<String> {
        let text = String::from_utf8(self.take(len)?.to_vec());
        self.u8()?;
        text.map_err(|_| bad("has text that is none"))
    }

    /// `a(sv)`
    #[cfg(test)]
    pub(super) fn properties(&mut self) -> io::Result<Vec<(String, Value)>> {
        let len = self.u32()? as usize;
        self.align(8);
        let end = self.at + len;
        let mut all = Vec::new();
        while self.at < end {
            self.align(8);
            let name = self.text()?;
            let value = match &*self.signature()? {
                "s" => Value::Text(self.text()?),
                "b" => Value::Bool(self.u32()? != 0),
                "t" => {
                    self.align(8);
                    let b = self.take(8)?;
                    Value::Number(u64::from_le_bytes(b.try_into().unwrap()))
                }
                "au" => {
                    let n = self.u32()? / 4;
                    Value::Numbers((0..n).map(|_| self.u32()).collect::<io::Result<_>>()?)
                }
                other => panic!("{other}"),
            };
            all.push((name, value));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_bytes() {
        // Hello, as every D-Bus library writes it.
        let mut hello = Message::new(Kind::Call);
        hello.serial = 1;
        hello.path = "/org/freedesktop/DBus".into();
        hello.interface = "org.freedesktop.DBus".into();
        hello.member = "Hello".into();
        hello.destination = "org.freedesktop.DBus".into();
        let bytes = hello.encode();
        let mut wanted = b"l\x01\0\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0".to_vec();
        wanted.extend(b"\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0");
        wanted.extend(b"\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0");
        wanted.extend(b"\x03\x01s\0\x05\0\0\0Hello\0\0\0");
        wanted.extend(b"\x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0");
        assert_eq!(bytes, wanted);
        assert_eq!(
            Message::length(bytes[..16].try_into().unwrap()).unwrap(),
            bytes.len()
        );
        assert_eq!(Message::decode(&bytes).unwrap(), hello);
    }

    #[test]
    fn properties_come_back() {
        let all = [
            ("Slice", Value::Text("a.slice".into())),
            ("Delegate", Value::Bool(true)),
            ("TasksMax", Value::Number(u64::MAX)),
            ("PIDs", Value::Numbers(vec![1, 70_000])),
        ];
        let mut w = Writer::default();
        w.text("x");
        w.properties(&all);
        let mut message = Message::new(Kind::Signal);
        message.body = w.0;
        let mut r = message.reader();
        assert_eq!(r.text().unwrap(), "x");
        let back = r.properties().unwrap();
        assert!(
            back.iter()
                .map(|(n, v)| (&**n, v))
                .eq(all.iter().map(|(n, v)| (*n, v)))
        );
    }

    #[test]
    fn rubbish_is_refused() {
        let mut message = Message::new(Kind::Call);
        message.member = "X".into();
        message.body = vec![1; 9];
        let bytes = message.encode();
        for n in 0..bytes.len() {
            assert!(Message::decode(&bytes[..n]).is_err(), "{n}");
        }
        for n in 0..bytes.len() {
            for bit in 0..8 {
                let mut broken = bytes.clone();
                broken[n] ^= 1 << bit;
                let _ = Message::decode(&broken);
                let _ = Message::length(broken[..16].try_into().unwrap());
            }
        }
        assert!(Message::length(&[0xff; 16]).is_err());
    }
}
