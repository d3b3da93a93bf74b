//! Places where a test can let the power fail.
//!
//! `WHARF_FAILPOINT=name` makes the process kill itself (SIGKILL) when it comes to
//! `failpoint!("name")`; `name=3` when it comes there for the third time. Without the variable a
//! failpoint is a load and a branch.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

struct Armed {
    name: String,
    /// How often the place may still be passed, plus one.
    left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

fn parse(text: &str) -> Armed {
    let (name, nth) = match text.rsplit_once('=') {
        // What is not a number is taken as part of the name, which then matches nothing.
        Some((name, n)) => match n.parse() {
            Ok(n) => (name, n),
            Err(_) => (text, 1),
        },
        None => (text, 1),
    };
    Armed {
        name: name.to_owned(),
        left: AtomicU64::new(nth),
    }
}

/// Use [`failpoint!`](crate::failpoint!).
#[doc(hidden)]
pub fn reach(name: &str) {
    let armed = ARMED.get_or_init(|| {
        std::env::var("WHARF_FAILPOINT")
            .ok()
            .filter(|v| !v.is_empty())
            .map(|v| parse(&v))
    });
    if let Some(armed) = armed
        && armed.name == name
        && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // Nothing is flushed and nothing runs on the way out: as near to a power cut as a process
        // can come.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// A named place where a test may end the process at once.
#[macro_export]
macro_rules! failpoint {
    ($name:expr) => {
        $crate::failpoint::reach($name)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_counts() {
        let a = parse("engine.create.recorded");
        assert_eq!(
            (a.name.as_str(), a.left.into_inner()),
            ("engine.create.recorded", 1)
        );
        let a = parse("x=3");
        assert_eq!((a.name.as_str(), a.left.into_inner()), ("x", 3));
    }

    #[test]
    fn kills_at_the_nth_time() {
        use std::os::unix::process::ExitStatusExt;
        if std::env::var_os("WHARF_FAILPOINT").is_some() {
            crate::failpoint!("here");
            crate::failpoint!("elsewhere");
            crate::failpoint!("here");
            return;
        }
        let run = |value: &str| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "failpoint::tests::kills_at_the_nth_time"])
                .env("WHARF_FAILPOINT", value)
                .stdout(std::process::Stdio::null())
                .status()
                .unwrap()
        };
        assert_eq!(run("here").signal(), Some(9));
        assert_eq!(run("here=2").signal(), Some(9));
        assert!(run("here=3").success());
        assert!(run("other").success());
    }
}
