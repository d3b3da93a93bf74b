//! What a build leaves for programs: `--iidfile` and `--metadata-file`.

use serde::Serialize;
use serde_json::{Map, Value, json, ser::PrettyFormatter};
use types::build::Built;

use crate::{
    error::{Error, Result},
    flags::Matches,
};

/// Files that tell what was built.
pub(crate) struct Report {
    iidfile: String,
    metadata: String,
}

impl Report {
    /// From the flags. An identifier of an earlier build must not be taken for this one's.
    pub(crate) fn of(m: &Matches) -> Result<Self> {
        let report = Self {
            iidfile: m.text("iidfile"),
            metadata: m.text("metadata-file"),
        };
        if is_file(&report.iidfile) {
            std::fs::remove_file(&report.iidfile)
                .map_err(|e| Error::file("remove", &report.iidfile, &e))?;
        }
        Ok(report)
    }

    /// Writes them; `id` is the build's.
    pub(crate) fn write(&self, built: &Built, id: &str) -> Result {
        let write = |path: &str, text: &[u8]| {
            if path.is_empty() {
                return Ok(());
            }
            let written = if is_file(path) || !std::path::Path::new(path).exists() {
                crate::config::replace(std::path::Path::new(path), text, 0o644)
            } else {
                // A pipe or a device stays one.
                std::fs::write(path, text)
            };
            written.map_err(|e| Error::file("write", path, &e))
        };
        if !built.image.is_empty() {
            write(&self.iidfile, built.image.as_bytes())?;
        }
        let mut text = Vec::new();
        let spaces = PrettyFormatter::with_indent(b"  ");
        metadata(built, id)
            .serialize(&mut serde_json::Serializer::with_formatter(
                &mut text, spaces,
            ))
            .map_err(|e| Error::msg(e.to_string()))?;
        write(&self.metadata, &text)
    }
}

fn is_file(path: &str) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
}

fn metadata(built: &Built, id: &str) -> Value {
    let mut all = Map::new();
    all.insert(
        "buildx.build.ref".to_owned(),
        json!(format!("default/default/{id}")),
    );
    if !built.image.is_empty() {
        all.insert(
            "containerimage.config.digest".to_owned(),
            json!(built.image),
        );
    }
    if !built.manifest.is_empty() {
        all.insert(
            "containerimage.descriptor".to_owned(),
            json!({
                "mediaType": built.media_type, "digest": built.manifest, "size": built.manifest_size,
            }),
        );
        all.insert("containerimage.digest".to_owned(), json!(built.manifest));
    }
    if !built.names.is_empty() {
        let full = |name: &String| {
            let reference = crate::format::names::Reference::parse(name);
            reference.map_or_else(|_| name.clone(), |r| r.full())
        };
        let names: Vec<String> = built.names.iter().map(full).collect();
        all.insert("image.name".to_owned(), json!(names.join(",")));
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_buildxs() {
        let built = Built {
            image: "sha256:aa".into(),
            manifest: "sha256:bb".into(),
            manifest_size: 7,
            media_type: "m".into(),
            names: vec!["x:1".into(), "r.example/y:2".into()],
            ..Built::default()
        };
        assert_eq!(
            metadata(&built, "id"),
            json!({
                "buildx.build.ref": "default/default/id",
                "containerimage.config.digest": "sha256:aa",
                "containerimage.descriptor": {"mediaType": "m", "digest": "sha256:bb", "size": 7},
                "containerimage.digest": "sha256:bb",
                "image.name": "docker.io/library/x:1,r.example/y:2",
            })
        );
    }
}
