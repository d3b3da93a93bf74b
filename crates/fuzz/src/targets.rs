//! The targets by name.

use std::collections::BTreeMap;

use archive::{Header, TarReader, TarWriter};
use gotmpl::{Options, Template};
use types::reference::Reference;

/// Takes any bytes; panics where something is wrong.
pub type Target = fn(&[u8]);

/// All targets; `corpus/` has the kept inputs of each.
pub const TARGETS: &[(&str, Target)] = &[
    ("reference", reference),
    ("template", template),
    ("manifest", manifest),
    ("tar", tar),
    ("packed", packed),
    ("body", api::fuzzing::create),
    ("dockerfile", dockerfile),
    ("ignore", ignore),
    ("dns", resolver::fuzzing::message),
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

/// Dockerfiles. Errors stand within the file; what was read can be checked, and its instructions
/// say what they are.
fn dockerfile(bytes: &[u8]) {
    let none = BTreeMap::new();
    let file = match dockerfile::parse("Dockerfile", bytes) {
        Ok(file) => file,
        Err(error) => {
            let lines = bytes.iter().filter(|b| **b == b'\n').count() + 1;
            assert!((1..=lines).contains(&(error.span.line as usize)), "{error}");
            assert!(error.to_string().len() < 200_000);
            return;
        }
    };
    let _ = dockerfile::check(&file, None, &none);
    for stage in &file.stages {
        for instruction in &stage.instructions {
            assert!(instruction.span.line <= instruction.span.end_line);
            if let dockerfile::Instruction::Onbuild(trigger) = &instruction.value
                && file.directives.escape == '\\'
            {
                let again = dockerfile::parse_instruction(&trigger.source);
                let again = again
                    .map(|again| again.value)
                    .map_err(|error| error.to_string());
                assert_eq!(again.as_ref(), Ok(&trigger.value), "{:?}", trigger.source);
            }
        }
    }
}

/// Ignore files, and a path: separated by a NUL. What is left out with its directory stays out.
fn ignore(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |b| *b == 0);
    let (text, path) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let Ok(patterns) = dockerfile::Patterns::parse(text) else {
        return;
    };
    let path = String::from_utf8_lossy(path);
    let ignored = patterns.ignores(&path);
    // Names with dots are other paths.
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return;
    }
    for (at, _) in path.match_indices('/') {
        let directory = &path[..at];
        if patterns.ignores(directory) && !patterns.may_have_exceptions_below(directory) {
            assert!(ignored, "{path:?} comes back below {directory:?}");
        }
    }
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

/// Archives. What was read and written again reads the same.
fn tar(bytes: &[u8]) {
    // Files of holes have any size: as much of each as a fuzzer has time for.
    const MOST: usize = 1 << 16;
    let bytes = summed(bytes);
    let mut read = Vec::new();
    let mut reader = TarReader::new(bytes.as_slice());
    while let Ok(Some(header)) = reader.next() {
        let mut data = Vec::new();
        while let Ok(piece) = reader.data() {
            let length = piece.len();
            if length == 0 || data.len() > MOST {
                break;
            }
            data.extend_from_slice(piece);
            reader.consume(length);
        }
        let whole = header.sparse.is_none() && data.len() as u64 == header.size;
        if whole {
            read.push((header, data));
        }
    }
    let mut writer = TarWriter::new(Vec::new());
    for (header, data) in &read {
        writer.entry(header).expect("memory takes it");
        writer.data(data).expect("as much as it has");
    }
    let bytes = writer.finish().expect("all is there");
    let mut reader = TarReader::new(bytes.as_slice());
    for (header, data) in &read {
        let again = reader.next().expect("our own archive").expect("an entry");
        assert_eq!(parts(header), parts(&again));
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let piece = reader.data().expect("our own archive");
            let length = piece.len();
            assert_eq!(piece, &rest[..length]);
            rest = &rest[length..];
            reader.consume(length);
        }
    }
}

/// What archives are packed with. Damage is an error that says so; the source never fails.
fn packed(bytes: &[u8]) {
    // As much as a fuzzer has time for.
    const MOST: u64 = 1 << 20;
    let (reader, compression) = archive::unpacked(bytes).expect("memory can be read");
    let mut out = Vec::new();
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(reader, MOST), &mut out);
    match read {
        Ok(_) if compression == archive::Compression::None => assert_eq!(out, bytes),
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}"),
    }
}

/// The archive with right checksums, which no fuzzer would find.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512) {
        if block[257..].starts_with(b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}

/// What of an entry must come back.
fn parts(header: &Header) -> impl PartialEq + std::fmt::Debug + '_ {
    (
        (&header.path, &header.link, header.kind, header.size),
        (header.mode, header.uid, header.gid, header.mtime.0),
        (header.device, &header.xattrs),
    )
}
