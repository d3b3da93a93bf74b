//! `oci-layout://DIRECTORY[:TAG][@DIGEST]`: which image of a directory is meant.

use std::{fs::File, io::Read, path::PathBuf};

use serde::Deserialize;
use types::build::Layout;

/// A longer index is none.
const LONGEST: u64 = 4 << 20;
/// What an image of an index is called.
const NAME: &str = "org.opencontainers.image.ref.name";

#[derive(Debug, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Found>,
}

/// An image of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Found {
    /// Of the directory that was sent as that context.
    pub(super) fn with(self, context: String) -> Layout {
        Layout {
            context,
            digest: self.digest,
            size: self.size,
            media_type: self.media_type,
        }
    }

    fn is_called(&self, tag: &str) -> bool {
        let name = self.annotations.get(NAME).map(String::as_str);
        // Alone, or at the end of a whole reference.
        name.is_some_and(|name| {
            name == tag || name.strip_suffix(tag).is_some_and(|n| n.ends_with(':'))
        })
    }
}

/// The directory, and the image in it.
pub(super) fn find(text: &str) -> Result<(PathBuf, Found), String> {
    let (path, digest) = match text.rsplit_once('@') {
        Some((path, digest)) if digest.contains(':') => (path, Some(digest)),
        _ => (text, None),
    };
    // A folder's name may have a colon, too.
    let (path, tag) = match path.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') && !PathBuf::from(path).is_dir() => {
            (before, Some(tag))
        }
        _ => (path, None),
    };
    let dir = PathBuf::from(path);
    let file = dir.join("index.json");
    let what = |why: String| format!("{}: {why}", file.display());
    let mut bytes = Vec::new();
    File::open(&file)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
        .map_err(|e| what(crate::error::errno_text(&e)))?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|e| what(e.to_string()))?;
    let all = &index.manifests;
    let found = match (digest, tag) {
        (Some(digest), _) => all.iter().find(|m| m.digest == digest),
        (None, Some(tag)) => all.iter().find(|m| m.is_called(tag)),
        (None, None) => match all.as_slice() {
            [one] => Some(one),
            all => all.iter().find(|m| m.is_called("latest")),
        },
    };
    let wanted = digest.or(tag).unwrap_or("latest");
    let found = found.ok_or_else(|| what(format!("it has no image {wanted}")))?;
    Ok((dir, found.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_by_tag_and_digest() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("a:b");
        std::fs::create_dir(&at).unwrap();
        let index = r#"{"manifests": [
            {"mediaType": "m", "digest": "sha256:aa", "size": 1,
             "annotations": {"org.opencontainers.image.ref.name": "latest"}},
            {"digest": "sha256:bb", "size": 2,
             "annotations": {"org.opencontainers.image.ref.name": "docker.io/library/x:v2"}}]}"#;
        std::fs::write(at.join("index.json"), index).unwrap();
        let at = at.display();
        let digest = |text: String| find(&text).map(|(_, found)| found.digest);
        assert_eq!(digest(format!("{at}")).unwrap(), "sha256:aa");
        assert_eq!(digest(format!("{at}:v2")).unwrap(), "sha256:bb");
        assert_eq!(digest(format!("{at}@sha256:bb")).unwrap(), "sha256:bb");
        assert_eq!(digest(format!("{at}:v2@sha256:aa")).unwrap(), "sha256:aa");
        assert!(
            digest(format!("{at}:2"))
                .unwrap_err()
                .contains("no image 2")
        );
        assert!(
            digest("/no/such".to_owned())
                .unwrap_err()
                .contains("index.json")
        );
    }
}
