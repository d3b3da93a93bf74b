//! One build from its request to its result.

use std::{
    collections::{BTreeMap, HashSet},
    io::Read,
    sync::Arc,
};

use dockerfile::Patterns;
use image::{CancellationToken, Digest, Reference};
use serde_json::json;
use types::build::{
    BuildEvent, BuildRequest, BuildWarning, Built, ContextSource, Dockerfile as Wanted, EntryKind,
    Output, OutputKind,
};

use crate::{
    Builder, Busy, call,
    contexts::Context,
    draft::Draft,
    error::{Error, Result},
    exports,
    imports::{self, Imports},
    keys, plan, remote,
    session::{Listener, Session, now},
    solve::{Solver, full},
};

/// A context that came as an archive.
#[derive(Debug, Clone)]
pub struct Upload(
    pub(crate) Arc<Context>,
    #[expect(dead_code, reason = "held, not read")] pub(crate) Busy,
);

/// Bytes that a lone Dockerfile may have.
const MAX_FILE: u64 = remote::MAX_DOCKERFILE;

impl Builder {
    /// Builds. `upload` is the context where the request names none. `sequential`: one step after
    /// the other, in the file's order, and the listener is told of each instruction.
    ///
    /// Ends soon after `cancel` is cancelled. Whatever happens, what was made until then is in the
    /// cache, and nothing else is left.
    ///
    /// # Errors
    /// Whatever went wrong, ready to be shown.
    pub fn build(
        &self,
        request: &BuildRequest,
        upload: Option<Upload>,
        listener: Arc<dyn Listener>,
        sequential: bool,
        cancel: &CancellationToken,
    ) -> Result<Built> {
        let _busy = self.busy();
        let session = Session::new(listener, cancel.child_token());
        let built = self.run(request, upload, &session, sequential);
        if let Err(error) = self.store.note_uses() {
            tracing::warn!(%error, "which parts of the build cache were used is not noted");
        }
        match built {
            // What a failed stage made others do.
            Err(_) if cancel.is_cancelled() => Err(Error::Cancelled),
            built => built,
        }
    }

    fn run(
        &self,
        request: &BuildRequest,
        upload: Option<Upload>,
        session: &Session,
        sequential: bool,
    ) -> Result<Built> {
        check_names(request)?;
        let sinks = exports::check(request)?;
        let sources = imports::check(request)?;
        let keep_git = request
            .build_args
            .get("BUILDKIT_CONTEXT_KEEP_GIT_DIR")
            .is_some_and(|v| matches!(v.as_str(), "1" | "true"));
        let (context, remote_file) = self.source(&request.context, upload, keep_git, session)?;
        let (name, text) = match remote_file {
            Some(text) => ("Dockerfile".to_owned(), text.into_bytes()),
            None => self.dockerfile(request, &context)?,
        };
        let title = format!("[internal] load build definition from {name}");
        let parsed = session.step(title, |_| {
            dockerfile::parse(&name, &text).map_err(Error::from)
        })?;
        let ignore = self.ignore(&name, &context)?;
        let failed = self.warn(session, &parsed, ignore.as_ref(), &text, request);
        if failed && request.call.is_empty() {
            return Err(Error::Dockerfile(
                "lint violation found for rules".to_owned(),
            ));
        }
        if request.check {
            return Ok(Built::default());
        }
        if !request.call.is_empty() {
            let answer = call::answer(&parsed, &text, request)?;
            return Ok(Built {
                answer,
                ..Built::default()
            });
        }
        let context = match &ignore {
            Some(ignore) if !ignore.is_empty() => without(&context, ignore),
            _ => context,
        };
        let mut named = BTreeMap::new();
        for (name, source) in &request.contexts {
            if !matches!(source, ContextSource::Image(_)) {
                named.insert(
                    name.clone(),
                    self.source(source, None, keep_git, session)?.0,
                );
            }
        }
        let plan = plan::plan(&parsed, &text, request)?;
        let epoch = epoch(request)?;
        let mut solver = Solver::new(self, session, request, &plan, context, named, epoch);
        if !sources.is_empty() && !request.no_cache {
            let platform = plan::platform(request)?;
            solver.imports = Imports::open(self, session, request, sources, &platform)?;
        }
        let draft = solver.solve(sequential);
        let draft = match draft {
            Err(error) => return Err(solver.cause().unwrap_or(error)),
            Ok(draft) => draft,
        };
        let built = self.finish(&draft, request, session, epoch)?;
        exports::write(&solver, &draft, &sinks)?;
        Ok(built)
    }

