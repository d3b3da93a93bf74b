//! Images in directories of OCI's form, which a client sent as a context: `oci-layout://`.

use std::{
    collections::HashSet,
    io::{self, Write},
    sync::Arc,
};

use archive::{Header, Kind, TarWriter};
use image::{Digest, Image, Platform};
use serde_json::json;
use types::build::{ContextEntry, EntryKind, Layout};

use crate::{
    Builder,
    contexts::Context,
    error::{Error, Result},
    session::{Running, Session},
};

const BLOBS: &str = "blobs/";
const BUFFER: usize = 64 << 10;

/// Takes the image into the store, without a name; whether it was not there before.
pub(crate) fn load(
    builder: &Builder,
    layout: &Layout,
    platform: &Platform,
    session: &Session,
    running: &Running<'_>,
) -> Result<(Arc<Image>, bool)> {
    let context = builder.contexts.get(&layout.context)?;
    let images = builder.store.list().into_iter();
    let before: HashSet<Digest> = images.map(|i| i.id.clone()).collect();
    let (reader, writer) = io::pipe().map_err(Error::io("make a pipe"))?;
    let loaded = std::thread::scope(|scope| {
        let writing = std::thread::Builder::new()
            .name("oci-layout".to_owned())
            .spawn_scoped(scope, || write(builder, &context, layout, writer))
            .map_err(Error::io("start a thread"))?;
        let loaded = builder.store.load_for(
            reader,
            Some(platform),
            &|progress| running.layer(&progress),
            &session.cancel,
        );
        let written = writing
            .join()
            .map_err(|_| Error::invalid("an image could not be read in an unforeseen way"))?;
        // Where reading failed, writing did so as a consequence.
        let loaded = loaded?;
        written?;
        Ok::<_, Error>(loaded)
    })?;
    let image = loaded.into_iter().next().map(|loaded| loaded.image);
    let image = image.ok_or_else(|| Error::invalid("the layout has no image"))?;
    let is_new = !before.contains(&image.id);
    Ok((image, is_new))
}

/// Writes an archive with that image alone, and no names.
fn write(
    builder: &Builder,
    context: &Arc<Context>,
    layout: &Layout,
    out: impl Write,
) -> Result<()> {
    let failed = || Error::io("pass on the files of a layout");
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": layout.media_type,
            "digest": layout.digest,
            "size": layout.size,
        }],
    });
    let mut tar = TarWriter::new(out);
    for (name, text) in [
        ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
        ("index.json", index),
    ] {
        let text = text.to_string();
        tar.entry(&Header::new(name.as_bytes(), Kind::File, text.len() as u64))
            .and_then(|()| tar.data(text.as_bytes()))
            .map_err(failed())?;
    }
    let mut buffer = vec![0; BUFFER];
    let entries = context.entries.iter();
    for (path, entry) in entries.filter(|(path, entry)| is_blob(path, entry)) {
        let digest = Digest::from_hex(&entry.digest)
            .ok_or_else(|| Error::invalid(format!("{path} has no digest")))?;
        let mut file = builder.contexts.pool.file(&digest)?;
        tar.entry(&Header::new(path.as_bytes(), Kind::File, entry.size))
            .map_err(failed())?;
        let mut left = entry.size;
        while left > 0 {
            let length = io::Read::read(&mut file, &mut buffer).map_err(failed())?;
            if length == 0 {
                return Err(failed()(io::ErrorKind::UnexpectedEof.into()));
            }
            tar.data(&buffer[..length]).map_err(failed())?;
            left = left.saturating_sub(length as u64);
        }
    }
    tar.finish().map(drop).map_err(failed())
}

fn is_blob(path: &str, entry: &ContextEntry) -> bool {
    entry.kind == EntryKind::File && path.starts_with(BLOBS)
}
