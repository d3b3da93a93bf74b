//! `wharf/hello`: an image that the program carries, so that the first run needs no registry.

use image::{ImageConfig, Progress, Reference, Result, RunConfig, Store};

use crate::embedded;

/// Where the one program of the image lies.
const PROGRAM: &str = "/hello";
/// Its layer must not change from one build of wharf to the next without reason.
const MADE: &str = "2026-01-01T00:00:00Z";

/// Whether `reference` means the image.
pub(crate) fn is(reference: &Reference) -> bool {
    reference.familiar_name() == "wharf/hello"
        && reference.digest().is_none()
        && reference.tag().is_none_or(|tag| tag == "latest")
}

/// Adds the image to `store`; there already, it stays.
pub(crate) fn add(store: &Store, reference: &Reference, report: &dyn Fn(Progress)) -> Result<()> {
    let before = store
        .get(&reference.familiar())
        .ok()
        .map(|image| image.id.clone());
    let config = ImageConfig {
        architecture: image::Platform::host().architecture,
        os: "linux".into(),
        created: Some(MADE.into()),
        config: RunConfig {
            entrypoint: Some(vec![PROGRAM.into()]),
            exposed_ports: vec!["80/tcp".into()],
            ..RunConfig::default()
        },
        ..ImageConfig::default()
    };
    let image = store.add_image(reference, config, &[&layer()])?;
    let familiar = reference.familiar();
    report(Progress::Status(if before.as_ref() == Some(&image.id) {
        format!("Status: Image is up to date for {familiar}")
    } else {
        format!("Status: {familiar} was part of wharf: nothing had to be downloaded")
    }));
    Ok(())
}

/// A tar archive with the program and the directories that a container mounts on.
fn layer() -> Vec<u8> {
    let mut archive = Vec::new();
    for dir in ["dev/", "etc/", "proc/", "sys/"] {
        entry(&mut archive, dir, b'5', 0o755, &[]);
    }
    entry(
        &mut archive,
        PROGRAM.trim_start_matches('/'),
        b'0',
        0o755,
        embedded::HELLO,
    );
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// Appends one entry in the ustar form; owner root, time 0.
fn entry(archive: &mut Vec<u8>, name: &str, kind: u8, mode: u32, content: &[u8]) {
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: String| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name.into());
    put(100, format!("{mode:07o}"));
    put(108, format!("{:07o}", 0));
    put(116, format!("{:07o}", 0));
    put(124, format!("{:011o}", content.len()));
    put(136, format!("{:011o}", 0));
    put(148, " ".repeat(8));
    put(257, "ustar\u{0}00".into());
    header[156] = kind;
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\u{0}").as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