    /// The files of a context.
    fn source(
        &self,
        source: &ContextSource,
        upload: Option<Upload>,
        keep_git: bool,
        session: &Session,
    ) -> Result<(Arc<Context>, Option<String>)> {
        if let Some(Upload(context, _)) = upload {
            return Ok((context, None));
        }
        match source {
            ContextSource::Sent(id) => Ok((self.contexts.get(id)?, None)),
            ContextSource::Remote(url) => {
                let title = format!(
                    "[internal] load remote build context {}",
                    remote::redacted(url)
                );
                session.step(title, |_| {
                    remote::context(self, url, keep_git, &session.cancel)
                })
            }
            ContextSource::Image(_) | ContextSource::Empty => Ok((Arc::default(), None)),
        }
    }

    fn dockerfile(
        &self,
        request: &BuildRequest,
        context: &Arc<Context>,
    ) -> Result<(String, Vec<u8>)> {
        let path = match &request.dockerfile {
            Wanted::Text { name, text } => return Ok((name.clone(), text.clone().into_bytes())),
            Wanted::Path(path) if path.is_empty() => "Dockerfile",
            Wanted::Path(path) => path,
        };
        if path.split('/').any(|part| part == "..") {
            return Err(Error::invalid(format!(
                "forbidden path outside the build context: {path}"
            )));
        }
        let clean = crate::select::clean(path);
        let mut bytes = self.read(context, &clean)?;
        // As Docker: also written small.
        if bytes.is_none() && clean == "Dockerfile" {
            bytes = self.read(context, "dockerfile")?;
        }
        let bytes = bytes.ok_or_else(|| {
            Error::invalid(format!(
                "failed to read dockerfile: open {clean}: no such file or directory in the build \
                 context"
            ))
        })?;
        Ok((clean, bytes))
    }

