//! `RUN`.

use std::{
    collections::BTreeMap,
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use dockerfile::{Command as Form, Heredoc, Mount, MountKind, Patterns, Run, Sharing};
use image::Step;
use serde_json::{Value, json};

use crate::{
    caches::CacheGuard,
    error::{Error, Result},
    keys, meta,
    mounts::{AgentSocket, Stubs},
    place::{Attributes, Place},
    plan::{self, Origin},
    select::{self, Rules, clean},
    session::Running,
    stage::StageRun,
    temp::TempDir,
    tree::{Node, Tree},
    worker::{Command, MountSource, StepMount, StepNetwork},
};

/// Where secrets are, if nothing else is said.
const SECRETS: &str = "/run/secrets";
/// A secret's name in the file system that it is in.
const SECRET: &str = "secret";

/// What has to live as long as the command runs.
#[derive(Default)]
struct Keep {
    /// By their identifiers.
    caches: BTreeMap<String, CacheGuard>,
    steps: Vec<Step>,
    agents: Vec<AgentSocket>,
    dirs: Vec<TempDir>,
}

/// Runs a command; answers whether it came from the cache.
pub(crate) fn run(run: &mut StageRun<'_, '_>, what: &Run, source: &str) -> Result<bool> {
    let script = what.script().filter(|s| s.content.starts_with("#!"));
    let argv = argv(run, what);
    let network = network(run, what)?;
    let insecure = insecure(run, what)?;
    let (env, hidden) = run.environment();
    let mut mounts = Vec::new();
    for mount in &what.mounts {
        mounts.push(expanded(run, mount)?);
    }
    let keys: Vec<Value> = mounts
        .iter()
        .map(|m| mount_key(run, m))
        .collect::<Result<_>>()?;
    let inputs = json!({
        "argv": argv, "script": script.is_some(), "env": env, "user": run.draft.config.user,
        "cwd": run.draft.config.working_dir, "mounts": keys,
        "network": format!("{network:?}"), "insecure": insecure,
        "hosts": run.solver.request.extra_hosts,
        "hostname": run.solver.request.build_args.get("BUILDKIT_SANDBOX_HOSTNAME"),
        "platform": run.planned.platform.to_string(),
    });
    let key = keys::key("run", &run.draft.base(), inputs, run.solver.epoch);
    let title = run.title(source);
    let created_by = created_by(run, &argv);
    let layers = run.draft.layers.len();
    let cached = run.layer(&key, title, created_by, |run, running, step| {
        let mut keep = Keep::default();
        let mut given = Vec::new();
        let mut env = [env, hidden].concat();
        take_caches(run, &mounts, &mut keep)?;
        for mount in &mounts {
            given.extend(prepare(run, mount, &mut keep, &mut env)?);
        }
        let mut argv = argv;
        let text = argv.join(" ");
        if let Some(script) = script {
            let (mount, path) = program(run, script, &mut keep)?;
            given.push(mount);
            argv = vec![path];
        }
        let working_dir = match run.draft.config.working_dir.as_str() {
            "" => "/".to_owned(),
            dir => dir.to_owned(),
        };
        let root = step.mount()?;
        let targets = given.iter().map(|m| m.target.as_str());
        let stubs = Stubs::look(root.as_fd(), targets)?;
        drop(root);
        let command = Command {
            id: step.id(),
            argv,
            env,
            user: run.draft.config.user.clone(),
            working_dir,
            network,
            insecure,
            mounts: given,
            platform: &run.draft.platform,
            request: run.solver.request,
        };
        let cancel = &run.solver.session.cancel;
        let output = |stream, bytes: &[u8]| running.log(stream, bytes);
        let ended = run.solver.builder.worker.run(command, &output, cancel)?;
        run.solver.session.check()?;
        if ended.code != 0 {
            return Err(failed(running, text, ended.code, ended.out_of_memory));
        }
        let root = step.mount()?;
        stubs.remove(root.as_fd(), &step.upper())
    })?;
    if run.draft.layers.len() == layers {
        run.draft.silent.push(key.to_string());
    }
    Ok(cached)
}

/// A document that is a program of its own: its file, and where that is.
fn program(
    run: &StageRun<'_, '_>,
    script: &Heredoc,
    keep: &mut Keep,
) -> Result<(StepMount, String)> {
    let dir = run.solver.builder.temp_dir()?;
    let host = dir.path().join("program");
    std::fs::write(&host, &script.content)
        .and_then(|()| std::fs::set_permissions(&host, std::fs::Permissions::from_mode(0o755)))
        .map_err(Error::io("write a program of the Dockerfile"))?;
    keep.dirs.push(dir);
    let path = format!("/dev/pipes/{}", script.name);
    let mount = StepMount {
        target: path.clone(),
        source: MountSource::Path(host),
        read_only: true,
    };
    Ok((mount, path))
}

fn failed(running: &Running<'_>, command: String, code: i32, out_of_memory: bool) -> Error {
    if out_of_memory {
        let text = b"the kernel ended the command for want of memory\n";
        running.log(types::options::StdStream::Err, text);
    }
    Error::Command {
        command,
        code,
        place: String::new(),
    }
}

/// Program and arguments.
fn argv(run: &StageRun<'_, '_>, what: &Run) -> Vec<String> {
    let config = &run.draft.config;
    match (&what.command, what.shell_text()) {
        (Form::Exec(argv), _) => argv.clone(),
        (Form::Shell(_), Some(text)) => meta::argv(&Form::Shell(text), config),
        (Form::Shell(text), None) => meta::argv(&Form::Shell(text.clone()), config),
    }
}

/// `RUN |1 VERSION=2 /bin/sh -c make # buildkit`.
fn created_by(run: &StageRun<'_, '_>, argv: &[String]) -> String {
    let args = run.args.all();
    let mut text = "RUN".to_owned();
    if !args.is_empty() {
        text = format!("{text} |{}", args.len());
        for (name, value) in args {
            text = format!("{text} {name}={value}");
        }
    }
    format!("{text} {} # buildkit", argv.join(" "))
}

fn network(run: &StageRun<'_, '_>, what: &Run) -> Result<StepNetwork> {
    let request = run.solver.request;
    let allowed = |what: &str| request.allow.iter().any(|a| a == what);
    match what.network.as_deref().unwrap_or("default") {
        "none" => return Ok(StepNetwork::None),
        "host" if allowed("network.host") || request.network == "host" => {
            return Ok(StepNetwork::Host);
        }
        "host" => {
            return Err(Error::invalid(
                "granting entitlement network.host is not allowed by this build: give --allow \
                 network.host",
            ));
        }
        _ => {}
    }
    match request.network.as_str() {
        "" | "default" | "bridge" => Ok(StepNetwork::Default),
        "none" => Ok(StepNetwork::None),
        "host" => Ok(StepNetwork::Host),
        other if other.starts_with("container:") => Err(Error::invalid(format!(
            "network mode \"{other}\" is not supported for builds: use default, none, host or a \
             network of your own"
        ))),
        own => Ok(StepNetwork::Own(own.to_owned())),
    }
}

fn insecure(run: &StageRun<'_, '_>, what: &Run) -> Result<bool> {
    if what.security.as_deref() != Some("insecure") {
        return Ok(false);
    }
    if run
        .solver
        .request
        .allow
        .iter()
        .any(|a| a == "security.insecure")
    {
        return Ok(true);
    }
    Err(Error::invalid(
        "granting entitlement security.insecure is not allowed by this build: give --allow \
         security.insecure",
    ))
}

/// The mount with its words expanded.
fn expanded(run: &StageRun<'_, '_>, mount: &Mount) -> Result<Mount> {
    mount
        .expanded(run.escape(), &run.scope())
        .map_err(Error::invalid)
}

fn target(run: &StageRun<'_, '_>, mount: &Mount) -> Result<String> {
    match mount.target.as_deref() {
        Some(target) if !target.is_empty() => Ok(format!("/{}", run.absolute(target))),
        _ => Err(Error::invalid("missing mount target: give target=")),
    }
}

/// An identifier of a cache: its own or its target.
fn cache_id(run: &StageRun<'_, '_>, mount: &Mount) -> Result<String> {
    match mount.id.as_deref() {
        Some(id) if !id.is_empty() => Ok(id.to_owned()),
        _ => target(run, mount),
    }
}

fn origin(run: &StageRun<'_, '_>, mount: &Mount) -> Result<Origin> {
    let origin = match &mount.from {
        Some(name) if name == "scratch" => Origin::Scratch,
        Some(name) => plan::from(run.solver.plan.file, run.index, name, run.solver.request),
        None => Origin::Context,
    };
    plan::before(
        &origin,
        mount.from.as_deref().unwrap_or_default(),
        run.index,
    )?;
    Ok(origin)
}

/// What of a mount belongs to the step's key: contents of binds, never those of secrets.
fn mount_key(run: &StageRun<'_, '_>, mount: &Mount) -> Result<Value> {
    let kind = format!("{:?}", mount.kind);
    let target = mount.target.as_deref().unwrap_or_default();
    Ok(match mount.kind {
        MountKind::Bind => {
            let tree = run
                .solver
                .tree(&origin(run, mount)?, &run.planned.platform)?;
            let exclude = Patterns::new(&[]).map_err(Error::invalid)?;
            let rules = Rules {
                parents: false,
                literal: true,
                exclude: &exclude,
            };
            let source = mount.source.as_deref().unwrap_or("/");
            let digest = select::digest(&tree, &select::select(&tree, source, rules)?)?;
            json!([kind, target, digest.to_string(), mount.readonly])
        }
        MountKind::Cache => json!([kind, target, cache_id(run, mount)?]),
        MountKind::Tmpfs => json!([kind, target, mount.size, mount.readonly]),
        MountKind::Secret => json!([kind, target, mount.id, mount.env]),
        MountKind::Ssh => json!([kind, target, mount.id]),
    })
}

/// Makes a mount ready.
fn prepare(
    run: &StageRun<'_, '_>,
    mount: &Mount,
    keep: &mut Keep,
    env: &mut Vec<String>,
) -> Result<Option<StepMount>> {
    match mount.kind {
        MountKind::Bind => bind(run, mount, keep).map(Some),
        MountKind::Cache => cache(run, mount, keep).map(Some),
        MountKind::Tmpfs => {
            // Programs may be built there, and run.
            let mut options = "exec,dev".to_owned();
            if mount.readonly == Some(true) {
                options.push_str(",ro");
            }
            if let Some(size) = mount.size {
                options = format!("{options},size={size}");
            }
            Ok(Some(StepMount {
                target: target(run, mount)?,
                source: MountSource::Tmpfs(options),
                read_only: false,
            }))
        }
        MountKind::Secret => secret(run, mount, env),
        MountKind::Ssh => ssh(run, mount, keep, env),
    }
}

fn bind(run: &StageRun<'_, '_>, mount: &Mount, keep: &mut Keep) -> Result<StepMount> {
    let target = target(run, mount)?;
    let read_only = mount.readonly.unwrap_or(true);
    let source = mount.source.as_deref().unwrap_or("/");
    let solver = run.solver;
    let from = origin(run, mount)?;
    let tree = solver.tree(&from, &run.planned.platform)?;
    let found = tree.resolve(&clean(source), true)?;
    let (path, _) = found
        .ok_or_else(|| Error::invalid(format!("bind mount: source \"{source}\" is not there")))?;
    if let Tree::Mount(_) = tree {
        let (layers, held) = solver.layers(&from, &run.planned.platform)?;
        // Of its own, so that what is written there goes nowhere.
        let step = solver.builder.store.step(&types::id::generate(), &layers)?;
        drop(held);
        let root = step.mount()?;
        keep.steps.push(step);
        return Ok(StepMount {
            target,
            source: MountSource::Detached(root, PathBuf::from(path)),
            read_only,
        });
    }
    // Of a context there are only contents: it gets its form for this command.
    let dir = solver.builder.temp_dir()?;
    let root =
        std::fs::File::open(dir.path()).map_err(Error::io("open the directory of a bind mount"))?;
    let exclude = Patterns::new(&[]).map_err(Error::invalid)?;
    let rules = Rules {
        parents: false,
        literal: true,
        exclude: &exclude,
    };
    let selected = select::select(&tree, &path, rules)?;
    let mut place = Place::new(root.as_fd(), &solver.session.cancel);
    for selected in &selected {
        place.all(&tree, selected, "", &Attributes::default())?;
    }
    place.finish()?;
    let mut host = dir.path().to_owned();
    if let [selected] = selected.as_slice()
        && selected.single
        && let [item] = selected.items.as_slice()
    {
        host.push(&item.place);
    }
    keep.dirs.push(dir);
    Ok(StepMount {
        target,
        source: MountSource::Path(host),
        read_only,
    })
}

/// Takes all caches of a command in the order of their identifiers, each once: who takes several
/// never waits for another who waits for it.
fn take_caches(run: &StageRun<'_, '_>, mounts: &[Mount], keep: &mut Keep) -> Result<()> {
    let mut wanted = BTreeMap::new();
    for mount in mounts.iter().filter(|m| m.kind == MountKind::Cache) {
        let own = mount.sharing.unwrap_or(Sharing::Shared);
        let sharing = wanted.entry(cache_id(run, mount)?).or_insert(own);
        if own == Sharing::Locked {
            *sharing = own;
        }
    }
    // What a new one begins with, before any is taken: to have it may mean to wait for a stage that
    // waits for one of them.
    let mut trees = BTreeMap::new();
    for mount in mounts
        .iter()
        .filter(|m| m.kind == MountKind::Cache && m.from.is_some())
    {
        let tree = run
            .solver
            .tree(&origin(run, mount)?, &run.planned.platform)?;
        trees.entry(cache_id(run, mount)?).or_insert(tree);
    }
    let solver = run.solver;
    for (id, sharing) in wanted {
        let cancel = &solver.session.cancel;
        let guard = solver.builder.caches.take(&id, sharing, cancel)?;
        if guard.is_new() {
            let mut own = mounts.iter().filter(|m| m.kind == MountKind::Cache);
            if let Some(first) = own.find(|m| cache_id(run, m).is_ok_and(|other| other == id)) {
                if let Some(tree) = trees.get(&id) {
                    fill(
                        run,
                        tree,
                        first.source.as_deref().unwrap_or("/"),
                        guard.data(),
                    )?;
                }
                let mode = first.mode.unwrap_or(0o755);
                guard.made(mode, first.uid.unwrap_or(0), first.gid.unwrap_or(0))?;
            }
        }
        keep.caches.insert(id, guard);
    }
    Ok(())
}

fn cache(run: &StageRun<'_, '_>, mount: &Mount, keep: &Keep) -> Result<StepMount> {
    let id = cache_id(run, mount)?;
    let guard = keep
        .caches
        .get(&id)
        .ok_or_else(|| Error::invalid("a cache mount was not taken"))?;
    Ok(StepMount {
        target: target(run, mount)?,
        source: MountSource::Path(guard.data().to_owned()),
        read_only: mount.readonly.unwrap_or(false),
    })
}

/// Copies what a new cache begins with.
fn fill(run: &StageRun<'_, '_>, tree: &Tree, source: &str, to: &Path) -> Result<()> {
    let found = tree.resolve(&clean(source), true)?;
    if found.is_none_or(|(_, meta)| meta.node != Node::Dir) {
        return Err(Error::invalid(format!(
            "cache mount: source \"{source}\" is no directory"
        )));
    }
    let root = std::fs::File::open(to).map_err(Error::io("open a cache mount"))?;
    let exclude = Patterns::new(&[]).map_err(Error::invalid)?;
    let rules = Rules {
        parents: false,
        literal: true,
        exclude: &exclude,
    };
    let mut place = Place::new(root.as_fd(), &run.solver.session.cancel);
    for selected in select::select(tree, source, rules)? {
        place.all(tree, &selected, "", &Attributes::default())?;
    }
    place.finish()
}

fn secret(
    run: &StageRun<'_, '_>,
    mount: &Mount,
    env: &mut Vec<String>,
) -> Result<Option<StepMount>> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let id = match (&mount.id, &mount.source, &mount.target, &mount.env) {
        (Some(id), ..) if !id.is_empty() => id.clone(),
        (_, Some(source), ..) => source.clone(),
        (_, _, Some(target), _) => name(target),
        (.., Some(env)) => env.clone(),
        _ => return Err(Error::invalid("invalid secret mount: give it an id")),
    };
    let secrets = &run.solver.request.secrets;
    let Some(secret) = secrets.iter().find(|s| s.id == id) else {
        if mount.required {
            return Err(Error::invalid(format!(
                "secret {id}: not found: give --secret id={id},src=…"
            )));
        }
        return Ok(None);
    };
    let bytes = STANDARD
        .decode(&secret.value)
        .map_err(|_| Error::invalid(format!("secret {id} is not base64")))?;
    if let Some(variable) = &mount.env {
        let text = String::from_utf8_lossy(&bytes);
        crate::vars::set_env(env, variable, &text);
        if mount.target.is_none() {
            return Ok(None);
        }
    }
    let target = match mount.target.as_deref() {
        Some(target) if !target.is_empty() => format!("/{}", run.absolute(target)),
        _ => format!("{SECRETS}/{}", name(&id)),
    };
    let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
    let mode = mount.mode.unwrap_or(0o400);
    let file = sys::namespace::detached_file(SECRET, &bytes, mode, owner)
        .map_err(Error::io("put a secret into memory"))?;
    Ok(Some(StepMount {
        target,
        source: MountSource::Detached(file, PathBuf::from(SECRET)),
        read_only: true,
    }))
}

