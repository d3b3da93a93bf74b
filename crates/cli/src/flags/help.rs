//! Help texts in docker's layout.

use super::{Flag, Kind, switch};
use crate::verbs::{GROUPS, HIDDEN, MISSING, Verb, all};

/// Columns of text when the terminal's width is not known.
const WIDTH: usize = 80;

/// What most people use, in docker's order.
const COMMON: &[&str] = &[
    "run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version",
    "info",
];

fn left(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |s| format!("-{s}, "));
    let value = match flag.kind {
        Kind::Switch => String::new(),
        _ => format!(" {}", flag.value),
    };
    format!("  {short}--{}{value}", flag.long)
}

/// The list of `flags`, aligned and wrapped.
fn flag_list(flags: &[Flag], width: usize) -> String {
    let mut flags: Vec<&Flag> = flags.iter().filter(|f| !f.hidden).collect();
    flags.sort_by_key(|f| f.long);
    let column = flags.iter().map(|f| left(f).len()).max().unwrap_or(0) + 3;
    let room = width.saturating_sub(column).max(24);
    let mut out = String::new();
    for flag in flags {
        let mut about = flag.about.to_owned();
        if let Some(only) = flag.only {
            let values: Vec<_> = only.iter().copied().filter(|v| !v.is_empty()).collect();
            about.push_str(&match values.is_empty() {
                true => " (not supported yet)".to_owned(),
                false => format!(" (only {} is supported yet)", values.join(", ")),
            });
        }
        if !flag.default.is_empty() {
            about.push_str(&format!(" (default {})", flag.default));
        }
        let mut line = format!("{:column$}", left(flag));
        let mut used = 0;
        for word in about.split(' ') {
            if used > 0 && used + 1 + word.len() > room {
                out.push_str(line.trim_end());
                out.push('\n');
                line = " ".repeat(column);
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += word.len();
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn commands(items: &[(&str, &str)]) -> String {
    items
        .iter()
        .map(|(name, about)| format!("  {name:<11} {about}\n"))
        .collect()
}

/// `docker VERB --help`; `path` is the verb as it was called, with the program's name.
pub(crate) fn verb_help(program: &str, path: &str, verb: &Verb, width: Option<usize>) -> String {
    let usage = verb.usage.replace("docker ", &format!("{program} "));
    let usage = format!("Usage:  {path} {usage}");
    let mut out = format!("{}\n\n{}\n", usage.trim_end(), verb.about);
    if verb.names.len() > 1 {
        let names: Vec<String> = verb
            .names
            .iter()
            .map(|n| format!("{program} {n}"))
            .collect();
        out.push_str(&format!("\nAliases:\n  {}\n", names.join(", ")));
    }
    let mut flags: Vec<Flag> = verb.flags.iter().copied().flatten().copied().collect();
    if flags.iter().any(|f| f.short == Some('h')) {
        // Only there is it not to be guessed.
        flags.push(switch("help", "Print usage"));
    }
    if !flags.is_empty() {
        out.push_str("\nOptions:\n");
        out.push_str(&flag_list(&flags, width.unwrap_or(WIDTH)));
    }
    out
}

/// `docker GROUP --help`.
pub(crate) fn group_help(program: &str, group: &str) -> String {
    let about = GROUPS
        .iter()
        .find(|(name, _)| *name == group)
        .map_or("", |(_, about)| about);
    let mut items: Vec<(&str, &str)> = Vec::new();
    for verb in all().filter(|v| !HIDDEN.contains(&v.names[0])) {
        if let Some(name) = verb
            .names
            .iter()
            .find_map(|n| n.strip_prefix(group)?.strip_prefix(' '))
        {
            items.push((name, verb.about));
        }
    }
    items.sort_unstable();
    format!(
        "Usage:  {program} {group} COMMAND\n\n{about}\n\nCommands:\n{}\nRun '{program} {group} COMMAND --help' for more information on a command.\n",
        commands(&items)
    )
}

/// `docker --help`.
pub(crate) fn root_help(program: &str, globals: &[Flag], width: Option<usize>) -> String {
    let mut items: Vec<(&str, &str)> = Vec::new();
    for verb in all() {
        if let Some(name) = verb.names.iter().find(|n| !n.contains(' ')) {
            items.push((name, verb.about));
        }
    }
    if program != "docker" {
        // The program itself sees to these, before anything here.
        items.push(("daemon", "Run the engine"));
        items.push((
            "runtime",
            "Run containers as an OCI runtime, without the daemon",
        ));
    }
    items.sort_unstable();
    let common: Vec<(&str, &str)> = COMMON
        .iter()
        .filter_map(|name| items.iter().find(|(n, _)| n == name).copied())
        .collect();
    items.retain(|(name, _)| !COMMON.contains(name));
    let missing: Vec<&str> = MISSING
        .iter()
        .copied()
        .filter(|n| !n.contains(' '))
        .collect();
    let mut not_yet = String::new();
    let mut line = String::from(" ");
    for name in missing {
        if line.len() + name.len() + 2 > WIDTH {
            not_yet.push_str(&line);
            not_yet.push('\n');
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(name);
    }
    not_yet.push_str(&line);
    format!(
        "Usage:  {program} [OPTIONS] COMMAND\n\nRuns and manages containers\n\nCommon Commands:\n{}\nManagement Commands:\n{}\nCommands:\n{}\nNot Supported Yet:\n{not_yet}\n\nGlobal Options:\n{}\nRun '{program} COMMAND --help' for more information on a command.\n",
        commands(&common),
        commands(GROUPS),
        commands(&items),
        flag_list(globals, width.unwrap_or(WIDTH)),
    )
}