    /// A small file of a context.
    fn read(&self, context: &Arc<Context>, path: &str) -> Result<Option<Vec<u8>>> {
        let tree = crate::tree::Tree::Context(Arc::clone(context), Arc::clone(&self.contexts));
        let Some((path, meta)) = tree.resolve(path, true)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        tree.open(&path, &meta)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io(format!("read {path}")))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(Error::invalid(format!(
                "{path} is larger than {MAX_FILE} bytes"
            )));
        }
        Ok(Some(bytes))
    }

    /// What of the context is no part of the build.
    fn ignore(&self, dockerfile: &str, context: &Arc<Context>) -> Result<Option<Patterns>> {
        for name in [
            format!("{dockerfile}.dockerignore"),
            ".dockerignore".to_owned(),
        ] {
            if context
                .entries
                .get(&name)
                .is_some_and(|e| e.kind == EntryKind::File)
                && let Some(text) = self.read(context, &name)?
            {
                let parsed = Patterns::parse(&text)
                    .map_err(|why| Error::invalid(format!("{name}: {why}")))?;
                return Ok(Some(parsed));
            }
        }
        Ok(None)
    }

    /// What becomes of the result.
    fn finish(
        &self,
        draft: &Draft,
        request: &BuildRequest,
        session: &Session,
        epoch: Option<i64>,
    ) -> Result<Built> {
        let mut built = Built::default();
        for output in &request.outputs {
            session.check()?;
            match output.kind {
                OutputKind::Files => session.step("exporting to client tarball", |_| {
                    self.files(draft, session)
                })?,
                OutputKind::Image | OutputKind::Oci | OutputKind::Docker => {
                    built = self.image(draft, request, output, session, epoch)?;
                }
            }
        }
        Ok(built)
    }

    fn image(
        &self,
        draft: &Draft,
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
        let built = session.step("exporting to image", |running| {
            let before: HashSet<Digest> = self
                .store
                .list()
                .into_iter()
                .map(|i| i.id.clone())
                .collect();
            let image = self.make_image(draft, request, &names, kept, epoch)?;
            let made = !before.contains(&image.id);
            for name in names.iter().filter(|_| kept) {
                self.worker
                    .tell("tag", &image.id.to_string(), Some(&name.familiar()));
            }
            let manifest = self.store.manifest_of(&image);
            let text = format!("writing image {} done\n", image.id);
            running.log(types::options::StdStream::Out, text.as_bytes());
            for name in &names {
                let text = format!("naming to {} done\n", full(name));
                running.log(types::options::StdStream::Out, text.as_bytes());
            }
            if !kept {
                self.archive(&image, &names, made, session)?;
            }
            let manifest = manifest.map(|m| (m.digest, m.size, m.media_type));
            let (manifest, manifest_size, media_type) = manifest.unwrap_or_default();
            Ok(Built {
                image: image.id.to_string(),
                manifest,
                manifest_size,
                media_type,
                names: names.iter().map(full).collect(),
                answer: String::new(),
            })
        })?;
        for name in names.iter().filter(|_| output.push) {
            session.step(format!("pushing {}", full(name)), |running| {
                let progress = |p: image::Progress| running.layer(&p);
                self.worker.push(name, request, &progress, &session.cancel)
            })?;
        }
        if output.push && names.is_empty() {
            return Err(Error::invalid(
                "tag is needed when pushing to registry: give --tag",
            ));
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
        kept: bool,
        epoch: Option<i64>,
    ) -> Result<Arc<image::Image>> {
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
        let names = if kept { names } else { &[] };
        Ok(self.store.image_of(config, &draft.layers, names)?)
    }

    /// An image as an archive. One that was `made` for this alone goes again.
    fn archive(
        &self,
        image: &image::Image,
        names: &[Reference],
        made: bool,
        session: &Session,
    ) -> Result<()> {
        let mut sink = session.listener.archive()?;
        let written = self
            .store
            .save_as(image, names)
            .map_err(Error::from)
            .and_then(|saving| saving.write(&mut sink).map_err(Error::io("send the image")));
        if made && let Err(error) = self.store.drop_nameless(image) {
            tracing::warn!(id = %image.id, %error, "an image that was only exported stays");
        }
        written
    }

    /// All files of the result as an archive.
    fn files(&self, draft: &Draft, session: &Session) -> Result<()> {
        let sink = session.listener.archive()?;
        let step = self.store.step(&types::id::generate(), &draft.layers)?;
        let root = step.mount()?;
        let root = rustix::fs::openat(
            &root,
            ".",
            rustix::fs::OFlags::RDONLY
                | rustix::fs::OFlags::DIRECTORY
                | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .map_err(|e| Error::io("read the result")(e.into()))?;
        let same = |uid, gid| (uid, gid);
        let mut packer =
            archive::Packer::new(std::io::BufWriter::with_capacity(256 << 10, sink), &same);
        let packed = packer.dir(&root, b"").and_then(|()| packer.finish());
        packed
            .and_then(|mut sink| std::io::Write::flush(&mut sink))
            .map_err(|e| match session.cancel.is_cancelled() {
                true => Error::Cancelled,
                false => Error::io("send the result's files")(e),
            })
    }
}

/// Refuses what could be seen before anything is done.
fn check_names(request: &BuildRequest) -> Result<()> {
    for name in request
        .tags
        .iter()
        .chain(request.outputs.iter().flat_map(|o| &o.names))
    {
        let reference = Reference::parse(name)
            .map_err(|e| Error::invalid(format!("invalid tag \"{name}\": {e}")))?;
        if reference.digest().is_some() {
            return Err(Error::invalid(format!(
                "invalid tag \"{name}\": refusing to create a tag with a digest reference"
            )));
        }
    }
    let stays = |o: &&Output| o.push && o.kind != OutputKind::Image;
    if request.outputs.iter().any(|o| stays(&o)) {
        return Err(Error::invalid(
            "only an image can be pushed: leave push out, or use type=image",
        ));
    }
    let known = ["security.insecure", "network.host"];
    if let Some(other) = request.allow.iter().find(|a| !known.contains(&a.as_str())) {
        return Err(Error::invalid(format!(
            "unknown entitlement {other}: security.insecure and network.host can be allowed"
        )));
    }
    Ok(())
}

/// `SOURCE_DATE_EPOCH`.
fn epoch(request: &BuildRequest) -> Result<Option<i64>> {
    match request
        .build_args
        .get("SOURCE_DATE_EPOCH")
        .map(String::as_str)
    {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Error::invalid(format!(
                "invalid SOURCE_DATE_EPOCH: {text}: it is seconds since 1970"
            ))
        }),
    }
}

