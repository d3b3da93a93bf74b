//! Images for registries, and what a scripted one answers that has one.

use std::io::Write;

use image::Digest;

use super::OCI_MANIFEST;
use super::scripted::{Answer, Request};

#[derive(Clone)]
pub struct TestLayer {
    pub tar: Vec<u8>,
    pub packed: Vec<u8>,
    pub suffix: &'static str,
}

impl TestLayer {
    pub fn plain(tar: Vec<u8>) -> Self {
        Self {
            packed: tar.clone(),
            tar,
            suffix: "",
        }
    }

    pub fn gzip(tar: Vec<u8>) -> Self {
        Self {
            packed: gzip(&tar),
            tar,
            suffix: "+gzip",
        }
    }

    pub fn zstd(tar: Vec<u8>) -> Self {
        Self {
            packed: zstd::stream::encode_all(tar.as_slice(), 3).unwrap(),
            tar,
            suffix: "+zstd",
        }
    }

    pub fn diff_id(&self) -> Digest {
        Digest::of(&self.tar)
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.packed)
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[derive(Clone)]
pub struct TestImage {
    pub layers: Vec<TestLayer>,
    pub diff_ids: Vec<Digest>,
    pub extra: String,
    pub arch: String,
}

impl TestImage {
    pub fn new(layers: Vec<TestLayer>) -> Self {
        let diff_ids = layers.iter().map(TestLayer::diff_id).collect();
        let arch = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        Self {
            layers,
            diff_ids,
            extra: String::new(),
            arch: arch.to_owned(),
        }
    }

    pub fn config(&self) -> String {
        let ids: Vec<_> = self.diff_ids.iter().map(|id| format!("\"{id}\"")).collect();
        format!(
            r#"{{"architecture":"{}","os":"linux","config":{{"Cmd":["x"]}}{},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            self.arch,
            self.extra,
            ids.join(",")
        )
    }

    pub fn id(&self) -> Digest {
        Digest::of(self.config().as_bytes())
    }

    pub fn manifest(&self) -> String {
        let config = self.config();
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|l| {
                format!(
                    r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar{}","digest":"{}","size":{}}}"#,
                    l.suffix,
                    l.digest(),
                    l.packed.len()
                )
            })
            .collect();
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{}]}}"#,
            Digest::of(config.as_bytes()),
            config.len(),
            layers.join(",")
        )
    }
}

/// What a registry answers that has one image under every name.
pub fn content(image: &TestImage, request: &Request) -> Answer {
    if request.path.contains("/manifests/") {
        return Answer::new(200, image.manifest()).with("Content-Type", OCI_MANIFEST);
    }
    let config = image.config().into_bytes();
    for blob in image
        .layers
        .iter()
        .map(|layer| layer.packed.clone())
        .chain([config])
    {
        if request.path.ends_with(&Digest::of(&blob).to_string()) {
            let from = request.header("range").and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            });
            return match from {
                Some(from) if from < blob.len() => Answer::new(206, &blob[from..]),
                Some(_) => Answer::new(416, ""),
                None => Answer::new(200, blob),
            };
        }
    }
    Answer::new(
        404,
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#,
    )
}
