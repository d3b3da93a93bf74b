//! What variables are worth while a Dockerfile is worked through.

use std::collections::{BTreeMap, HashSet};

use dockerfile::Variables;
use image::Platform;

/// Build arguments that need no `ARG`, reach commands, and leave no trace in images or the cache;
/// in any case, as programs look for one spelling or the other.
pub(crate) const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// The path where commands are looked for, where an image says nothing.
pub(crate) const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Arguments that have values, in the order of their `ARG`s.
#[derive(Debug, Clone, Default)]
pub(crate) struct Args {
    all: Vec<(String, String)>,
    /// Names that an `ENV` set after their `ARG`.
    hidden: HashSet<String>,
}

impl Args {
    /// Gives one a value.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.hidden.remove(name);
        match self.all.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.all.push((name.to_owned(), value)),
        }
    }

    /// An `ENV` sets that name: it counts from here on.
    pub(crate) fn give_way(&mut self, name: &str) {
        if self.all.iter().any(|(n, _)| n == name) {
            self.hidden.insert(name.to_owned());
        }
    }

    /// What goes before the environment, as it was said after it.
    pub(crate) fn in_front(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.all.iter().filter(|(n, _)| !self.hidden.contains(n));
        all.map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.all
    }
}

impl Variables for Args {
    fn get(&self, name: &str) -> Option<String> {
        let found = self.all.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    }
}

/// An image's environment and the stage's arguments: of `ARG` and `ENV`, the last one counts.
pub(crate) struct Scope<'a> {
    pub env: &'a [String],
    pub args: &'a Args,
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let own = |pair: &String| {
            let (n, value) = pair.split_once('=')?;
            (n == name).then(|| value.to_owned())
        };
        let mut front = self.args.in_front();
        let found = front.find_map(|(n, value)| (n == name).then(|| value.to_owned()));
        found.or_else(|| self.env.iter().find_map(own))
    }
}

/// `BUILDPLATFORM`, `TARGETARCH` and their like.
pub(crate) fn platform_args(target: &Platform, stage: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (prefix, platform) in [("BUILD", &Platform::host()), ("TARGET", target)] {
        let variant = platform.variant.clone().unwrap_or_default();
        let parts = [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os.clone()),
            ("ARCH", platform.architecture.clone()),
            ("VARIANT", variant),
        ];
        all.extend(parts.map(|(name, value)| (format!("{prefix}{name}"), value)));
    }
    all.insert("TARGETSTAGE".to_owned(), stage.to_owned());
    all
}

/// Sets `NAME=value` in an environment.
pub(crate) fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    match env.iter_mut().find(|p| p.split('=').next() == Some(name)) {
        Some(old) => *old = pair,
        None => env.push(pair),
    }
}
