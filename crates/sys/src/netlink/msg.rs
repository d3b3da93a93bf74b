//! Writing and reading the wire format: headers, aligned attributes, nests.

/// Size of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = !(3 << 14);

/// Several requests that travel to the kernel in one send, in order.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) buf: Vec<u8>,
    /// What each message asks for, for error texts; the index is the message's place.
    pub(crate) what: Vec<String>,
    /// Where each message ends.
    pub(crate) ends: Vec<usize>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buf: Vec::with_capacity(512),
            ..Self::default()
        }
    }

    /// How many requests it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.what.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.what.is_empty()
    }

    /// Adds a request: `kind` and `flags` as in `nlmsghdr` (`NLM_F_REQUEST` is added), `what` for
    /// error texts, `body` writes the fixed part and the attributes.
    pub fn push(&mut self, kind: u16, flags: u16, what: String, body: impl FnOnce(&mut Self)) {
        let start = self.buf.len();
        self.buf.extend_from_slice(&[0; 4]);
        self.buf.extend_from_slice(&kind.to_ne_bytes());
        self.buf
            .extend_from_slice(&(flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        // The socket fills in the sequence number; the port is the kernel's to choose.
        self.buf.extend_from_slice(&[0; 8]);
        self.what.push(what);
        body(self);
        let len = (self.buf.len() - start) as u32;
        self.buf[start..start + 4].copy_from_slice(&len.to_ne_bytes());
        self.ends.push(self.buf.len());
    }

    /// Raw bytes of a fixed header; the caller keeps them a multiple of four.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// One attribute.
    pub fn attr(&mut self, kind: u16, value: &[u8]) {
        let len = (value.len() + 4) as u16;
        self.buf.extend_from_slice(&len.to_ne_bytes());
        self.buf.extend_from_slice(&kind.to_ne_bytes());
        self.buf.extend_from_slice(value);
        self.pad();
    }

    /// An attribute holding a number in host order (rtnetlink).
    pub fn attr_u32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_ne_bytes());
    }

    /// An attribute holding a number in network order (nfnetlink).
    pub fn attr_be32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_be_bytes());
    }

    /// An attribute holding a text with its terminating zero.
    pub fn attr_str(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.attr(kind, &bytes);
    }

    /// An attribute that holds attributes.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.buf.len();
        self.buf.extend_from_slice(&[0; 2]);
        self.buf.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        body(self);
        let len = (self.buf.len() - start) as u16;
        self.buf[start..start + 2].copy_from_slice(&len.to_ne_bytes());
    }

    fn pad(&mut self) {
        while !self.buf.len().is_multiple_of(4) {
            self.buf.push(0);
        }
    }
}

/// The attributes in a piece of a message, in order; stops at anything cut short.
#[derive(Debug, Clone, Copy)]
pub struct Attrs<'a>(pub &'a [u8]);

impl<'a> Attrs<'a> {
    /// The first attribute of this kind.
    #[must_use]
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter().find(|(k, _)| *k == kind).map(|(_, v)| v)
    }

    /// The attributes inside the first attribute of this kind; none if it is absent.
    #[must_use]
    pub fn nested(self, kind: u16) -> Attrs<'a> {
        Attrs(self.get(kind).unwrap_or_default())
    }

    /// A number in host order.
    #[must_use]
    pub fn u32(self, kind: u16) -> Option<u32> {
        self.get(kind)?.try_into().ok().map(u32::from_ne_bytes)
    }

    /// A number in network order.
    #[must_use]
    pub fn be32(self, kind: u16) -> Option<u32> {
        self.get(kind)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A text up to its zero.
    #[must_use]
    pub fn text(self, kind: u16) -> Option<&'a str> {
        let bytes = self.get(kind)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).ok()
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.get(..4)?;
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & TYPE_MASK;
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Splits what one `recv` returned into messages: (kind, flags, sequence, socket, payload).
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u16, u32, u32, &[u8])> {
    std::iter::from_fn(move || {
        let head = bytes.get(..HEADER)?;
        let len = u32::from_ne_bytes(head[..4].try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(head[4..6].try_into().ok()?);
        let flags = u16::from_ne_bytes(head[6..8].try_into().ok()?);
        let seq = u32::from_ne_bytes(head[8..12].try_into().ok()?);
        let port = u32::from_ne_bytes(head[12..16].try_into().ok()?);
        let payload = bytes.get(HEADER..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, flags, seq, port, payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut b = Batch::new();
        b.push(20, 0, "x".into(), |b| {
            b.raw(&[0; 4]);
            b.attr_str(1, "eth0");
            b.nest(2, |b| b.attr_be32(3, 7));
        });
        let (kind, _, _, _, payload) = messages(&b.buf).next().unwrap();
        assert_eq!(kind, 20);
        let attrs = Attrs(&payload[4..]);
        assert_eq!(attrs.text(1), Some("eth0"));
        assert_eq!(attrs.nested(2).be32(3), Some(7));
        assert_eq!(attrs.get(9), None);
        assert_eq!(b.buf.len() % 4, 0);
    }

    #[test]
    fn garbage_ends_the_iteration() {
        assert_eq!(Attrs(&[1]).count(), 0);
        assert_eq!(Attrs(&[0; 16]).count(), 0);
        assert_eq!(Attrs(&[255, 255, 1, 0, 0]).count(), 0);
        assert_eq!(messages(&[3; 40]).count(), 0);
    }
}
