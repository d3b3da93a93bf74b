//! Ending a process with all that it started.
//!
//! A child whose parent died belongs to the container's first process from then on, and cannot be
//! told from that one's own children. So everything is stopped first, until nothing new appears,
//! and killed then.

use std::{collections::BTreeMap, fs};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often to look for what was started meanwhile.
const ROUNDS: usize = 20;

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: i32,
    session: i32,
    /// Tells it from another one of the same number.
    started: u64,
}

/// Kills `root` and its descendants among `members`, the processes of its container.
pub(super) fn kill(root: u32, members: impl Fn() -> Vec<i32>) {
    let Ok(root) = i32::try_from(root) else {
        return;
    };
    let mut found = BTreeMap::new();
    for _ in 0..ROUNDS {
        let all: BTreeMap<_, _> = members()
            .into_iter()
            .filter_map(|pid| Some((pid, look(pid)?)))
            .collect();
        let now = below(root, &all);
        let before = found.len();
        for (pid, process) in now {
            if found.insert(pid, process) != Some(process) {
                send(pid, process, Signal::STOP);
            }
        }
        if found.len() == before {
            break;
        }
    }
    for (pid, process) in found {
        send(pid, process, Signal::KILL);
    }
}

/// `root`, what it started, and what is in its session where it leads one.
fn below(root: i32, all: &BTreeMap<i32, Process>) -> BTreeMap<i32, Process> {
    let mut found = BTreeMap::new();
    let Some(first) = all.get(&root) else {
        return found;
    };
    found.insert(root, *first);
    loop {
        let further: Vec<_> = all
            .iter()
            .filter(|(pid, p)| {
                !found.contains_key(pid)
                    && (found.contains_key(&p.parent) || first.session == root && p.session == root)
            })
            .map(|(pid, p)| (*pid, *p))
            .collect();
        if further.is_empty() {
            return found;
        }
        found.extend(further);
    }
}

/// Signals the process, unless another one has its number by now. A failure means that it is gone.
fn send(pid: i32, process: Process, signal: Signal) {
    let Some(pidfd) = Pid::from_raw(pid).and_then(|p| pidfd_open(p, PidfdFlags::empty()).ok())
    else {
        return;
    };
    if look(pid).is_some_and(|now| now.started == process.started) {
        let _ = pidfd_send_signal(&pidfd, signal);
    }
}

fn look(pid: i32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `/proc/PID/stat`: the name may hold anything, also parentheses.
fn parse(stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(15)?.parse().ok()?;
    Some(Process {
        parent,
        session,
        started,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel() {
        let line = "7 (a) b) S 1 6 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 9 9";
        let wanted = Process {
            parent: 1,
            session: 5,
            started: 12345,
        };
        assert_eq!(parse(line), Some(wanted));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn descendants_and_the_session() {
        let p = |parent, session| Process {
            parent,
            session,
            started: 1,
        };
        let all = BTreeMap::from([
            (1, p(0, 1)),
            (10, p(0, 10)),
            (11, p(10, 10)),
            (12, p(11, 12)),
            // Its parent is gone, the session is not.
            (13, p(1, 10)),
            (14, p(1, 1)),
        ]);
        let found: Vec<i32> = below(10, &all).into_keys().collect();
        assert_eq!(found, [10, 11, 12, 13]);
        assert!(below(99, &all).is_empty());
    }
}
