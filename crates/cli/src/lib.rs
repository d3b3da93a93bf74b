//! The command line: docker's verbs, flags, output and exit codes, by the Docker Engine API.
//!
//! A plain client without a side door: it works against every daemon that speaks the API, and
//! does nothing that another client could not do. `run` of a container that does nothing should
//! cost a few milliseconds here, so nothing is done that is not needed: one thread, no request
//! to find the version, no configuration read ahead.

mod build;
mod client;
mod complete;
mod config;
mod contexts;
mod error;
mod flags;
mod format;
mod globals;
mod progress;
mod tty;
mod verbs;

use std::{ffi::OsString, process::ExitCode};

use error::{Error, Result};
use flags::Matches;
use verbs::{Context, Verb};

/// Runs the CLI under the name `program` (`wharf` or `docker`) with `args`, the arguments behind
/// it. Standard streams are the process's own.
pub fn main(program: &str, args: Vec<OsString>) -> ExitCode {
    let result = texts(args).and_then(|args| dispatch(program, &args));
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    match &error {
        Error::Status(_) => {}
        Error::Usage { text, .. } => format::output::complain(text),
        Error::Run { text, .. } => format::output::complain(text),
        Error::Message(text) => format::output::complain(text),
        Error::Client(e) => format::output::complain(&e.to_string()),
    }
    ExitCode::from(error.code())
}

const SHORT_HELP: &str = "Flag shorthand -h has been deprecated, use --help";

fn texts(args: Vec<OsString>) -> Result<Vec<String>> {
    args.into_iter()
        .map(|arg| {
            arg.into_string().map_err(|arg| {
                Error::msg(format!(
                    "argument {arg:?} is not UTF-8, and the API takes only that"
                ))
            })
        })
        .collect()
}

fn usage(text: &str, path: &str, line: &str) -> Error {
    Error::Usage {
        text: format!(
            "{text}\n\nUsage:  {path} {line}\n\nRun '{path} --help' for more information"
        ),
        code: 125,
    }
}

fn width() -> Option<usize> {
    tty::is_terminal(std::io::stdout())
        .then(|| tty::size().map(|(_, columns)| usize::from(columns)))
        .flatten()
}

fn dispatch(program: &str, args: &[String]) -> Result {
    if args.first().is_some_and(|verb| verb == client::ssh::VERB) {
        return Err(client::ssh::become_ssh(&args[1..]));
    }
    if let Some(verb) = args
        .first()
        .filter(|v| complete::VERBS.contains(&v.as_str()))
    {
        return complete::answer(verb, &args[1..]);
    }
    let globals = flags::parse(&[globals::FLAGS], false, args)
        .map_err(|e| usage(&e, program, "[OPTIONS] COMMAND [ARG...]"))?;
    if let Some(text) = globals::complaint(&globals) {
        return Err(Error::msg(text));
    }
    if globals.on("version") {
        return format::output::line(&format!(
            "{} version {}",
            if program == "docker" {
                "Docker"
            } else {
                program
            },
            env!("CARGO_PKG_VERSION")
        ));
    }
    let rest = globals.args.as_slice();
    if rest.is_empty() {
        if globals.short_help {
            format::output::complain(SHORT_HELP);
        }
        let text = flags::root_help(program, globals::FLAGS, width());
        return help_text(&text, globals.help);
    }
    let mut rest = rest.to_vec();
    let mut help = globals.help;
    if rest[0] == "help" {
        rest.remove(0);
        help = true;
        if rest.is_empty() {
            return format::output::print(&flags::root_help(program, globals::FLAGS, width()));
        }
    }
    if help {
        rest.push("--help".to_owned());
    }
    let (verb, name, args) = find(program, &rest)?;
    let Some(verb) = verb else {
        let asked = rest.len() > 1;
        return help_text(&flags::group_help(program, &name), asked);
    };
    let path = format!("{program} {name}");
    let matches = operands(program, &path, verb, args)?;
    let Some(matches) = matches else {
        return Ok(());
    };
    run(program, path, verb, &globals, matches)
}

/// Shows a help text: on standard output to who asked for it, on standard error to who forgot
/// the verb.
fn help_text(text: &str, asked: bool) -> Result {
    if asked {
        format::output::print(text)
    } else {
        format::output::complain(text.trim_end());
        Ok(())
    }
}

