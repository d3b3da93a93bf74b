//! What could stand next on a command line: `__complete`, which the shells' scripts ask.
//!
//! The words are read as the parser reads them, so that what is offered is what is understood. The
//! answer has the form that docker's scripts read, too: a line for each candidate, with a tabulator
//! and an explanation, and a last line `:N` whose bits tell the shell what to do besides.

mod daemon;
mod line;
mod operands;
mod values;

use std::time::Duration;

use crate::{
    config::ConfigFile,
    error::{Error, Result},
    flags::{self, Kind},
    format::output,
    globals,
    verbs::{self, GROUPS, HIDDEN},
};

use line::{Line, Stage};

/// The hidden verbs that ask; the second one without explanations.
pub(crate) const VERBS: [&str; 2] = ["__complete", "__completeNoDesc"];

/// Longer than this nobody waits behind a tabulator.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the shell does besides.
const NO_SPACE: u8 = 2;
const NO_FILES: u8 = 4;

/// What could come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Candidates and what they are.
    words: Vec<(String, String)>,
    /// No blank after it: more is to come.
    open: bool,
    /// Names of files would do, too.
    files: bool,
}

impl Offer {
    fn files() -> Self {
        Self {
            files: true,
            ..Self::default()
        }
    }

    fn of(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let words = words.into_iter().map(|word| (word.into(), String::new()));
        Self {
            words: words.collect(),
            ..Self::default()
        }
    }
}

/// The script for `shell`.
pub(crate) fn script(program: &str, shell: &str) -> Result<String> {
    let text = match shell {
        "bash" => include_str!("scripts/bash"),
        "zsh" => include_str!("scripts/zsh"),
        "fish" => include_str!("scripts/fish"),
        other => {
            return Err(Error::msg(format!(
                "{program}: no completion for '{other}': there are bash, zsh and fish"
            )));
        }
    };
    Ok(text.replace("wharf", program))
}

/// Answers a shell that asks for what could stand in place of the last of `words`.
pub(crate) fn answer(verb: &str, words: &[String]) -> Result {
    let (current, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
    let line = Line::read(before);
    let mut offer = offer(&line, current);
    offer
        .words
        .retain(|(word, _)| word.starts_with(tail(current)));
    offer.words.sort();
    offer.words.dedup();
    let mut text = String::new();
    for (word, about) in &offer.words {
        text.push_str(word);
        if !about.is_empty() && verb == VERBS[0] {
            text.push('\t');
            text.push_str(about);
        }
        text.push('\n');
    }
    let open = if offer.open { NO_SPACE } else { 0 };
    let closed = if offer.files { 0 } else { NO_FILES };
    output::print(&format!("{text}:{}\n", open | closed))
}

/// What of `current` the candidates replace: of `--flag=value` only the value.
fn tail(current: &str) -> &str {
    match current.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => value,
        _ => current,
    }
}

fn offer(line: &Line, current: &str) -> Offer {
    if let Some(flag) = &line.pending {
        return value(line, flag.long, current);
    }
    if !line.ended && current.starts_with('-') {
        return match current.split_once('=') {
            Some((flag, text)) if flag.starts_with("--") => value(line, &flag[2..], text),
            _ => flag_names(line, current),
        };
    }
    match line.stage {
        Stage::Root => Offer {
            words: root_words(),
            ..Offer::default()
        },
        Stage::Group(group) => Offer {
            words: group_words(group),
            ..Offer::default()
        },
        Stage::Verb(verb) => {
            line.ask(async |asking: &Asking| operands::offer(asking, verb, line, current).await)
        }
        Stage::Unknown => Offer::default(),
    }
}

fn value(line: &Line, flag: &str, text: &str) -> Offer {
    let known = line.flags().any(|f| f.long == flag);
    if known {
        line.ask(async |asking: &Asking| values::offer(asking, line, flag, text).await)
    } else {
        Offer::default()
    }
}

fn flag_names(line: &Line, current: &str) -> Offer {
    let mut words = vec![("--help".to_owned(), "Print usage".to_owned())];
    for flag in line.flags().filter(|f| !f.hidden && f.only.is_none()) {
        words.push((format!("--{}", flag.long), flag.about.to_owned()));
        if let Some(short) = flag.short.filter(|_| !current.starts_with("--")) {
            words.push((format!("-{short}"), flag.about.to_owned()));
        }
    }
    Offer {
        words,
        ..Offer::default()
    }
}

