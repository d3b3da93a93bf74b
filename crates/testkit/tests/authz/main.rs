//! Authorization plugins: Docker's protocol, what they are shown, and that nothing goes by them.

mod attack_32;
mod hijacked;
mod protocol;

use testkit::{Daemon, Host, Opts, Plugin, Question, Verdict, images};

/// A daemon with the busybox image that asks `plugins`.
fn asking(plugins: &[&Plugin]) -> Daemon {
    asking_with(&Host::new(), plugins, Vec::new())
}

fn asking_with(host: &Host, plugins: &[&Plugin], mut args: Vec<String>) -> Daemon {
    args.extend(plugins.iter().map(|p| p.flag()));
    let opts = Opts {
        args,
        ..Opts::default()
    };
    let d = Daemon::start(host, opts);
    d.load(&images::busybox_tar());
    for plugin in plugins {
        plugin.asked();
    }
    d
}

/// A request to this endpoint, whatever the version.
fn is(question: &Question, method: &str, path: &str) -> bool {
    let uri = question.uri();
    let uri = uri.split('?').next().unwrap_or_default();
    let bare = match uri.strip_prefix("/v").and_then(|u| u.split_once('/')) {
        Some((version, rest)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("/{rest}")
        }
        _ => uri.to_owned(),
    };
    !question.about_answer && question.method() == method && bare == path
}

/// What a plugin of an administrator does who forbids privileged containers: it reads the body.
fn no_privileged(question: &Question) -> Verdict {
    let body: serde_json::Value = serde_json::from_str(&question.body()).unwrap_or_default();
    let wanted = body["HostConfig"]["Privileged"] == true;
    Verdict::deny_if(is(question, "POST", "/containers/create") && wanted)
}

/// All containers there are.
fn containers(d: &Daemon) -> usize {
    let all = d.api().get("/containers/json?all=1").expect(200).json();
    all.as_array().expect("a list").len()
}
