//! One process, from the kernel's files.

use std::{collections::BTreeMap, fs};

/// What `/proc` says of a process.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub pid: i32,
    pub comm: String,
    /// Program and arguments; empty for the kernel's own and for what has ended.
    pub args: String,
    pub state: String,
    /// The fields of `stat` from the state on: field 3 of proc(5) is the first.
    numbers: Vec<i64>,
    /// `status`.
    named: BTreeMap<String, String>,
    pub wchan: String,
    pub cgroup: String,
}

impl Process {
    /// Reads it; nothing if it has gone.
    pub(super) fn read(pid: i32) -> Option<Self> {
        let file = |name: &str| fs::read(format!("/proc/{pid}/{name}"));
        let text = |name: &str| Some(String::from_utf8_lossy(&file(name).ok()?).into_owned());
        let mut process = Self::parse(pid, &text("stat")?, &text("status")?)?;
        let line = file("cmdline").unwrap_or_default();
        let words: Vec<String> = line
            .split(|b| *b == 0)
            .map(|w| clean(&String::from_utf8_lossy(w)))
            .collect();
        process.args = words.join(" ").trim_end().to_owned();
        process.wchan = text("wchan").unwrap_or_default();
        process.cgroup = text("cgroup").unwrap_or_default().trim().replace('\n', ",");
        Some(process)
    }

    fn parse(pid: i32, stat: &str, status: &str) -> Option<Self> {
        let (_, name) = stat.split_once('(')?;
        let (comm, fields) = name.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?.to_owned();
        let named = status.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        });
        Some(Self {
            pid,
            comm: clean(comm),
            state,
            numbers: std::iter::once(0)
                .chain(fields.map(|f| f.parse().unwrap_or(i64::MAX)))
                .collect(),
            named: named.collect(),
            ..Self::default()
        })
    }

    /// A field of `stat` by its number in proc(5).
    pub(super) fn number(&self, field: usize) -> i64 {
        self.numbers.get(field - 3).copied().unwrap_or(0)
    }

    /// A word of a line of `status`.
    pub(super) fn status(&self, name: &str, word: usize) -> &str {
        let line = self.named.get(name).map_or("", String::as_str);
        line.split_whitespace().nth(word).unwrap_or("0")
    }

    /// Kilobytes of memory in use.
    pub(super) fn resident(&self) -> i64 {
        self.status("VmRSS", 0).parse().unwrap_or(0)
    }

    /// Hundredths of a second on processors.
    pub(super) fn ticks(&self) -> i64 {
        self.number(14).saturating_add(self.number(15))
    }
}

/// What would spoil a terminal is shown as `?`.
fn clean(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let stat = "7 (a) (b\n) S 1 6 5 34816 6 4194560 1 2 3 4 50 60 7 8 20 0 3 0 12345 4096 9";
        let p = Process::parse(7, stat, "Name:\ta\nUid:\t1\t2\t3\t4\nVmRSS:\t  12 kB\n").unwrap();
        assert_eq!((p.comm.as_str(), p.state.as_str()), ("a) (b?", "S"));
        assert_eq!((p.number(4), p.number(7), p.number(22)), (1, 34816, 12345));
        assert_eq!(
            (p.status("Uid", 1), p.resident(), p.ticks()),
            ("2", 12, 110)
        );
        assert_eq!(p.number(99), 0);
    }
}