/// A context without what is ignored.
fn without(context: &Context, ignore: &Patterns) -> Arc<Context> {
    let mut entries = BTreeMap::new();
    let mut skip: Option<String> = None;
    for (path, entry) in &context.entries {
        if skip.as_ref().is_some_and(|s| path.starts_with(s)) {
            continue;
        }
        if !ignore.ignores(path) {
            // An exception may be in a directory that is ignored itself.
            for (at, _) in path.match_indices('/') {
                let parent = &path[..at];
                if !entries.contains_key(parent)
                    && let Some(found) = context.entries.get(parent)
                {
                    entries.insert(parent.to_owned(), found.clone());
                }
            }
            entries.insert(path.clone(), entry.clone());
        } else if entry.kind == EntryKind::Dir && !ignore.may_have_exceptions_below(path) {
            skip = Some(format!("{path}/"));
        }
    }
    Arc::new(Context { entries })
}

impl Builder {
    /// Tells what the checks find; whether that ends the build. Base images are looked at if they are
    /// here; none is pulled for this.
    fn warn(
        &self,
        session: &Session,
        file: &dockerfile::Dockerfile,
        ignore: Option<&Patterns>,
        text: &[u8],
        request: &BuildRequest,
    ) -> bool {
        let args = &request.build_args;
        let bases = dockerfile::base_images(file, args).into_iter();
        let bases = bases.filter_map(|name| {
            let image = match request.contexts.get(&name) {
                None => name.as_str(),
                Some(ContextSource::Image(image)) => image,
                Some(_) => return None,
            };
            let image = self.store.get(image).ok()?;
            Some((name, image.config.config.env.clone()))
        });
        let warnings = dockerfile::check_with(file, ignore, args, &bases.collect());
        let text = String::from_utf8_lossy(text);
        let lines: Vec<&str> = text.lines().collect();
        let any = !warnings.is_empty();
        for warning in warnings {
            let (from, to) = (warning.span.line as usize, warning.span.end_line as usize);
            let shown = lines.get(from.saturating_sub(1)..to.min(lines.len()));
            session.listener.event(BuildEvent::Warning(BuildWarning {
                rule: warning.rule.to_owned(),
                description: warning.description.to_owned(),
                url: warning.url.unwrap_or_default(),
                message: warning.message,
                file: file.name.clone(),
                line: warning.span.line,
                column: warning.span.column,
                end_line: warning.span.end_line,
                source: shown
                    .unwrap_or_default()
                    .iter()
                    .map(|l| (*l).to_owned())
                    .collect(),
            }));
        }
        any && dockerfile::fails(file, args)
    }
}
