//! From arguments to flags and operands.

use super::{Flag, Kind};

/// What a command line says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Matches {
    given: Vec<(&'static str, String)>,
    /// Operands.
    pub(crate) args: Vec<String>,
    /// `--help` was among the flags.
    pub(crate) help: bool,
    /// `-h` was, where that means help.
    pub(crate) short_help: bool,
}

impl Matches {
    /// The last value of `--name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.given
            .iter()
            .rev()
            .find(|(flag, _)| *flag == name)
            .map(|(_, value)| value.as_str())
    }

    /// The last value of `--name`, or nothing.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Every value of `--name`.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.given
            .iter()
            .filter(|(flag, _)| *flag == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Whether the switch `--name` is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.switch(name).unwrap_or(false)
    }

    /// How the switch `--name` was set, if it was.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.get(name).map(is_true)
    }

    /// The number of `--name`, if it was given; its form was checked.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(super::checks::parse_int)
    }
}

fn is_true(value: &str) -> bool {
    types::boolean::parse(value) == Some(true)
}

/// Reads `args`. With `mixed`, flags may follow operands; otherwise the first operand ends them.
pub(crate) fn parse(flags: &[&[Flag]], mixed: bool, args: &[String]) -> Result<Matches, String> {
    let mut parser = Parser {
        flags,
        found: Matches::default(),
    };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            parser.found.args.extend(rest.by_ref().cloned());
        } else if let Some(long) = arg.strip_prefix("--") {
            parser.long(long, &mut rest)?;
        } else if arg.len() > 1 && arg.starts_with('-') {
            parser.shorts(&arg[1..], &mut rest)?;
        } else {
            parser.found.args.push(arg.clone());
            if !mixed {
                parser.found.args.extend(rest.by_ref().cloned());
            }
        }
    }
    Ok(parser.found)
}

struct Parser<'a> {
    flags: &'a [&'a [Flag]],
    found: Matches,
}

impl Parser<'_> {
    fn find(&self, test: impl Fn(&Flag) -> bool) -> Option<Flag> {
        self.flags
            .iter()
            .copied()
            .flatten()
            .find(|f| test(f))
            .copied()
    }

    fn long(&mut self, arg: &str, rest: &mut std::slice::Iter<String>) -> Result<(), String> {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: --{arg}"));
        }
        let alias = if name == "net" { "network" } else { name };
        let alias = if alias == "net-alias" {
            "network-alias"
        } else {
            alias
        };
        let Some(flag) = self.find(|f| f.long == name || f.long == alias) else {
            if name == "help" {
                let value = value.unwrap_or("true");
                super::checks::boolean(value).map_err(|e| {
                    format!("invalid argument \"{value}\" for \"--help\" flag: {e}")
                })?;
                self.found.help = is_true(value);
                return Ok(());
            }
            return Err(format!("unknown flag: --{name}"));
        };
        match (flag.kind, value) {
            (_, Some(value)) => self.set(&flag, value),
            (Kind::Switch, None) => self.set(&flag, "true"),
            (_, None) => match rest.next() {
                Some(value) => self.set(&flag, value),
                None => Err(format!("flag needs an argument: --{name}")),
            },
        }
    }

    fn shorts(&mut self, mut arg: &str, rest: &mut std::slice::Iter<String>) -> Result<(), String> {
        while let Some(letter) = arg.chars().next() {
            let after = &arg[letter.len_utf8()..];
            let Some(flag) = self.find(|f| f.short == Some(letter)) else {
                if letter == 'h' {
                    self.found.help = true;
                    self.found.short_help = true;
                    arg = after;
                    continue;
                }
                return Err(format!("unknown shorthand flag: '{letter}' in -{arg}"));
            };
            if let Some(value) = after.strip_prefix('=').filter(|v| !v.is_empty()) {
                return self.set(&flag, value);
            }
            if matches!(flag.kind, Kind::Switch) {
                self.set(&flag, "true")?;
                arg = after;
            } else if !after.is_empty() {
                return self.set(&flag, after);
            } else {
                return match rest.next() {
                    Some(value) => self.set(&flag, value),
                    None => Err(format!("flag needs an argument: '{letter}' in -{arg}")),
                };
            }
        }
        Ok(())
    }

    fn set(&mut self, flag: &Flag, value: &str) -> Result<(), String> {
        (flag.check)(value).map_err(|e| {
            format!(
                "invalid argument {} for \"{}\" flag: {e}",
                crate::format::quote(value),
                flag.label()
            )
        })?;
        if flag.only.is_some_and(|only| !only.contains(&value)) {
            return Err(format!("--{} is not supported by wharf yet", flag.long));
        }
        self.found.given.push((flag.long, value.to_owned()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{int, list, switch, text};

    const FLAGS: &[Flag] = &[
        switch("interactive", "").short('i'),
        switch("tty", "").short('t'),
        list("publish", "").short('p'),
        list("env", "").short('e'),
        text("memory", "").short('m'),
        text("cpuset-cpus", "").only(&[]),
        int("number", "").short('n'),
    ];

    fn read(mixed: bool, args: &[&str]) -> Result<Matches, String> {
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        parse(&[FLAGS], mixed, &args)
    }

    #[test]
    fn pflags_forms_are_read() {
        let m = read(
            false,
            &[
                "-it",
                "-p8080:80",
                "-e=A=b",
                "--memory=64m",
                "--tty=false",
                "img",
                "-x",
            ],
        )
        .unwrap();
        assert!(m.on("interactive") && !m.on("tty"));
        assert_eq!(m.all("publish"), ["8080:80"]);
        assert_eq!(m.all("env"), ["A=b"]);
        assert_eq!(m.get("memory"), Some("64m"));
        assert_eq!(m.args, ["img", "-x"]);
        let m = read(true, &["a", "-n", "-3", "-", "--", "-i"]).unwrap();
        assert_eq!((m.int("number"), m.args.len()), (Some(-3), 3));
    }

    #[test]
    fn errors_are_pflags() {
        for (args, text) in [
            (&["--nosuch"][..], "unknown flag: --nosuch"),
            (&["-itx"], "unknown shorthand flag: 'x' in -x"),
            (&["-m"], "flag needs an argument: 'm' in -m"),
            (&["--memory"], "flag needs an argument: --memory"),
            (&["--=x"], "bad flag syntax: --=x"),
            (
                &["--tty=foo"],
                "invalid argument \"foo\" for \"-t, --tty\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax",
            ),
            (
                &["-n", "x"],
                "invalid argument \"x\" for \"-n, --number\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                &["--cpuset-cpus", "1"],
                "--cpuset-cpus is not supported by wharf yet",
            ),
        ] {
            assert_eq!(read(true, args).unwrap_err(), text);
        }
    }
}
