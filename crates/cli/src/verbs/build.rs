//! `build`.

use super::{Context, spec::names};
use crate::{
    build::{Call, Inputs, Outputs, Report, Sink, Sinks, ask, blocking, secrets, talk},
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, int, list, switch, text},
    format::output,
    progress::build::{Board, Form},
    tty,
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    list("add-host", "Add a custom host-to-IP mapping (format: \"host:ip\")")
        .value("strings", names::host_check),
    list(
        "allow",
        "Allow extra privileged entitlement (e.g., \"network.host\", \"security.insecure\")",
    )
    .value("stringArray", checks::any),
    list("build-arg", "Set build-time variables")
        .value("stringArray", checks::env),
    list("build-context", "Additional build contexts (e.g., name=path)")
        .value("stringArray", checks::any),
    text("builder", "The builder that builds; there is one: default").only(&["", "default"]),
    list(
        "cache-from",
        "External cache sources (e.g., \"user/app:cache\", \"type=local,src=path/to/dir\")",
    )
    .value("stringArray", checks::any),
    list(
        "cache-to",
        "Cache export destinations (e.g., \"user/app:cache\", \"type=local,dest=path/to/dir\")",
    )
    .value("stringArray", checks::any),
    text("call", "Set method for evaluating build (\"build\", \"check\", \"outline\", \"targets\")").default("\"build\""),
    text("cgroup-parent", "Set the parent cgroup for the \"RUN\" instructions during build"),
    switch("check", "Look for mistakes in the Dockerfile only (shorthand for \"--call=check\")"),
    text("file", "Name of the Dockerfile (default: \"PATH/Dockerfile\"; - for standard input)")
        .short('f'),
    text("iidfile", "Write the image ID to a file"),
    list("label", "Set metadata for an image")
        .value("stringArray", checks::label),
    switch("load", "Keep the image here: what happens anyway, and beside other outputs with this"),
    text("metadata-file", "Write build result metadata to a file"),
    text("network", "Set the networking mode for the \"RUN\" instructions during build")
        .default("\"default\""),
    switch("no-cache", "Do not use cache when building the image"),
    list("no-cache-filter", "Do not cache specified stages")
        .value("stringArray", checks::any),
    list(
        "output",
        "Output destination (format: \"type=local,dest=path\"; a path alone, or - for a tar archive on standard output)",
    )
    .short('o')
    .value("stringArray", checks::any),
    list("platform", "Set target platform for build").value("stringArray", checks::any),
    text(
        "progress",
        "Set type of progress output (\"auto\", \"quiet\", \"plain\", \"tty\", \"rawjson\"). Use plain to show container output",
    )
    .default("\"auto\""),
    switch("pull", "Always attempt to pull all referenced images"),
    switch("push", "Push the image after the build (shorthand for \"--output=type=registry\")"),
    switch("quiet", "Suppress the build output and print image ID on success").short('q'),
    list(
        "secret",
        "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\", \"id=mysecret,env=NAME\")",
    )
    .value("stringArray", checks::any),
    text("shm-size", "Shared memory size for build containers").value("bytes", checks::bytes),
    list(
        "ssh",
        "SSH agent socket to expose to the build (format: \"default|<id>[=<socket>]\")",
    )
    .value("stringArray", checks::any),
    list("tag", "Name and optionally a tag (format: \"name:tag\")")
        .short('t')
        .value("stringArray", checks::any),
    text("target", "Set the target build stage to build"),
    list("ulimit", "Ulimit options").value("ulimit", checks::ulimit),
    // Of the builder before BuildKit; what they ask for is done.
    int("cpu-period", "Limit the CPU CFS (Completely Fair Scheduler) period"),
    int("cpu-quota", "Limit the CPU CFS (Completely Fair Scheduler) quota"),
    int("cpu-shares", "CPU shares (relative weight)").short('c'),
    text("cpuset-cpus", "CPUs in which to allow execution (\"0-3\", \"0,1\")"),
    text("cpuset-mems", "MEMs in which to allow execution (\"0-3\", \"0,1\")"),
    text("memory", "Memory limit").short('m').value("bytes", checks::bytes),
    text(
        "memory-swap",
        "Swap limit equal to memory plus swap: \"-1\" to enable unlimited swap",
    )
    .value("bytes", checks::swap),
    // What they ask for happens anyway: nothing is left of a step, and only what changed travels.
    switch("rm", "Remove intermediate containers after a successful build: there are none"),
    switch("force-rm", "Always remove intermediate containers: there are none"),
    switch("compress", "Compress the build context: only what changed travels"),
];

