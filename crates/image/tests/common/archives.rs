//! Layers' archives, good and bad.

use super::TestLayer;

/// Makes archives, also such as no honest tool makes: names are put down as they are.
pub struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Self {
        Self::new()
    }
}

impl Tar {
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(
        mut self,
        kind: tar::EntryType,
        name: &str,
        link: &str,
        mode: u32,
        data: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_mtime(1_000_000);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    pub fn file(self, name: &str, data: &str) -> Self {
        self.entry(tar::EntryType::Regular, name, "", 0o644, data.as_bytes())
    }

    pub fn bytes(self, name: &str, data: &[u8]) -> Self {
        self.entry(tar::EntryType::Regular, name, "", 0o644, data)
    }

    pub fn mode(self, name: &str, mode: u32) -> Self {
        self.entry(tar::EntryType::Regular, name, "", mode, b"m")
    }

    pub fn dir(self, name: &str) -> Self {
        self.entry(tar::EntryType::Directory, name, "", 0o755, b"")
    }

    pub fn dir_mode(self, name: &str, mode: u32) -> Self {
        self.entry(tar::EntryType::Directory, name, "", mode, b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, name, target, 0o777, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, name, target, 0o644, b"")
    }

    pub fn fifo(self, name: &str) -> Self {
        self.entry(tar::EntryType::Fifo, name, "", 0o600, b"")
    }

    pub fn char_device(mut self, name: &str, major: u32, minor: u32) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Char);
        header.set_mode(0o666);
        header.set_size(0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        self.0.append(&header, &b""[..]).unwrap();
        self
    }

    pub fn owned(mut self, name: &str, uid: u64, gid: u64, mode: u32) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(0);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_cksum();
        self.0.append_data(&mut header, name, &b""[..]).unwrap();
        self
    }

    /// A PAX header with these records before whatever comes next.
    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0
            .append_pax_extensions(records.iter().copied())
            .unwrap();
        self
    }

    /// A header made by hand.
    pub fn raw(mut self, header: &tar::Header, data: &[u8]) -> Self {
        self.0.append(header, data).unwrap();
        self
    }

    pub fn build(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    pub fn layer(self) -> TestLayer {
        TestLayer::gzip(self.build())
    }
}
