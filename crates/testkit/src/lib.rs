//! Real daemons in network namespaces of their own, images made from Debian's packages, a real
//! registry, the real `docker` CLI: what the whole-system tests and the benchmarks stand on.
//!
//! Nothing here imitates an engine. The same tests can be run against Debian's `dockerd`
//! (`TESTKIT_ENGINE=dockerd`), which shows that a test asks for Docker's behaviour and not for
//! ours. Everything is blocking and ends what it made when it is dropped, also on panic.
//! Functions panic with a sentence instead of returning errors: in a test that is the report.

mod bundle;
mod checker;
pub mod churn;
mod cli;
mod cmd;
mod daemon;
mod engine;
mod fixtures;
pub mod foreign;
mod host;
pub mod http;
mod hung;
pub mod images;
mod leaks;
pub mod node;
mod plugin;
mod poll;
mod processes;
pub mod python;
mod registry;
mod relay;
mod spec;
mod tls;
mod token;
mod tty;
pub mod vm;
mod volume_plugin;
mod web;

pub use bundle::{Bundle, oci_runtime};
pub use checker::Checker;
pub use cli::{Cli, words};
pub use cmd::{Output, Running, run};
pub use daemon::Daemon;
pub use engine::{Engine, Opts, wharf_bin};
pub use fixtures::{cached, target_dir, workspace};
pub use host::{Host, Lan, Ns};
pub use hung::Hung;
pub use leaks::Leaks;
pub use plugin::{Plugin, Question, Verdict};
pub use poll::{PATIENCE, eventually, poll};
pub use processes::{
    alive, cgroup_value, cgroups_of, children_of, kill, parent_of, pss_of, rss_of,
};
pub use registry::{Auth, Registry};
pub use relay::Relay;
pub use spec::Spec;
pub use tls::Certificates;
pub use tty::Tty;
pub use volume_plugin::{Manner, VolumePlugin};
pub use web::{Answer, Request, Web};