/// Finds the verb that `words` begin with; none for a group's name alone. Also its name as called,
/// and what is behind it.
fn find<'a>(
    program: &str,
    words: &'a [String],
) -> Result<(Option<&'static Verb>, String, &'a [String])> {
    let first = words[0].as_str();
    let named = |name: &str| verbs::all().find(|v| v.names.contains(&name));
    let missing = |name: &str| {
        verbs::MISSING
            .contains(&name)
            .then(|| Error::msg(format!("{program}: '{name}' is not supported yet")))
    };
    if !verbs::GROUPS.iter().any(|(group, _)| *group == first) {
        if let Some(verb) = named(first) {
            return Ok((Some(verb), first.to_owned(), &words[1..]));
        }
        return Err(missing(first).unwrap_or_else(|| {
            Error::msg(format!(
                "{program}: unknown command: {program} {first}\n\nRun '{program} --help' for more information"
            ))
        }));
    }
    let Some(second) = words.get(1).filter(|w| *w != "--help" && *w != "-h") else {
        return Ok((None, first.to_owned(), &[]));
    };
    let name = format!("{first} {second}");
    if let Some(verb) = named(&name) {
        return Ok((Some(verb), name, &words[2..]));
    }
    if second.starts_with('-') {
        let flag = second.trim_start_matches('-');
        return Err(usage(
            &format!("unknown flag: --{flag}"),
            &format!("{program} {first}"),
            "COMMAND",
        ));
    }
    if words.contains(&"--help".to_owned()) && missing(&name).is_none() {
        return Ok((None, first.to_owned(), &[]));
    }
    Err(missing(&name).unwrap_or_else(|| {
        Error::msg(format!(
            "{program}: unknown command: {program} {name}\n\nUsage:  {program} {first}\n\nRun '{program} {first} --help' for more information"
        ))
    }))
}

/// Reads the verb's own flags and operands. `None` when help was asked for, and shown.
fn operands(program: &str, path: &str, verb: &Verb, args: &[String]) -> Result<Option<Matches>> {
    let matches =
        flags::parse(verb.flags, verb.mixed, args).map_err(|e| usage(&e, path, verb.usage))?;
    if matches.help {
        if matches.short_help {
            format::output::complain(SHORT_HELP);
        }
        format::output::print(&flags::verb_help(program, path, verb, width()))?;
        return Ok(None);
    }
    if let Some((text, hint)) = verb.args.complaint(matches.args.len()) {
        return Err(Error::msg(format!(
            "{program}: '{path}' {text}\n\nUsage:  {path} {}\n\n{hint} '{path} --help' for more information",
            verb.usage
        )));
    }
    Ok(Some(matches))
}

fn run(program: &str, path: String, verb: &Verb, globals: &Matches, matches: Matches) -> Result {
    let daemon = if program == "docker" {
        "Docker daemon"
    } else {
        "wharf daemon"
    };
    let config = config::ConfigFile::new(globals.get("config"));
    let chosen = contexts::choose(globals, &config)?;
    let endpoint = if verb.names[0].starts_with("context ") {
        // These must work where the chosen context does not.
        client::Endpoint {
            host: client::DEFAULT_HOST.to_owned(),
            tls: None,
        }
    } else {
        contexts::endpoint(&chosen, globals, &config)?
    };
    let debug = globals::debug(globals);
    let client = client::Client::new(&endpoint, daemon, config.headers(), debug)?;
    let context = Context {
        path,
        client,
        chosen,
        config,
        debug,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::msg(format!("cannot start: {e}")))?;
    let result = runtime.block_on((verb.run)(&context, matches));
    // A read of standard input may still wait in its thread; it must not keep us.
    runtime.shutdown_background();
    result.map_err(|error| match error {
        Error::Run { text, code } => Error::Run {
            text: format!(
                "{program}: {text}\n\nRun '{} --help' for more information",
                context.path
            ),
            code,
        },
        other => other,
    })
}

impl Context {
    /// The keys that detach, by flag or configuration; empty for the usual ones.
    fn detach_keys(&self, m: &Matches) -> Result<String> {
        match m.get("detach-keys") {
            Some(keys) => Ok(keys.to_owned()),
            None => Ok(self.config.text("detachKeys")),
        }
    }
}
