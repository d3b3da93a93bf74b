//! The targets by name.

use gotmpl::{Options, Template};
use types::reference::Reference;

/// Takes any bytes; panics where something is wrong.
pub type Target = fn(&[u8]);

/// All targets; `corpus/` has the kept inputs of each.
pub const TARGETS: &[(&str, Target)] = &[
    ("reference", reference),
    ("template", template),
    ("manifest", manifest),
];

/// Names of images. What was read and written again is the same name.
fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(read) = Reference::parse(text) else {
        return;
    };
    let again = Reference::parse(&read.familiar());
    assert_eq!(
        again.as_ref(),
        Ok(&read),
        "{text:?} and its short form differ"
    );
    let tagged = read.with_default_tag();
    assert!(
        tagged.tag().is_some() || tagged.digest().is_some(),
        "{text:?} has no tag by default"
    );
}

/// Templates of `--format`, and the data that they are given: separated by a NUL.
fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (text, data) = text.split_once('\0').unwrap_or((text, "{}"));
    let Ok(parsed) = Template::parse("", text) else {
        return;
    };
    let data = serde_json::from_str(data).unwrap_or(serde_json::Value::Null);
    // An error is an answer.
    let _ = parsed.render(&data, &Options::default());
}

/// Manifests and indexes; the first byte chooses what the carrier said of it.
fn manifest(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let carriers = [
        None,
        Some("application/vnd.oci.image.manifest.v1+json"),
        Some("application/vnd.oci.image.index.v1+json"),
        Some("application/vnd.docker.distribution.manifest.v2+json"),
        Some("text/plain"),
    ];
    image::fuzzing::manifest(rest, carriers[usize::from(*first) % carriers.len()]);
}