/// Docker's flags that wharf refuses, unless they say what holds anyway.
pub(crate) const REFUSED: &[Flag] = &[
    list("annotation", "Add annotation to the image")
        .value("stringArray", checks::any)
        .only(&[]),
    list(
        "attest",
        "Attestation parameters (format: \"type=sbom,generator=image\")",
    )
    .value("stringArray", checks::any)
    .only(&["type=provenance,disabled=true", "type=sbom,disabled=true"]),
    switch("disable-content-trust", "Skip image verification")
        .default("true")
        .only(&["true"]),
    text("isolation", "Container isolation technology").only(&["", "default"]),
    text("provenance", "Shorthand for \"--attest=type=provenance\"").only(&["false", ""]),
    text("sbom", "Shorthand for \"--attest=type=sbom\"").only(&["false", ""]),
    list("security-opt", "Security options")
        .value("stringArray", checks::any)
        .only(&[]),
    switch(
        "squash",
        "Squash newly built layers into a single new layer",
    )
    .only(&["false"]),
];

/// `docker build`.
pub(crate) async fn build(context: &Context, m: Matches) -> Result {
    tty::until_ended(Box::pin(work(context, &m))).await
}

/// Everything that can be wrong is found before anything is sent; a signal drops all of it, which
/// closes the connection, which calls the build off.
async fn work(context: &Context, m: &Matches) -> Result {
    builder(m)?;
    let quiet = m.on("quiet");
    let form = form(m, quiet)?;
    let call = Call::of(m)?;
    let outputs = if call.builds() {
        Outputs::of(m)?
    } else {
        Outputs::default()
    };
    // Another program may be slow to write what is read here: a signal does not wait for that.
    let flags = m.clone();
    let read = move || Ok((Inputs::of(&flags)?, secrets(&flags)?));
    let (inputs, secrets) = blocking(read).await?;
    let mut asked = ask(context, m, &inputs, &outputs, secrets)?;
    let report = Report::of(m)?;
    let id = asked.id().to_owned();

    let target = outputs.target;
    let sink = blocking(move || Sink::open(target)).await?;
    let mut board = Board::new(form);
    let given = match asked.give_caches(&context.client, &mut board).await {
        Ok(()) => inputs.give(&context.client, &mut board).await,
        Err(e) => Err(e),
    };
    let ended = match given {
        Ok((given, dockerfile)) => {
            let (request, agents) = asked.with(given, dockerfile);
            let mut sink = Sinks::new(sink, &request);
            let start = Request::post("/wharf/build").json(&request);
            let connection = start.hijack(&context.client).await;
            // The secrets are on their way.
            drop(request);
            match connection {
                Ok(connection) => match talk(connection, &mut board, agents, &mut sink).await {
                    Ok(built) => sink.end().await.map(|()| built),
                    Err(e) => Err(e),
                },
                Err(e) => Err(e.into()),
            }
        }
        Err(e) => Err(e),
    };
    board.end(ended.is_ok(), !call.builds());
    let built = ended?;
    if !call.builds() {
        let (text, code) = call.told(&built.answer, board.warnings())?;
        output::print(&text)?;
        return match code {
            0 => Ok(()),
            code => Err(Error::Status(code)),
        };
    }
    report.write(&built, &id)?;
    if quiet && !built.image.is_empty() {
        output::line(&built.image)?;
    }
    Ok(())
}

/// Refuses builders that there are not.
fn builder(m: &Matches) -> Result {
    let named = std::env::var("BUILDX_BUILDER").unwrap_or_default();
    if m.get("builder").is_none() && !matches!(named.as_str(), "" | "default") {
        return Err(Error::msg(format!("ERROR: no builder \"{named}\" found")));
    }
    Ok(())
}

fn form(m: &Matches, quiet: bool) -> Result<Form> {
    let given = m.text("progress");
    if quiet {
        if !matches!(given.as_str(), "" | "auto" | "quiet" | "none") {
            return Err(Error::msg(format!(
                "ERROR: progress={given} and quiet cannot be used together"
            )));
        }
        return Ok(Form::Quiet);
    }
    let given = if given.is_empty() {
        std::env::var("BUILDKIT_PROGRESS").unwrap_or_default()
    } else {
        given
    };
    Form::parse(&given)
}