fn root_words() -> Vec<(String, String)> {
    let groups = GROUPS.iter().map(|(name, about)| (*name, *about));
    let verbs = verbs::all().flat_map(|verb| {
        let short = verb.names.iter().filter(|name| !name.contains(' '));
        short.map(|name| (*name, verb.about))
    });
    let all = groups
        .chain(verbs)
        .chain([("help", "Help about the command")]);
    all.map(|(name, about)| (name.to_owned(), about.to_owned()))
        .collect()
}

fn group_words(group: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    for verb in verbs::all().filter(|v| !HIDDEN.contains(&v.names[0])) {
        let inside = |name: &&'static str| name.strip_prefix(group)?.strip_prefix(' ');
        // Other spellings work, and would only lengthen the list.
        if let Some(name) = verb.names.iter().find_map(inside) {
            words.push((name.to_owned(), verb.about.to_owned()));
        }
    }
    words
}

/// Where names come from.
pub(crate) struct Asking {
    client: Option<crate::client::Client>,
    config: ConfigFile,
}

impl Line {
    /// Runs `work` with the daemon that the line means; whoever does not answer has no names.
    fn ask(&self, work: impl AsyncFnOnce(&Asking) -> Offer) -> Offer {
        let globals = flags::parse(&[globals::FLAGS], false, &self.globals).unwrap_or_default();
        let config = ConfigFile::new(globals.get("config"));
        let endpoint = crate::contexts::choose(&globals, &config)
            .and_then(|chosen| crate::contexts::endpoint(&chosen, &globals, &config));
        let client = endpoint.ok().and_then(|endpoint| {
            crate::client::Client::new(&endpoint, "daemon", config.headers(), false).ok()
        });
        let asking = Asking { client, config };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else {
            return Offer::default();
        };
        let offer = runtime.block_on(async { tokio::time::timeout(PATIENCE, work(&asking)).await });
        runtime.shutdown_background();
        offer.unwrap_or_default()
    }
}

/// Whether a flag takes a value.
fn takes_value(kind: Kind) -> bool {
    !matches!(kind, Kind::Switch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str, current: &str) -> Vec<String> {
        let before: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let offer = offer(&Line::read(&before), current);
        let words = offer.words.into_iter().map(|(word, _)| word);
        words.filter(|w| w.starts_with(tail(current))).collect()
    }

    #[test]
    fn verbs_and_flags_are_offered() {
        assert_eq!(words("", "contai"), ["container"]);
        assert_eq!(words("-D --log-level warn container", "prun"), ["prune"]);
        assert_eq!(words("container", "lis"), Vec::<String>::new());
        assert_eq!(words("ps", "--no"), ["--no-trunc"]);
        assert_eq!(words("container ls", "-q"), ["-q"]);
        assert_eq!(words("", "--tlsv"), ["--tlsverify"]);
        assert_eq!(words("run --name", "--n"), Vec::<String>::new());
        assert_eq!(words("run busybox", "--n"), Vec::<String>::new());
        assert_eq!(words("nonsense", ""), Vec::<String>::new());
    }

    #[test]
    fn values_are_offered_behind_a_blank_and_behind_a_sign() {
        assert_eq!(words("run --pull", "mi"), ["missing"]);
        assert_eq!(words("run", "--pull=mi"), ["missing"]);
        assert_eq!(words("--log-level", "deb"), ["debug"]);
        assert_eq!(words("kill -s", "SIGK"), ["SIGKILL"]);
        assert_eq!(words("build --progress", "pl"), ["plain"]);
        assert_eq!(words("buildx build", "--network=no"), ["none"]);
        assert_eq!(words("builder", "p"), ["prune"]);
        assert_eq!(words("build -o", "type=o"), ["type=oci,dest="]);
        assert_eq!(words("run -it --restart", "un"), ["unless-stopped"]);
    }

    #[test]
    fn scripts_are_for_the_name_they_were_asked_under() {
        for shell in ["bash", "zsh", "fish"] {
            assert!(!script("docker", shell).unwrap().contains("wharf"));
        }
        assert!(script("wharf", "csh").is_err());
    }
}
