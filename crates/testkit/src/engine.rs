//! Which engine is started, and how.

use std::path::PathBuf;

use crate::fixtures::target_dir;

/// Which engine a [`Daemon`](crate::Daemon) is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Ours.
    Wharf,
    /// Debian's `dockerd`: the peer in benchmarks, and what the tests themselves are tested with.
    Dockerd,
}

impl Engine {
    /// The one that tests run against: ours, unless `TESTKIT_ENGINE` is `dockerd`.
    pub fn under_test() -> Self {
        match std::env::var("TESTKIT_ENGINE").as_deref() {
            Ok("dockerd") => Self::Dockerd,
            Ok("wharf") | Err(_) => Self::Wharf,
            Ok(other) => panic!("TESTKIT_ENGINE is {other:?}: use wharf or dockerd"),
        }
    }

    /// True for what is promised by us and not by Docker: a test of that has nothing to ask from
    /// another engine and returns.
    pub fn is_wharf(self) -> bool {
        self == Self::Wharf
    }
}

/// How to start a [`Daemon`](crate::Daemon).
#[derive(Debug, Clone, Default)]
pub struct Opts {
    /// Which engine; none is the one under test.
    pub engine: Option<Engine>,
    /// More flags, at the end.
    pub args: Vec<String>,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// Registries reached without TLS.
    pub insecure: Vec<String>,
    /// The configuration file's text; none is an empty file.
    pub config: Option<String>,
    /// The size of the file system of the data root, such as `40m`; none is that of `/tmp`.
    pub data_size: Option<String>,
    /// Files that this daemon alone sees in place of the machine's: path and text.
    pub files: Vec<(String, String)>,
    /// Whether our daemon is called as `dockerd` instead of `wharf daemon`.
    pub as_dockerd: bool,
    /// What is put in front of its command line: a program that becomes it.
    pub before: Vec<String>,
}

impl Opts {
    /// The default with these flags at the end.
    pub fn args(args: &[&str]) -> Self {
        Self {
            args: args.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    /// The default with one variable set.
    pub fn env(key: &str, value: &str) -> Self {
        Self {
            env: vec![(key.into(), value.into())],
            ..Self::default()
        }
    }

    /// The default with one more registry reached without TLS.
    pub fn insecure(registry: &str) -> Self {
        Self {
            insecure: vec![registry.into()],
            ..Self::default()
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine.unwrap_or_else(Engine::under_test)
    }
}

/// Our program: `WHARF_BIN`, or the release build under Cargo's target folder.
pub fn wharf_bin() -> PathBuf {
    let bin = std::env::var_os("WHARF_BIN")
        .map_or_else(|| target_dir().join("release/wharf"), PathBuf::from);
    assert!(
        bin.exists() || !Engine::under_test().is_wharf(),
        "{} is not there: `cargo build --release`, or `cargo xtask test` which does it",
        bin.display()
    );
    bin
}
