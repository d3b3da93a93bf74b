//! Our verbs and flags beside those of docker's own help.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use testkit::{run, wharf_bin};

/// The groups that are to be complete.
const GROUPS: &[&str] = &[
    "container",
    "image",
    "manifest",
    "network",
    "system",
    "context",
    "volume",
];

/// Docker's verbs that we do not have, and why.
const LATER: &[(&str, &str)] = &[
    ("checkpoint", "its endpoints are refused"),
    ("compose", "a program of its own"),
    ("plugin", "plugins are a part of their own"),
    ("config", "clusters are a part of their own"),
    ("node", "clusters are a part of their own"),
    ("secret", "clusters are a part of their own"),
    ("service", "clusters are a part of their own"),
    ("stack", "clusters are a part of their own"),
    ("swarm", "clusters are a part of their own"),
    ("trust", "Docker itself has given it up"),
    // Not merged yet where this test was written: they are compared as soon as they are there.
    ("image push", "uploads"),
    ("push", "uploads"),
    ("login", "registries"),
    ("logout", "registries"),
    ("search", "registries"),
];

/// What of ours docker does not have: for those who write it anyway.
const OURS: &[(&str, &str)] = &[
    ("", "buildx"),
    ("", "completion"),
    ("", "daemon"),
    ("", "firewall"),
    ("", "registry"),
    ("", "runtime"),
    ("system", "gc"),
    ("volume", "clone"),
    ("volume", "export"),
    ("volume", "import"),
    ("volume", "snapshot"),
];

/// Where docker's help is that of the builder of old, and ours is buildx's: it has those flags, too.
const BUILDS: &[&str] = &["build", "image build"];

fn help(program: &Path, verb: &str) -> String {
    let mut command = Command::new(program);
    command.args(verb.split_whitespace()).arg("--help");
    command.env("DOCKER_CONFIG", "/nonexistent");
    run(&mut command).ok()
}

/// The names in the lists of commands.
fn commands(help: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in help.lines() {
        if let Some(name) = line.strip_prefix("  ").filter(|_| inside) {
            // What a daemon that is not there cannot do is marked.
            let name = name.split_whitespace().next().unwrap_or_default();
            names.extend((!name.is_empty()).then(|| name.trim_end_matches('*').to_owned()));
        } else if !line.is_empty() {
            inside = line.ends_with("Commands:");
        }
    }
    names
}

/// Shorthand and type of each flag.
fn flags(help: &str) -> BTreeMap<String, (String, String)> {
    let options = help.split_once("\nOptions:\n").map_or("", |(_, o)| o);
    let lines = options.lines().take_while(|line| !line.is_empty());
    let mut flags = BTreeMap::new();
    for line in lines {
        let Some((short, rest)) = line.split_once("--") else {
            continue;
        };
        if short.len() != 6 {
            // The text of the line before.
            continue;
        }
        let left = rest.split("  ").next().unwrap_or_default();
        let (name, kind) = left.split_once(' ').unwrap_or((left, ""));
        let short = short.trim().trim_end_matches(',').to_owned();
        flags.insert(name.to_owned(), (short, kind.to_owned()));
    }
    flags
}

/// What stands behind a title, up to an empty line; under docker's name.
fn section(help: &str, title: &str) -> String {
    let text = help.split_once(title).map_or("", |(_, text)| text);
    let text = text.split("\n\n").next().unwrap_or_default();
    text.replace("wharf", "docker").trim().to_owned()
}

#[test]
fn are_all_there() {
    let docker = Path::new("docker");
    let version = run(Command::new(docker).arg("--version")).ok();
    if !version.contains(" version 28.") {
        eprintln!("compared with 28 only, and this is {version}");
        return;
    }
    let wharf = wharf_bin();
    let mut verbs: Vec<String> = Vec::new();
    let mut wrong = Vec::new();
    let later = |verb: &str| LATER.iter().any(|(name, _)| *name == verb);
    for group in std::iter::once("").chain(GROUPS.iter().copied()) {
        let (theirs, ours) = (
            commands(&help(docker, group)),
            commands(&help(&wharf, group)),
        );
        for name in theirs {
            let verb = format!("{group} {name}").trim().to_owned();
            if !ours.contains(&name) {
                if !later(&verb) {
                    wrong.push(format!("no `{verb}`"));
                }
            } else if !GROUPS.contains(&verb.as_str()) {
                verbs.push(verb);
            }
        }
        for name in ours {
            let known = commands(&help(docker, group)).contains(&name);
            if !known && !OURS.contains(&(group, name.as_str())) && !later(&name) {
                wrong.push(format!("`{group} {name}` is not docker's"));
            }
        }
    }
    assert!(verbs.len() > 70, "{verbs:?}");
    for verb in &verbs {
        let (theirs, ours) = (help(docker, verb), help(&wharf, verb));
        let (their_flags, our_flags) = (flags(&theirs), flags(&ours));
        for (name, form) in &their_flags {
            match our_flags.get(name) {
                None => wrong.push(format!("`{verb}` has no --{name}")),
                Some(own) if BUILDS.contains(&verb.as_str()) && own.0 == form.0 => {}
                Some(own) if own != form => {
                    wrong.push(format!("`{verb}` --{name}: {form:?} is {own:?} here"));
                }
                Some(_) => {}
            }
        }
        if BUILDS.contains(&verb.as_str()) {
            continue;
        }
        for name in our_flags.keys().filter(|n| !their_flags.contains_key(*n)) {
            wrong.push(format!("`{verb}` --{name} is not docker's"));
        }
        for title in ["Usage:", "Aliases:"] {
            let (mut theirs, mut ours) = (section(&theirs, title), section(&ours, title));
            if title == "Aliases:" {
                let sorted = |text: &str| {
                    let mut names: Vec<_> = text.split(", ").map(str::to_owned).collect();
                    names.sort();
                    names.join(", ")
                };
                (theirs, ours) = (sorted(&theirs), sorted(&ours));
            }
            if theirs != ours {
                wrong.push(format!("`{verb}` {title} {theirs:?} is {ours:?} here"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
