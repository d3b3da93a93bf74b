//! Contexts as archives, to be carried to other hosts.

use std::io::Read;

use archive::{Header, Kind, TarReader, TarWriter};

use super::{DOCKER, Material, Meta, Store};
use crate::error::{Error, Result};

/// docker's bound of an archive and of what is in it.
const MOST: usize = 10 << 20;

impl Store {
    /// The context as a tar archive.
    pub(crate) fn export(&self, meta: &Meta, material: &Material) -> Result<Vec<u8>> {
        let wrong = |e: std::io::Error| Error::msg(format!("cannot write the archive: {e}"));
        let mut archive = TarWriter::new(Vec::new());
        let mut add = |path: &str, kind: Kind, mode: u32, text: &[u8]| {
            let header = Header {
                mode,
                ..Header::new(path.as_bytes(), kind, text.len() as u64)
            };
            archive.entry(&header).map_err(wrong)?;
            archive.data(text).map_err(wrong)
        };
        add("meta.json", Kind::File, 0o644, meta.text()?.as_bytes())?;
        add("tls", Kind::Dir, 0o700, &[])?;
        if !material.is_empty() {
            add(&format!("tls/{DOCKER}"), Kind::Dir, 0o700, &[])?;
        }
        for (name, text) in material.files() {
            add(&format!("tls/{DOCKER}/{name}"), Kind::File, 0o600, text)?;
        }
        archive.finish().map_err(wrong)
    }

    /// Reads an archive that either command line made. Only the names that such archives have
    /// are taken, and nothing is unpacked.
    pub(crate) fn import(&self, name: &str, mut from: impl Read) -> Result {
        let mut bytes = Vec::new();
        from.by_ref()
            .take(MOST as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::stdio(&e))?;
        if bytes.len() > MOST {
            return Err(Error::msg("read exceeds the defined limit"));
        }
        if bytes.starts_with(b"PK\x03\x04") {
            return Err(Error::msg("zip archives are not supported by wharf yet"));
        }
        // docker's own end without the blocks of zeros that tar has there.
        bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
        let (mut meta, mut material) = (None, Material::default());
        let broken = |_| Error::msg("unexpected EOF");
        let mut archive = TarReader::new(bytes.as_slice());
        while let Some(header) = archive.next().map_err(broken)? {
            if header.kind == Kind::Dir {
                continue;
            }
            let path = String::from_utf8_lossy(&header.path).into_owned();
            let mut text = Vec::new();
            while let data @ [_, ..] = archive.data().map_err(broken)? {
                text.extend_from_slice(data);
                let length = data.len();
                archive.consume(length);
            }
            if path == "meta.json" {
                let parsed = serde_json::from_slice::<Meta>(&text);
                meta = Some(parsed.map_err(|e| Error::msg(format!("meta.json: {e}")))?);
                continue;
            }
            let file = path.strip_prefix("tls/docker/").unwrap_or_default();
            if header.kind != Kind::File || !material.set(file, text) {
                return Err(Error::msg(format!("{path}: unexpected context file")));
            }
        }
        let Some(mut meta) = meta else {
            return Err(Error::msg("invalid context: no metadata found"));
        };
        name.clone_into(&mut meta.name);
        self.put_material(name, &material)?;
        self.put(&meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_comes_back_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let mut meta = Meta::new("one");
        meta.lead_to("tcp://h", false);
        let material = Material {
            ca: Some(b"ca".to_vec()),
            ..Material::default()
        };
        let mut archive = store.export(&meta, &material).unwrap();
        // As docker's end.
        archive.truncate(archive.len() - 1024 - 510);
        store.import("two", archive.as_slice()).unwrap();
        assert_eq!(store.material("two").unwrap(), material);
        assert_eq!(store.get("two").unwrap().host(), "tcp://h");
        let error = |bytes: &[u8]| store.import("three", bytes).unwrap_err().to_string();
        assert_eq!(error(b""), "invalid context: no metadata found");
        assert_eq!(error(&[b'x'; 1000]), "unexpected EOF");
        let mut bad = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.as_mut_bytes()[..6].copy_from_slice(b"../key");
        header.set_cksum();
        bad.append(&header, &b"x"[..]).unwrap();
        assert_eq!(
            error(&bad.into_inner().unwrap()),
            "../key: unexpected context file"
        );
        assert!(!store.has("three"));
    }
}
