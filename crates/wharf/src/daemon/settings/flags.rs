//! The command line: built from the table, so that help and the file's keys are the same.

use std::{collections::BTreeMap, ffi::OsString, process::ExitCode};

use clap::{Arg, ArgAction, Command};

use super::{
    Stop,
    table::{Kind, SETTINGS, Setting},
};

/// What was given, by the settings' names.
pub(crate) fn read(
    program: &'static str,
    args: &[OsString],
) -> Result<BTreeMap<&'static str, Vec<String>>, Stop> {
    let matches = command(program)
        .try_get_matches_from(args)
        .map_err(|error| {
            // Help goes to stdout with code 0, errors to stderr.
            let _ = error.print();
            Stop::Shown(if error.use_stderr() {
                ExitCode::from(125)
            } else {
                ExitCode::SUCCESS
            })
        })?;
    let mut given = BTreeMap::new();
    for setting in SETTINGS.iter().filter(|s| !s.flag.is_empty()) {
        if let Some(values) = matches.get_many::<String>(setting.flag) {
            given.insert(setting.name(), values.cloned().collect());
        }
    }
    Ok(given)
}

fn command(program: &'static str) -> Command {
    Command::new(program)
        .bin_name(program)
        .about("Run the daemon: the Docker Engine API, and the containers behind it.")
        .disable_version_flag(true)
        .args_override_self(true)
        .args(SETTINGS.iter().filter(|s| !s.flag.is_empty()).map(arg))
}

fn arg(setting: &Setting) -> Arg {
    let arg = Arg::new(setting.flag)
        .long(setting.flag)
        .help(setting.help)
        .value_name(setting.value);
    let arg = match setting.short {
        Some(letter) => arg.short(letter),
        None => arg,
    };
    match setting.kind {
        Kind::Bool => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(boolean),
        Kind::Number => arg.allow_negative_numbers(true).value_parser(integer),
        Kind::Text => arg.action(ArgAction::Set),
        Kind::List | Kind::Map => arg.action(ArgAction::Append),
    }
}

/// Go's booleans.
fn boolean(text: &str) -> Result<String, String> {
    types::boolean::parse(text)
        .map(|on| on.to_string())
        .ok_or_else(|| "it must be true or false".into())
}

fn integer(text: &str) -> Result<String, String> {
    let number = text.parse::<i64>().map_err(|e| e.to_string())?;
    Ok(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(args: &[&str]) -> BTreeMap<&'static str, Vec<String>> {
        let args: Vec<OsString> = [&["dockerd"], args]
            .concat()
            .iter()
            .map(Into::into)
            .collect();
        match read("dockerd", &args) {
            Ok(given) => given,
            Err(_) => panic!("{args:?} is refused"),
        }
    }

    #[test]
    fn the_command_is_sound() {
        command("dockerd").debug_assert();
    }

    #[test]
    fn flags_are_read_as_docker_reads_them() {
        let said = given(&[
            "-D",
            "--icc=0",
            "-H",
            "fd://",
            "-Htcp://:1",
            "--mtu=1400",
            "--init",
        ]);
        assert_eq!(said["debug"], ["true"]);
        assert_eq!(said["icc"], ["false"]);
        assert_eq!(said["hosts"], ["fd://", "tcp://:1"]);
        assert_eq!(
            (&said["mtu"][0][..], &said["init"][0][..]),
            ("1400", "true")
        );
        assert!(given(&[]).is_empty());
    }
}