fn ssh(
    run: &StageRun<'_, '_>,
    mount: &Mount,
    keep: &mut Keep,
    env: &mut Vec<String>,
) -> Result<Option<StepMount>> {
    let id = mount.id.clone().filter(|id| !id.is_empty());
    let id = id.unwrap_or_else(|| "default".to_owned());
    if !run.solver.request.ssh.contains(&id) {
        if mount.required {
            return Err(Error::invalid(format!(
                "unset ssh forward key {id}: give --ssh {id}"
            )));
        }
        return Ok(None);
    }
    let target = match mount.target.as_deref() {
        Some(target) if !target.is_empty() => format!("/{}", run.absolute(target)),
        _ => format!("/run/buildkit/ssh_agent.{}", keep.agents.len()),
    };
    let dir = run.solver.builder.temp_dir()?;
    let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
    let mode = mount.mode.unwrap_or(0o600);
    let listener = Arc::clone(&run.solver.session.listener);
    let socket = AgentSocket::new(&id, dir.path(), mode, owner, listener)?;
    let path = socket.path().to_owned();
    keep.agents.push(socket);
    keep.dirs.push(dir);
    // The first one's, and not instead of what the image says.
    if !env.iter().any(|pair| pair.starts_with("SSH_AUTH_SOCK=")) {
        crate::vars::set_env(env, "SSH_AUTH_SOCK", &target);
    }
    Ok(Some(StepMount {
        target,
        source: MountSource::Path(path),
        read_only: false,
    }))
}
