//! `--cache-to`: giving the steps of a build that worked away.

use std::sync::Arc;

use image::{CacheList, CacheRecord, Reference};
use types::{
    ErrorKind, Failure,
    build::{BuildEvent, BuildRequest, CachePlace, CacheSink, OutputKind},
    options::StdStream,
};

use crate::{
    draft::Draft,
    error::{Error, Result},
    session::Running,
    solve::{Solver, full},
};

/// The argument by which BuildKit asks for an image that carries its cache.
const INLINE: &str = "BUILDKIT_INLINE_CACHE";

/// Refuses what is not understood, before anything is done.
pub(crate) fn check(request: &BuildRequest) -> Result<Vec<CacheSink>> {
    let refused = |why| Error::from(Failure::new(ErrorKind::NotImplemented, why));
    let all = request.cache_to.iter();
    let all: Vec<_> = all
        .map(|target| target.sink().map_err(refused))
        .collect::<Result<_>>()?;
    for sink in &all {
        match &sink.place {
            CachePlace::Inline if !makes_image(request) => {
                return Err(Error::invalid(
                    "--cache-to type=inline: the result is no image that could carry it",
                ));
            }
            CachePlace::Inline | CachePlace::Local { .. } => {}
            CachePlace::Registry { name, .. } => {
                let invalid =
                    |why: &str| Error::invalid(format!("invalid --cache-to \"{name}\": {why}"));
                let parsed = Reference::parse(name).map_err(|e| invalid(&e.to_string()))?;
                if parsed.digest().is_some() {
                    return Err(invalid("a cache is written to a tag"));
                }
            }
        }
    }
    Ok(all)
}

fn makes_image(request: &BuildRequest) -> bool {
    let files = |o: &types::build::Output| o.kind == OutputKind::Files;
    request.check || request.outputs.iter().any(|o| !files(o))
}

/// What an image of this build carries of its cache.
pub(crate) fn inline(request: &BuildRequest, draft: &Draft) -> Option<serde_json::Value> {
    let asked = request.cache_to.iter().any(|c| c.kind == "inline");
    let argument = request.build_args.get(INLINE);
    let argument = argument.and_then(|text| types::boolean::parse(text)) == Some(true);
    (asked || argument)
        .then(|| CacheList::inline(draft.records.iter().map(Arc::as_ref)))
        .flatten()
}

/// Writes all caches of a build.
pub(crate) fn write(solver: &Solver<'_>, draft: &Draft, sinks: &[CacheSink]) -> Result<()> {
    for sink in sinks {
        let title = match &sink.place {
            CachePlace::Inline => continue,
            CachePlace::Registry { .. } => "exporting cache to registry",
            CachePlace::Local { .. } => "exporting cache to client directory",
        };
        solver.session.check()?;
        let records = records(solver, draft, sink.max)?;
        let written = solver
            .session
            .step(title, |running| one(solver, &records, sink, running));
        match written {
            Err(error) if sink.ignore_error => {
                solver.session.check()?;
                tracing::warn!(%error, "a build cache is not written");
            }
            written => written?,
        }
    }
    Ok(())
}

/// Steps of the result; of all stages where `max`. The drafts keep the layers.
fn records(solver: &Solver<'_>, draft: &Draft, max: bool) -> Result<Vec<CacheRecord>> {
    let mut all: Vec<Arc<CacheRecord>> = Vec::new();
    if max {
        for stage in &solver.plan.needed {
            all.extend(solver.stage(*stage)?.records.iter().cloned());
        }
    }
    all.extend(draft.records.iter().cloned());
    Ok(all
        .iter()
        .map(|record| CacheRecord::clone(record))
        .collect())
}

fn one(
    solver: &Solver<'_>,
    records: &[CacheRecord],
    sink: &CacheSink,
    running: &Running<'_>,
) -> Result<()> {
    let (builder, cancel) = (solver.builder, &solver.session.cancel);
    let told = |text: String| running.log(StdStream::Out, text.as_bytes());
    told("preparing build cache for export done\n".to_owned());
    let digest = match &sink.place {
        CachePlace::Inline => return Ok(()),
        CachePlace::Registry { name, insecure } => {
            let name = Reference::parse(name).map_err(Error::invalid)?;
            let name = name.with_default_tag();
            told(format!("writing cache to {}\n", full(&name)));
            let progress = |p: image::Progress| running.layer(&p);
            let worker = &builder.worker;
            worker.export(&name, records, *insecure, solver.request, &progress, cancel)?
        }
        CachePlace::Local { dir, have } => {
            let listener = &solver.session.listener;
            // From here on, what the client gets is this.
            listener.event(BuildEvent::Cache(dir.clone()));
            let out = std::io::BufWriter::with_capacity(256 << 10, listener.archive()?);
            let written = builder.store.cache_archive(records, have, out, cancel);
            written.map_err(|e| match cancel.is_cancelled() {
                true => Error::Cancelled,
                false => e.into(),
            })?
        }
    };
    told(format!("writing cache image manifest {digest} done\n"));
    Ok(())
}
