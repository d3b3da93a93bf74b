//! `wharf runtime`: the command line of an OCI runtime, as runc has made it known, so that whoever
//! starts containers through one can start them through wharf.
//!
//! A process of it does one thing and ends; what lasts is in the state directory
//! ([`super::state`]). It has one thread and is run from a sealed memory file.

mod args;
mod commands;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod freeze;
mod group;
mod help;
mod inspect;
mod kill;
mod list;
mod log;
mod options;
mod owner;
mod signal;
mod spec;
mod update;

use std::{
    ffi::OsString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use self::{
    args::Given,
    commands::{COMMANDS, Command, REFUSED},
    log::Log,
    options::GLOBAL,
};
use super::{Error, Result, cgroup::Driver, state::Store};

/// What the program calls itself.
const NAME: &str = "wharf-runtime";

/// The newest version of the OCI specification that is followed.
const SPEC_VERSION: &str = "1.2.1";

/// What was said before the command, and how to tell of what happens.
#[derive(Debug)]
struct Global {
    store: Store,
    log: Log,
    driver: Driver,
    rootless: bool,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).collect::<Vec<_>>();
    let result = begin(&mut words).and_then(|(global, first)| {
        let Some(global) = global else {
            return Ok(0);
        };
        dispatch(&global, &first).map_err(|e| {
            global.log.fatal(&e.to_string());
            None
        })
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(None) => ExitCode::FAILURE,
        Err(Some(problem)) => {
            Log::stderr().fatal(&problem);
            ExitCode::FAILURE
        }
    }
}

/// Reads the global options; nothing is left to do if there is no [`Global`] in what it returns.
fn begin(words: &mut Vec<OsString>) -> Result<(Option<Global>, Vec<OsString>), Option<String>> {
    let given = args::parse(words.drain(..), GLOBAL, true).map_err(Some)?;
    if given.on("version") {
        print(&version());
        return Ok((None, Vec::new()));
    }
    if given.on("help") || given.args.is_empty() {
        print(&help::program());
        return Ok((None, Vec::new()));
    }
    let rootless = match given.text("rootless")? {
        None | Some("auto") => is_rootless(),
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            return Err(Some(format!(
                "invalid value {other:?} for -rootless: auto, true or false"
            )));
        }
    };
    let json = match given.text("log-format")? {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => {
            return Err(Some(format!("invalid log-format {other:?}: text or json")));
        }
    };
    let log = Log::open(given.path("log").as_deref(), json, given.on("debug"))?;
    let store = Store::new(root(given.path("root")).map_err(|e| Some(e.to_string()))?);
    let global = Global {
        store,
        log,
        driver: if given.on("systemd-cgroup") {
            Driver::Systemd
        } else {
            Driver::Cgroupfs
        },
        rootless,
    };
    Ok((Some(global), given.args))
}

/// Finds the command and runs it.
fn dispatch(global: &Global, words: &[OsString]) -> Result<u8> {
    let (name, rest) = words
        .split_first()
        .unwrap_or((const { &OsString::new() }, &[]));
    let name = name.to_string_lossy();
    if name == "help" || name == "h" {
        return Ok(
            match rest.first().and_then(|n| find(&n.to_string_lossy())) {
                Some(command) => print(&help::command(command)),
                None => print(&help::program()),
            },
        );
    }
    if let Some((_, why)) = REFUSED.iter().find(|(n, _)| *n == name) {
        return Err(Error::Unsupported(format!("{name}: {why}")));
    }
    let Some(command) = find(&name) else {
        return Err(Error::State(format!("no such command: {name:?}")));
    };
    let given = args::parse(rest.iter().cloned(), command.options, command.ordered)
        .map_err(|e| usage(command, &e))?;
    if given.on("help") {
        return Ok(print(&help::command(command)));
    }
    if !command.arity.contains(&given.args.len()) {
        let expected = match command.usage {
            "" => "no arguments",
            usage => usage,
        };
        let problem = format!(
            "{NAME} {name}: {} argument(s) given; it takes {expected}",
            given.args.len()
        );
        return Err(usage(command, &problem));
    }
    run(global, command.name, &given)
}

fn run(global: &Global, command: &str, given: &Given) -> Result<u8> {
    match command {
        "create" => create::create(global, given),
        "start" => create::start(global, given),
        "run" => create::run(global, given),
        "exec" => exec::exec(global, given),
        "kill" => kill::kill(global, given),
        "delete" => delete::delete(global, given),
        "state" => inspect::state(global, given),
        "list" => list::list(global, given),
        "ps" => inspect::ps(global, given),
        "pause" => freeze::pause(global, given),
        "resume" => freeze::resume(global, given),
        "update" => update::update(global, given),
        "events" => events::events(global, given),
        "features" => Ok(features::features()),
        "spec" => spec::spec(given),
        _ => Err(Error::State(format!("no such command: {command:?}"))),
    }
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.name == name)
}

/// A wrong use: the help goes where people look, and not into the log.
fn usage(command: &Command, problem: &str) -> Error {
    eprint!("Incorrect Usage. {problem}\n\n{}", help::command(command));
    Error::State(problem.to_owned())
}

/// The container's name among the arguments.
fn id(given: &Given) -> Result<String> {
    let words = given.words(0).map_err(Error::State)?;
    let id = words.into_iter().next().unwrap_or_default();
    super::state::check_id(&id)?;
    Ok(id)
}

/// The lines that Podman, containerd and Docker read the version from.
fn version() -> String {
    format!(
        "{NAME} version {}\nspec: {SPEC_VERSION}\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Whether cgroups and mappings of others are likely to be refused: no root, or root of a user
/// namespace only.
fn is_rootless() -> bool {
    !rustix::process::geteuid().is_root() || in_user_namespace()
}

/// In the first user namespace every number means itself.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let words: Vec<&str> = map.split_whitespace().collect();
    !matches!(words[..], [] | ["0", "0", "4294967295"])
}

/// Where states are kept.
fn root(given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(root) = given {
        return std::path::absolute(&root)
            .map_err(|e| Error::State(format!("--root {}: {e}", root.display())));
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.as_bytes().is_empty());
    match own {
        Some(dir) if is_rootless() => Ok(Path::new(&dir).join(NAME)),
        _ => Ok(Path::new("/run").join(NAME)),
    }
}

/// Prints an answer. Whoever asked may have gone; that is no reason to panic.
fn print(text: &str) -> u8 {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    u8::from(
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err(),
    )
}

/// Prints a value as JSON on lines of its own, as runc does.
fn print_json(value: &serde_json::Value) -> u8 {
    // A value has only keys that are text, so this cannot fail.
    print(&format!("{value:#}\n"))
}
