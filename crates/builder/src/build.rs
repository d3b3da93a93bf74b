//! One build from its request to its result.

use std::{collections::BTreeMap, io::Read, sync::Arc};

use dockerfile::{Patterns, Variables};
use image::{CancellationToken, Reference};
use types::build::{
    BuildEvent, BuildRequest, BuildWarning, Built, ContextSource, Dockerfile as Wanted, EntryKind,
    Output, OutputKind,
};

use crate::{
    Builder, Busy, call,
    contexts::Context,
    error::{Error, Result},
    exports,
    imports::{self, Imports},
    plan,
    remote::{self, Fetcher},
    session::{Listener, Session},
    solve::Solver,
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
        self.entitlements.check(request)?;
        let sinks = exports::check(request)?;
        let mut sources = imports::check(request)?;
        if request.no_cache {
            sources.clear();
        }
        let keep_git = request
            .build_args
            .get("BUILDKIT_CONTEXT_KEEP_GIT_DIR")
            .is_some_and(|v| matches!(v.as_str(), "1" | "true"));
        let fetcher = Fetcher {
            builder: self,
            session,
            request,
        };
        let (context, remote_file) = self.source(&request.context, upload, keep_git, fetcher)?;
        let (name, text) = match (&request.dockerfile, remote_file) {
            (Wanted::Path(_), Some(text)) => ("Dockerfile".to_owned(), text.into_bytes()),
            (Wanted::Url(url), _) => {
                let shown = remote::redacted(url);
                let title = format!("[internal] load {shown}");
                let text = session.step(title, |_| remote::dockerfile(fetcher, url))?;
                (shown, text.into_bytes())
            }
            _ => self.dockerfile(request, &context)?,
        };
        let title = format!("[internal] load build definition from {name}");
        let parsed = session.step(title, |_| {
            dockerfile::parse(&name, &text).map_err(Error::from)
        })?;
        let ignore = self.ignore(&name, &context)?;
        let failed = self.warn(session, &parsed, ignore.as_ref(), &text, request);
        if !failed.is_empty() && request.call.is_empty() {
            return Err(Error::Dockerfile(format!(
                "lint violation found for rules: {}",
                failed.join(", ")
            )));
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
            if !matches!(source, ContextSource::Image(_) | ContextSource::Layout(_)) {
                named.insert(
                    name.clone(),
                    self.source(source, None, keep_git, fetcher)?.0,
                );
            }
        }
        let platforms = plan::platforms(request)?;
        let several = platforms.len() > 1;
        check_outputs(request, several)?;
        let mut loaded: Vec<Arc<image::Image>> = Vec::new();
        let build = || {
            let mut drafts = Vec::new();
            let mut made_at = None;
            for platform in platforms {
                let mut plan = plan::plan(&parsed, &text, request, platform)?;
                plan.several = several;
                let epoch = epoch(request, &plan.globals)?;
                made_at = epoch;
                let (context, named) = (Arc::clone(&context), named.clone());
                let mut solver = Solver::new(self, session, request, &plan, context, named, epoch);
                let sources = sources.clone();
                solver.imports = Imports::open(self, session, request, sources, &plan.platform)?;
                let solved = solver.solve(sequential);
                loaded.extend(solver.take_layouts());
                match solved {
                    Err(error) => return Err(solver.cause().unwrap_or(error)),
                    Ok(draft) => drafts.push(draft),
                }
                if let ([draft], false) = (drafts.as_slice(), several) {
                    let built = self.finish(&drafts, request, session, epoch)?;
                    exports::write(&solver, draft, &sinks)?;
                    return Ok(built);
                }
            }
            self.finish(&drafts, request, session, made_at)
        };
        let built = build();
        let result = built.as_ref().map_or("", |built| &built.image);
        for image in loaded.iter().filter(|i| i.id.to_string() != result) {
            if let Err(error) = self.store.drop_nameless(image) {
                tracing::warn!(id = %image.id, %error, "an image of a layout stays");
            }
        }
        built
    }

    /// The files of a context.
    fn source(
        &self,
        source: &ContextSource,
        upload: Option<Upload>,
        keep_git: bool,
        fetcher: Fetcher<'_>,
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
                fetcher
                    .session
                    .step(title, |_| remote::context(fetcher, url, keep_git))
            }
            ContextSource::Layout(_) => Err(Error::invalid(
                "an image cannot be the context of a build: give it with --build-context",
            )),
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
            // Fetched before.
            Wanted::Url(_) => "Dockerfile",
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
    let nameless = |o: &Output| o.push && o.names.is_empty() && request.tags.is_empty();
    if request.outputs.iter().any(nameless) {
        return Err(Error::invalid(
            "tag is needed when pushing to registry: give --tag",
        ));
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

/// Refuses results that several platforms cannot have.
fn check_outputs(request: &BuildRequest, several: bool) -> Result<()> {
    // Each platform's would be written over the other's.
    if several && request.cache_to.iter().any(|c| c.kind != "inline") {
        return Err(Error::invalid(
            "--cache-to of a build for several platforms is not supported by wharf: build for one \
             platform after the other, each with a cache of its own",
        ));
    }
    let one = |o: &types::build::Output| o.kind == OutputKind::Docker;
    if several && request.outputs.iter().any(one) {
        return Err(Error::invalid(
            "docker exporter does not currently support exporting manifest lists: use type=oci, or \
             build for one platform",
        ));
    }
    Ok(())
}

/// `SOURCE_DATE_EPOCH`, as it is given or by the Dockerfile's `ARG` before its first `FROM`.
fn epoch(request: &BuildRequest, globals: &impl Variables) -> Result<Option<i64>> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let given = request.build_args.get(NAME).cloned();
    match given.or_else(|| globals.get(NAME)).as_deref() {
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
    /// Tells what the checks find; answers the rules that end the build. Base images are looked at if they are
    /// here; none is pulled for this.
    fn warn(
        &self,
        session: &Session,
        file: &dockerfile::Dockerfile,
        ignore: Option<&Patterns>,
        text: &[u8],
        request: &BuildRequest,
    ) -> Vec<&'static str> {
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
        let mut rules: Vec<&'static str> = warnings.iter().map(|w| w.rule).collect();
        rules.sort_unstable();
        rules.dedup();
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
        if !dockerfile::fails(file, args) {
            rules.clear();
        }
        rules
    }
}
