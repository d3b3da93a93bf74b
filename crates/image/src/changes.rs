//! Dockerfile instructions that change an image's configuration, as `import --change` and
//! `commit --change` take them.

use dockerfile::{Command, Instruction, Variables};

use crate::config::{Healthcheck, RunConfig};
use crate::error::{Error, Result};

fn bad(line: &str, why: &str) -> Error {
    Error::Invalid(format!("change {line:?}: {why}"))
}

/// Applies instructions in their order.
pub(crate) fn apply(config: &mut RunConfig, changes: &[String]) -> Result<()> {
    let mut command_set = false;
    for line in changes {
        one(config, line, &mut command_set)?;
    }
    Ok(())
}

/// Variables of the configuration.
struct Environment(Vec<String>);

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.iter().filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(known, value)| (known == name).then(|| value.to_owned()))
    }
}

fn one(config: &mut RunConfig, line: &str, command_set: &mut bool) -> Result<()> {
    let read = dockerfile::parse_instruction(line).map_err(|error| {
        let hint = error
            .hint
            .map_or(String::new(), |hint| format!(" ({hint})"));
        bad(line, &format!("{}{hint}", error.message))
    })?;
    let environment = Environment(config.env.clone());
    let expand = |word: &str| {
        let read = dockerfile::expand(word, '\\', &environment);
        read.map(|read| read.text).map_err(|why| bad(line, &why))
    };
    let pairs = |pairs: Vec<(String, String)>| -> Result<Vec<(String, String)>> {
        let expanded = pairs.iter().map(|(k, v)| Ok((expand(k)?, expand(v)?)));
        expanded.collect()
    };
    match read.value {
        Instruction::Cmd(Command::Shell(text)) if text.is_empty() => {
            return Err(bad(line, "the instruction needs a value"));
        }
        Instruction::Entrypoint(Command::Shell(text)) if text.is_empty() => {
            return Err(bad(line, "the instruction needs a value"));
        }
        Instruction::Cmd(command) => {
            config.cmd = Some(words(config, command));
            *command_set = true;
        }
        Instruction::Entrypoint(command) => {
            config.entrypoint = Some(words(config, command));
            // As in Docker: a command that was made for another entry point is none for this one.
            if !*command_set {
                config.cmd = None;
            }
        }
        Instruction::Env(list) => {
            for (name, value) in pairs(list)? {
                set(&mut config.env, &name, &value);
            }
        }
        Instruction::Label(list) => config.labels.extend(pairs(list)?),
        Instruction::Workdir(path) => {
            let path = expand(&path)?;
            config.working_dir = if path.starts_with('/') {
                path
            } else {
                format!("{}/{path}", config.working_dir.trim_end_matches('/'))
            };
        }
        Instruction::User(user) => config.user = expand(&user)?,
        Instruction::Stopsignal(signal) => config.stop_signal = Some(expand(&signal)?),
        Instruction::Expose(ports) => {
            for port in ports {
                let ports = dockerfile::expand_words(&port, '\\', &environment);
                for port in ports.map_err(|why| bad(line, &why))? {
                    expose(config, line, &port)?;
                }
            }
        }
        Instruction::Volume(volumes) => {
            for volume in volumes {
                let volume = expand(&volume)?;
                if !config.volumes.contains(&volume) {
                    config.volumes.push(volume);
                }
            }
        }
        Instruction::Healthcheck(check) => {
            config.healthcheck = Some(healthcheck(check).map_err(|why| bad(line, why))?);
        }
        Instruction::Onbuild(trigger) => {
            config.on_build.get_or_insert_default().push(trigger.source);
        }
        Instruction::Add(_)
        | Instruction::Copy(_)
        | Instruction::Run(_)
        | Instruction::Arg(_)
        | Instruction::Shell(_)
        | Instruction::Maintainer(_) => {
            let keyword = read.source.split(' ').next().unwrap_or_default();
            return Err(Error::Unsupported(format!(
                "change {line:?}: {keyword} is not supported here; CMD, ENTRYPOINT, ENV, EXPOSE, \
                 HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR are"
            )));
        }
    }
    Ok(())
}

/// A JSON list as it is; anything else is for the shell.
fn words(config: &RunConfig, command: Command) -> Vec<String> {
    match command {
        Command::Exec(list) => list,
        Command::Shell(text) => {
            let usual = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
            let mut words = config.shell.clone().unwrap_or_else(usual);
            words.push(text);
            words
        }
    }
}

