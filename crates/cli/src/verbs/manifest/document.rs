//! The documents that `manifest` reads, keeps and writes, with their members in docker's order:
//! an index's digest depends on it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::format::indent;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// For what an image is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Platform {
    pub(super) architecture: String,
    pub(super) os: String,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub(super) os_version: String,
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub(super) os_features: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) variant: String,
}

/// Operating systems, and the processors that docker knows them on.
const KNOWN: &[(&str, &[&str])] = &[
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm"]),
    (
        "linux",
        &[
            "386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64le", "riscv64",
            "s390x",
        ],
    ),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64", "arm", "arm64"]),
];

impl Platform {
    /// Whether there is such a thing.
    pub(super) fn is_known(&self) -> bool {
        let of = KNOWN.iter().find(|(os, _)| *os == self.os);
        of.is_some_and(|(_, all)| all.contains(&self.architecture.as_str()))
    }

    /// What a configuration or an entry of an index says.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let found: Self = serde_json::from_value(value.clone()).ok()?;
        (found != Self::default()).then_some(found)
    }
}

/// What a manifest is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
}

/// A manifest in a list, as docker keeps and shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Draft {
    #[serde(rename = "Ref")]
    pub(super) reference: String,
    pub(super) descriptor: Descriptor,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) raw: String,
    #[serde(rename = "SchemaV2Manifest", skip_serializing_if = "Option::is_none")]
    docker: Option<Value>,
    #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
    oci: Option<Value>,
    /// How older versions of docker kept what is in `Descriptor` now.
    #[serde(skip_serializing)]
    digest: String,
    #[serde(skip_serializing)]
    platform: Option<Platform>,
}

impl Draft {
    /// Of a manifest's bytes.
    pub(super) fn new(reference: String, descriptor: Descriptor, bytes: &[u8]) -> Self {
        let value = serde_json::from_slice(bytes).ok();
        let is_oci = descriptor.media_type == OCI_MANIFEST;
        let (docker, oci) = if is_oci { (None, value) } else { (value, None) };
        Self {
            reference,
            descriptor,
            raw: STANDARD.encode(bytes),
            docker,
            oci,
            ..Self::default()
        }
    }

    /// Puts what was kept in the older form where it is now.
    pub(super) fn renewed(mut self) -> Self {
        if self.descriptor.digest.is_empty() {
            self.descriptor.digest = std::mem::take(&mut self.digest);
        }
        let old = self.platform.take();
        self.descriptor.platform = self.descriptor.platform.take().or(old);
        self
    }

    pub(super) fn platform(&self) -> Option<&Platform> {
        self.descriptor.platform.as_ref()
    }

    /// The manifest's bytes.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        decode(&self.reference, &self.raw)
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes that came, or were kept, in base64.
pub(super) fn decode(what: &str, text: &str) -> Result<Vec<u8>> {
    let bytes = STANDARD.decode(text);
    bytes.map_err(|e| Error::msg(format!("manifest of {what} cannot be read: {e}")))
}

/// JSON with tabs, its numbers and texts as they are.
pub(super) fn tabs(json: &str) -> String {
    indent::indent_with(json, 0, "\t")
}

/// The index of some manifests: its media type and its text. docker takes OCI's form where the
/// first of them has it.
pub(super) fn list_of(drafts: &[Draft]) -> Result<(&'static str, String)> {
    /// An entry, with the members in the order that docker gives them in lists.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry<'a> {
        media_type: &'a str,
        size: u64,
        digest: &'a str,
        platform: Platform,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List<'a> {
        schema_version: u32,
        media_type: &'a str,
        manifests: Vec<Entry<'a>>,
    }
    let first = drafts.first().map(|d| d.descriptor.media_type.as_str());
    let media_type = if first == Some(OCI_MANIFEST) {
        OCI_INDEX
    } else {
        DOCKER_LIST
    };
    let entries = drafts.iter().map(|draft| Entry {
        media_type: &draft.descriptor.media_type,
        size: draft.descriptor.size,
        digest: &draft.descriptor.digest,
        platform: draft.platform().cloned().unwrap_or_default(),
    });
    let list = List {
        schema_version: 2,
        media_type,
        manifests: entries.collect(),
    };
    let text = serde_json::to_string(&list);
    let text = text.map_err(|e| Error::msg(format!("cannot write a list: {e}")))?;
    Ok((media_type, indent::indent_with(&text, 0, "   ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(media_type: &str) -> Draft {
        let descriptor = Descriptor {
            media_type: media_type.to_owned(),
            digest: "sha256:0".to_owned(),
            size: 2,
            platform: Some(Platform {
                architecture: "arm".into(),
                os: "linux".into(),
                variant: "v7".into(),
                ..Platform::default()
            }),
        };
        Draft::new("r/a:1".into(), descriptor, br#"{"b":1,"a":1.0}"#)
    }

    #[test]
    fn lists_are_dockers_to_the_byte() {
        let (kind, text) = list_of(&[draft("application/x")]).unwrap();
        assert_eq!(kind, DOCKER_LIST);
        assert_eq!(
            text,
            "{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"application/vnd.docker.distribution.manifest.list.v2+json\",\n   \"manifests\": [\n      {\n         \"mediaType\": \"application/x\",\n         \"size\": 2,\n         \"digest\": \"sha256:0\",\n         \"platform\": {\n            \"architecture\": \"arm\",\n            \"os\": \"linux\",\n            \"variant\": \"v7\"\n         }\n      }\n   ]\n}"
        );
        assert_eq!(list_of(&[draft(OCI_MANIFEST)]).unwrap().0, OCI_INDEX);
    }

    #[test]
    fn drafts_come_back_also_in_the_older_form() {
        let one = draft(OCI_MANIFEST);
        let text = serde_json::to_string(&one).unwrap();
        assert!(text.contains(r#""OCIManifest":{"b":1,"a":1.0}"#), "{text}");
        let back: Draft = serde_json::from_str(&text).unwrap();
        assert_eq!(back.renewed(), one);
        let old =
            r#"{"Ref":"a:1","Digest":"sha256:1","Platform":{"os":"linux","architecture":"arm"}}"#;
        let old: Draft = serde_json::from_str(old).unwrap();
        let new = old.renewed();
        assert_eq!(new.descriptor.digest, "sha256:1");
        assert_eq!(new.platform().unwrap().architecture, "arm");
    }

    #[test]
    fn only_what_there_is_can_be_annotated() {
        let is = |os: &str, architecture: &str| {
            let platform = Platform {
                os: os.into(),
                architecture: architecture.into(),
                ..Platform::default()
            };
            platform.is_known()
        };
        assert!(is("linux", "s390x") && is("windows", "arm64"));
        assert!(!is("linux", "foo") && !is("", "amd64") && !is("solaris", "arm"));
    }
}
