//! The columns that can be shown.

use std::{collections::BTreeMap, fs, path::Path};

use jiff::{Timestamp, tz::TimeZone};

use super::process::Process;

/// Ticks a second of the times in `/proc`; the kernel shows all architectures the same.
const HZ: i64 = 100;

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Pid,
    Ppid,
    Group,
    Session,
    User,
    RealUser,
    Uid,
    RealUid,
    GroupName,
    Gid,
    RealGid,
    Comm,
    Args,
    /// `Ss+`.
    Stat,
    /// `S`.
    State,
    Terminal,
    /// `00:00:01`.
    Time,
    /// `0:01`.
    BsdTime,
    Elapsed,
    ElapsedSeconds,
    Start,
    LongStart,
    Cpu,
    CpuWhole,
    Memory,
    Resident,
    Virtual,
    Pages,
    Nice,
    Priority,
    Processor,
    Threads,
    Wchan,
    Flags,
    Cgroup,
}

impl Column {
    /// By the name that `ps` gives it, and what stands above it.
    pub(super) fn named(name: &str) -> Option<(Self, &'static str)> {
        Some(match name {
            "pid" | "tgid" => (Self::Pid, "PID"),
            "ppid" => (Self::Ppid, "PPID"),
            "pgid" | "pgrp" => (Self::Group, "PGID"),
            "sid" | "sess" | "session" => (Self::Session, "SID"),
            "user" | "uname" => (Self::User, "USER"),
            "euser" => (Self::User, "EUSER"),
            "ruser" => (Self::RealUser, "RUSER"),
            "uid" => (Self::Uid, "UID"),
            "euid" => (Self::Uid, "EUID"),
            "ruid" => (Self::RealUid, "RUID"),
            "group" => (Self::GroupName, "GROUP"),
            "egroup" => (Self::GroupName, "EGROUP"),
            "gid" => (Self::Gid, "GID"),
            "egid" => (Self::Gid, "EGID"),
            "rgid" => (Self::RealGid, "RGID"),
            "comm" | "ucomm" => (Self::Comm, "COMMAND"),
            "ucmd" => (Self::Comm, "CMD"),
            "args" | "command" => (Self::Args, "COMMAND"),
            "cmd" => (Self::Args, "CMD"),
            "stat" => (Self::Stat, "STAT"),
            "s" | "state" => (Self::State, "S"),
            "tty" | "tt" => (Self::Terminal, "TT"),
            "tname" => (Self::Terminal, "TTY"),
            "time" | "cputime" => (Self::Time, "TIME"),
            "bsdtime" => (Self::BsdTime, "TIME"),
            "etime" => (Self::Elapsed, "ELAPSED"),
            "etimes" => (Self::ElapsedSeconds, "ELAPSED"),
            "stime" | "start_time" => (Self::Start, "STIME"),
            "start" | "bsdstart" => (Self::Start, "START"),
            "lstart" => (Self::LongStart, "STARTED"),
            "%cpu" | "pcpu" => (Self::Cpu, "%CPU"),
            "c" => (Self::CpuWhole, "C"),
            "%mem" | "pmem" => (Self::Memory, "%MEM"),
            "rss" | "rsz" | "rssize" => (Self::Resident, "RSS"),
            "vsz" | "vsize" => (Self::Virtual, "VSZ"),
            "sz" => (Self::Pages, "SZ"),
            "ni" | "nice" => (Self::Nice, "NI"),
            "pri" => (Self::Priority, "PRI"),
            "psr" => (Self::Processor, "PSR"),
            "nlwp" | "thcount" => (Self::Threads, "NLWP"),
            "wchan" => (Self::Wchan, "WCHAN"),
            "f" | "flag" | "flags" => (Self::Flags, "F"),
            "cgroup" => (Self::Cgroup, "CGROUP"),
            _ => return None,
        })
    }

    /// What it shows of a process.
    pub(super) fn show(self, p: &Process, machine: &Machine) -> String {
        match self {
            Self::Pid => p.pid.to_string(),
            Self::Ppid => p.number(4).to_string(),
            Self::Group => p.number(5).to_string(),
            Self::Session => p.number(6).to_string(),
            Self::User => machine.user(p.status("Uid", 1)),
            Self::RealUser => machine.user(p.status("Uid", 0)),
            Self::Uid => p.status("Uid", 1).to_owned(),
            Self::RealUid => p.status("Uid", 0).to_owned(),
            Self::GroupName => machine.group(p.status("Gid", 1)),
            Self::Gid => p.status("Gid", 1).to_owned(),
            Self::RealGid => p.status("Gid", 0).to_owned(),
            Self::Comm => match p.state.as_str() {
                "Z" => format!("{} <defunct>", p.comm),
                _ => p.comm.clone(),
            },
            Self::Args if p.state == "Z" => format!("[{}] <defunct>", p.comm),
            Self::Args if p.args.is_empty() => format!("[{}]", p.comm),
            Self::Args => p.args.clone(),
            Self::Stat => stat(p),
            Self::State => p.state.clone(),
            Self::Terminal => terminal(p.number(7)),
            Self::Time => clock(p.ticks() / HZ, true),
            Self::BsdTime => {
                let seconds = p.ticks() / HZ;
                format!("{}:{:02}", seconds / 60, seconds % 60)
            }
            Self::Elapsed => clock(machine.age(p), false),
            Self::ElapsedSeconds => machine.age(p).to_string(),
            Self::Start => machine.start(p),
            Self::LongStart => machine.local(p).strftime("%a %b %e %T %Y").to_string(),
            Self::Cpu => tenths(machine.cpu(p)),
            Self::CpuWhole => (machine.cpu(p) / 10).min(99).to_string(),
            Self::Memory => tenths(p.resident() * 1000 / machine.memory.max(1)),
            Self::Resident => p.resident().to_string(),
            Self::Virtual => (p.number(23) / 1024).to_string(),
            Self::Pages => (p.number(23) / 4096).to_string(),
            Self::Nice => p.number(19).to_string(),
            Self::Priority => (39 - p.number(18)).to_string(),
            Self::Processor => p.number(39).to_string(),
            Self::Threads => p.number(20).to_string(),
            Self::Wchan => match p.wchan.as_str() {
                "" | "0" => "-".into(),
                name => name.to_owned(),
            },
            // Forked and never executed; used the rights of root.
            Self::Flags => ((p.number(9) >> 6) & 7).to_string(),
            Self::Cgroup => p.cgroup.clone(),
        }
    }
}