/// Sets a variable in its place.
fn set(environment: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    let known = |known: &&mut String| known.split('=').next() == Some(name);
    match environment.iter_mut().find(known) {
        Some(place) => *place = pair,
        None => environment.push(pair),
    }
}

fn healthcheck(check: dockerfile::Healthcheck) -> Result<Healthcheck, &'static str> {
    let dockerfile::Healthcheck::Test {
        test,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    } = check
    else {
        return Ok(Healthcheck {
            test: Some(vec!["NONE".to_owned()]),
            ..Healthcheck::default()
        });
    };
    let (kind, words) = match test {
        Command::Exec(list) => ("CMD", list),
        Command::Shell(text) => ("CMD-SHELL", vec![text]),
    };
    let nanos = |time: Option<std::time::Duration>| {
        let nanos = time.map(|time| i64::try_from(time.as_nanos()));
        nanos.transpose().map_err(|_| "a time is too long")
    };
    Ok(Healthcheck {
        test: Some([vec![kind.to_owned()], words].concat()),
        interval: nanos(interval)?,
        timeout: nanos(timeout)?,
        start_period: nanos(start_period)?,
        start_interval: nanos(start_interval)?,
        retries: retries.map(i64::from),
    })
}

fn expose(config: &mut RunConfig, line: &str, text: &str) -> Result<()> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first > 0 && first <= last => (first, last),
        _ => return Err(bad(line, "that is not a port or a range of ports")),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(bad(line, "the protocol must be tcp, udp or sctp"));
    }
    for port in first..=last {
        let port = format!("{port}/{protocol}");
        if !config.exposed_ports.contains(&port) {
            config.exposed_ports.push(port);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_the_configuration() {
        let mut config = RunConfig::default();
        let changes = [
            r#"CMD ["a","b c"]"#,
            "entrypoint run it",
            r#"ENV A=1 B="x y" A=2"#,
            "ENV C  old way",
            "EXPOSE 80 81/udp 90-91",
            r#"LABEL a.b="c d""#,
            "WORKDIR /a",
            "WORKDIR b",
            "USER 1:2",
            r#"VOLUME ["/x"]"#,
            "VOLUME /y /x",
            "STOPSIGNAL SIGINT",
            "ENV D=$A:'$A'",
            "HEALTHCHECK --interval=5s --retries=2 CMD check it",
            "ONBUILD run a  b",
        ];
        apply(&mut config, &changes.map(str::to_owned)).unwrap();
        assert_eq!(config.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
        assert_eq!(config.env, ["A=2", "B=x y", "C=old way", "D=2:$A"]);
        assert_eq!(
            config.exposed_ports,
            ["80/tcp", "81/udp", "90/tcp", "91/tcp"]
        );
        assert_eq!(config.labels["a.b"], "c d");
        assert_eq!(
            (config.working_dir.as_str(), config.user.as_str()),
            ("/a/b", "1:2")
        );
        assert_eq!(config.volumes, ["/x", "/y"]);
        assert_eq!(config.stop_signal.unwrap(), "SIGINT");
        let check = config.healthcheck.unwrap();
        assert_eq!(check.test.unwrap(), ["CMD-SHELL", "check it"]);
        assert_eq!(
            (check.interval, check.retries),
            (Some(5_000_000_000), Some(2))
        );
        assert_eq!(config.on_build.unwrap(), ["RUN a  b"]);
    }

    #[test]
    fn an_entry_point_takes_the_command_before_away() {
        let mut config = RunConfig {
            cmd: Some(vec!["old".into()]),
            ..RunConfig::default()
        };
        let changes = ["ENTRYPOINT [\"a\"]", "HEALTHCHECK NONE"];
        apply(&mut config, &changes.map(str::to_owned)).unwrap();
        assert_eq!(config.cmd, None);
        assert_eq!(config.healthcheck.unwrap().test.unwrap(), ["NONE"]);
    }

    #[test]
    fn others_are_refused_by_name() {
        let mut config = RunConfig::default();
        let error = apply(&mut config, &["RUN rm -rf /".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("RUN is not supported"), "{error}");
        for bad in [
            "CMD",
            "",
            "ENV A=\"x",
            "ENV A",
            "EXPOSE x",
            "EXPOSE 0",
            "EXPOSE 1/icmp",
            "ENV A=1 b",
            "SHELL [\"a\"]",
            "FROM a",
            "ONBUILD FROM a",
            "HEALTHCHECK --interval=x CMD a",
            "USER ${none:?must be set}",
        ] {
            assert!(apply(&mut config, &[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
