//! A context's certificates.

use std::{fs, path::Path};

use super::{DOCKER, Store, make_dir};
use crate::{
    config::replace,
    error::{Error, Result},
};

/// PEM texts: whom we trust, and who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Material {
    /// Certificates of the authority that signs the daemon's.
    pub(crate) ca: Option<Vec<u8>>,
    /// Our certificate.
    pub(crate) cert: Option<Vec<u8>>,
    /// Its key.
    pub(crate) key: Option<Vec<u8>>,
}

impl Material {
    /// Reads files that a user named; an empty name is none.
    pub(crate) fn read(ca: &str, cert: &str, key: &str) -> Result<Self> {
        let file = |path: &str| match path {
            "" => Ok(None),
            path => fs::read(path)
                .map(Some)
                .map_err(|e| Error::file("open", path, &e)),
        };
        Ok(Self {
            ca: file(ca)?,
            cert: file(cert)?,
            key: file(key)?,
        })
    }

    /// The files that there are, by docker's names.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        [
            ("ca.pem", &self.ca),
            ("cert.pem", &self.cert),
            ("key.pem", &self.key),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }

    /// Takes a file by docker's name; false when the name is none of them.
    pub(super) fn set(&mut self, name: &str, text: Vec<u8>) -> bool {
        match name {
            "ca.pem" => self.ca = Some(text),
            "cert.pem" => self.cert = Some(text),
            "key.pem" => self.key = Some(text),
            _ => return false,
        }
        true
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.files().next().is_none()
    }
}

impl Store {
    /// The certificates of the context `name`.
    pub(crate) fn material(&self, name: &str) -> Result<Material> {
        let dir = self.tls_path(name).join(DOCKER);
        let mut found = Material::default();
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            let path = dir.join(file);
            match fs::read(&path) {
                Ok(text) => {
                    found.set(file, text);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::file("open", &path.display().to_string(), &e)),
            }
        }
        Ok(found)
    }

    /// Keeps `material` as the certificates of the context `name`, in place of others.
    pub(crate) fn put_material(&self, name: &str, material: &Material) -> Result {
        let dir = self.tls_path(name).join(DOCKER);
        remove(&dir)?;
        if material.is_empty() {
            return remove(&self.tls_path(name));
        }
        make_dir(&dir, 0o700)?;
        for (file, text) in material.files() {
            let path = dir.join(file);
            replace(&path, text, 0o600)
                .map_err(|e| Error::file("write", &path.display().to_string(), &e))?;
        }
        Ok(())
    }
}

fn remove(dir: &Path) -> Result {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", &dir.display().to_string(), &e))
        }
        _ => Ok(()),
    }
}
