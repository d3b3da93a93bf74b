//! What becomes of a build's result: images, archives, files. Of several platforms an image is an index,
//! and files are in a directory for each.

use std::{collections::HashSet, io::Write, os::fd::OwnedFd, sync::Arc};

use image::{Digest, Image, Reference};
use rustix::fs::{Mode, OFlags};
use serde_json::json;
use types::build::{BuildRequest, Built, Output, OutputKind};

use crate::{
    Builder,
    draft::Draft,
    error::{Error, Result},
    exports, keys,
    session::{Session, now},
    solve::full,
};

impl Builder {
    pub(crate) fn finish(
        &self,
        drafts: &[Arc<Draft>],
        request: &BuildRequest,
        session: &Session,
        epoch: Option<i64>,
    ) -> Result<Built> {
        let mut built = Built::default();
        for output in &request.outputs {
            session.check()?;
            match output.kind {
                OutputKind::Files => session.step("exporting to client tarball", |_| {
                    self.files(drafts, session)
                })?,
                OutputKind::Image | OutputKind::Oci | OutputKind::Docker => {
                    built = self.image(drafts, request, output, session, epoch)?;
                }
            }
        }
        Ok(built)
    }

    fn image(
        &self,
        drafts: &[Arc<Draft>],
        request: &BuildRequest,
        output: &Output,
        session: &Session,
        epoch: Option<i64>,
    ) -> Result<Built> {
        let names: Vec<Reference> = request
            .tags
            .iter()
            .chain(&output.names)
            .map(|name| Reference::parse(name).map(Reference::with_default_tag))
            .collect::<Result<_, _>>()
            .map_err(Error::invalid)?;
        let kept = output.kind == OutputKind::Image;
        let mut built = session.step("exporting to image", |running| {
            let before: HashSet<Digest> = match kept {
                true => HashSet::new(),
                false => self.store.list().iter().map(|i| i.id.clone()).collect(),
            };
            let several = drafts.len() > 1;
            let mut images = Vec::new();
            for draft in drafts {
                // Those of an index get its names with it.
                let own: &[Reference] = if kept && !several { &names } else { &[] };
                images.push(self.make_image(draft, request, own, epoch)?);
            }
            let named: &[Reference] = if kept { &names } else { &[] };
            let (image, manifest) = match images.as_slice() {
                [image] => (Arc::clone(image), self.store.manifest_of(image)),
                images => {
                    let (image, index) = self.store.index_of(images, named)?;
                    (image, Some(index))
                }
            };
            for name in named {
                self.worker
                    .tell("tag", &image.id.to_string(), Some(&name.familiar()));
            }
            let say = |text: String| running.log(types::options::StdStream::Out, text.as_bytes());
            for image in &images {
                say(format!("writing image {} done\n", image.id));
            }
            if let Some(index) = manifest.as_ref().filter(|_| several) {
                say(format!("writing manifest list {} done\n", index.digest));
            }
            for name in &names {
                say(format!("naming to {} done\n", full(name)));
            }
            let manifest = manifest.map(|m| (m.digest, m.size, m.media_type));
            let (manifest, manifest_size, media_type) = manifest.unwrap_or_default();
            if !kept {
                let index = several.then_some(manifest.as_str());
                self.archive(&images, index, &names, &before, session)?;
            }
            Ok(Built {
                image: image.id.to_string(),
                manifest,
                manifest_size,
                media_type,
                names: names.iter().map(full).collect(),
                answer: String::new(),
            })
        })?;
        // By its digest: another build may have taken the name meanwhile.
        let made = built.manifest.clone();
        for name in names.iter().filter(|_| output.push) {
            let pushed = session.step(format!("pushing {}", full(name)), |running| {
                let progress = |p: image::Progress| running.layer(&p);
                let pushed = self
                    .worker
                    .push(name, &made, request, &progress, &session.cancel);
                pushed.map_err(|error| match error {
                    Error::Cancelled => error,
                    error => {
                        let text = format!("failed to push {}: {error}", full(name));
                        types::Failure::new(error.kind(), text).into()
                    }
                })
            })?;
            // What others get by, rather than the form that it has here.
            if let Some(pushed) = pushed {
                built.manifest = pushed.digest;
                built.manifest_size = pushed.size;
                built.media_type = pushed.media_type;
            }
        }
        Ok(built)
    }

    /// The same inputs give the same image, times included: where no step says when it was made, the
    /// first time that this image was made counts.
    fn make_image(
        &self,
        draft: &Draft,
        request: &BuildRequest,
        names: &[Reference],
        epoch: Option<i64>,
    ) -> Result<Arc<Image>> {
        let mut draft = draft.clone();
        for (name, value) in &request.labels {
            draft.config.labels.insert(name.clone(), value.clone());
        }
        let plain = serde_json::to_value(draft.image_config("", None)).unwrap_or_default();
        let key = keys::key("image", &draft.base(), json!(plain), epoch);
        let created = match self.store.cached(&key) {
            Some((record, _)) if !request.no_cache => record.created,
            _ => {
                let created = now();
                self.store.remember(image::CacheRecord {
                    key: key.clone(),
                    kind: "internal".to_owned(),
                    description: "time of an image".to_owned(),
                    parents: Vec::new(),
                    layer: None,
                    note: String::new(),
                    created: created.clone(),
                    last_used: created.clone(),
                    uses: 1,
                })?;
                created
            }
        };
        let mut config = draft.image_config(&created, epoch);
        config.build_cache = exports::inline(request, &draft);
        Ok(self.store.image_of(config, &draft.layers, names)?)
    }

    /// Images as an archive, by their `index` where there are several. Those that were not there
    /// `before` were made for this alone and go again.
    fn archive(
        &self,
        images: &[Arc<Image>],
        index: Option<&str>,
        names: &[Reference],
        before: &HashSet<Digest>,
        session: &Session,
    ) -> Result<()> {
        let mut sink = session.listener.archive()?;
        let written = self
            .store
            .save_as(images, index, names)
            .map_err(Error::from)
            .and_then(|saving| saving.write(&mut sink).map_err(Error::io("send the image")));
        for image in images.iter().filter(|i| !before.contains(&i.id)) {
            if let Err(error) = self.store.drop_nameless(image) {
                tracing::warn!(id = %image.id, %error, "an image that was only exported stays");
            }
        }
        written
    }

    /// All files of the results as an archive.
    fn files(&self, drafts: &[Arc<Draft>], session: &Session) -> Result<()> {
        let sink = session.listener.archive()?;
        let same = |uid, gid| (uid, gid);
        let mut packer =
            archive::Packer::new(std::io::BufWriter::with_capacity(256 << 10, sink), &same);
        let mut packed = Ok(());
        for draft in drafts {
            let step = self.store.step(&types::id::generate(), &draft.layers)?;
            let root = open_root(&step.mount()?)?;
            let below = match drafts {
                [_] => String::new(),
                _ => draft.platform.to_string().replace('/', "_"),
            };
            packed = packed.and_then(|()| packer.dir(&root, below.as_bytes()));
        }
        packed
            .and_then(|()| packer.finish())
            .and_then(|mut sink| sink.flush())
            .map_err(|e| match session.cancel.is_cancelled() {
                true => Error::Cancelled,
                false => Error::io("send the result's files")(e),
            })
    }
}

fn open_root(mount: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(mount, ".", flags, Mode::empty())
        .map_err(|e| Error::io("read the result")(e.into()))
}