fn tenths(n: i64) -> String {
    format!("{}.{}", n / 10, n % 10)
}

/// The state with its signs.
fn stat(p: &Process) -> String {
    let mut text = p.state.clone();
    match p.number(19) {
        ..0 => text.push('<'),
        1.. => text.push('N'),
        0 => {}
    }
    if p.status("VmLck", 0) != "0" {
        text.push('L');
    }
    if p.number(6) == i64::from(p.pid) {
        text.push('s');
    }
    if p.number(20) > 1 {
        text.push('l');
    }
    if p.number(8) == p.number(5) {
        text.push('+');
    }
    text
}

/// The name of a device number of the kernel's.
fn terminal(number: i64) -> String {
    let major = (number >> 8) & 0xfff;
    let minor = (number & 0xff) | ((number >> 12) & 0xf_ff00);
    match major {
        0 => "?".into(),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        5 => "console".into(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        _ => format!("{major},{minor}"),
    }
}

/// `[DD-]HH:MM:SS`; without hours where there are none and they are not `always` shown.
fn clock(seconds: i64, always: bool) -> String {
    let seconds = seconds.max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let rest = format!("{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) if !always => rest,
        (0, _) => format!("{hours:02}:{rest}"),
        _ => format!("{days:02}-{hours:02}:{rest}"),
    }
}

/// What columns need to know of the host.
pub(super) struct Machine {
    users: BTreeMap<String, String>,
    groups: BTreeMap<String, String>,
    /// Kilobytes.
    memory: i64,
    /// Seconds since the host started.
    uptime: i64,
    now: Timestamp,
    zone: TimeZone,
}

impl Machine {
    /// `etc` is the folder of users and groups.
    pub(super) fn read(etc: &Path, now: String) -> Self {
        let names = |file: &str| {
            let text = fs::read_to_string(etc.join(file)).unwrap_or_default();
            let entry = |line: &str| {
                let mut parts = line.split(':');
                let name = parts.next()?.to_owned();
                Some((parts.nth(1)?.to_owned(), name))
            };
            // The first of several names of a number counts.
            text.lines().rev().filter_map(entry).collect()
        };
        let first = |path: &str, line: &str| -> i64 {
            let text = fs::read_to_string(path).unwrap_or_default();
            let found = text.lines().find_map(|l| l.strip_prefix(line));
            let word = found.and_then(|l| l.split_whitespace().next());
            let whole = word.and_then(|w| w.split('.').next());
            whole.and_then(|w| w.parse().ok()).unwrap_or(0)
        };
        Self {
            users: names("passwd"),
            groups: names("group"),
            memory: first("/proc/meminfo", "MemTotal:"),
            uptime: first("/proc/uptime", ""),
            now: now.parse().unwrap_or_else(|_| Timestamp::now()),
            zone: TimeZone::system(),
        }
    }

    fn user(&self, id: &str) -> String {
        self.users.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }

    fn group(&self, id: &str) -> String {
        self.groups
            .get(id)
            .cloned()
            .unwrap_or_else(|| id.to_owned())
    }

    /// Seconds that a process has lived.
    fn age(&self, p: &Process) -> i64 {
        (self.uptime - p.number(22) / HZ).max(0)
    }

    /// Thousandths of a processor over its life.
    fn cpu(&self, p: &Process) -> i64 {
        match self.age(p) {
            0 => 0,
            age => p.ticks().saturating_mul(1000 / HZ) / age,
        }
    }

    fn local(&self, p: &Process) -> jiff::Zoned {
        let began = self.now.as_second() - self.age(p);
        let began = Timestamp::from_second(began).unwrap_or(self.now);
        began.to_zoned(self.zone.clone())
    }

    /// The time where it began today, otherwise the day, otherwise the year.
    fn start(&self, p: &Process) -> String {
        let (then, now) = (self.local(p), self.now.to_zoned(self.zone.clone()));
        let form = if then.date() == now.date() {
            "%H:%M"
        } else if then.year() == now.year() {
            "%b%d"
        } else {
            "%Y"
        };
        then.strftime(form).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_terminals() {
        assert_eq!(clock(5, true), "00:00:05");
        assert_eq!(clock(5, false), "00:05");
        assert_eq!(clock(90_061, true), "01-01:01:01");
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal(136 << 8 | 3), "pts/3");
        assert_eq!(terminal(1025), "tty1");
        assert_eq!(tenths(123), "12.3");
    }

    #[test]
    fn the_names_of_numbers() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("passwd"),
            "root:x:0:0::/:/x\ntoor:x:0:0::/:/x\n",
        )
        .unwrap();
        let machine = Machine::read(dir.path(), String::new());
        assert_eq!(
            (machine.user("0"), machine.user("7")),
            ("root".into(), "7".into())
        );
        assert_eq!(machine.group("0"), "0");
    }
}
