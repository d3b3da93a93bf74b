//! What variables are worth while a Dockerfile is worked through.

use std::collections::BTreeMap;

use dockerfile::Variables;
use image::Platform;

/// Build arguments that need no `ARG`, reach commands, and leave no trace in images or the cache.
pub(crate) const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The path where commands are looked for, where an image says nothing.
pub(crate) const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Arguments that have values, in the order of their `ARG`s.
#[derive(Debug, Clone, Default)]
pub(crate) struct Args(Vec<(String, String)>);

impl Args {
    /// Gives one a value.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.0
    }
}

impl Variables for Args {
    fn get(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    }
}

/// An image's environment and the stage's arguments: the environment counts.
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
        self.env
            .iter()
            .find_map(own)
            .or_else(|| self.args.get(name))
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
