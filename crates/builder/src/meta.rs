//! Instructions that change nothing but the configuration.

use std::{collections::HashSet, time::Duration};

use dockerfile::{Command, Healthcheck, Instruction, expand, expand_words};
use image::{Healthcheck as ImageHealthcheck, RunConfig};

use crate::{
    error::{Error, Result},
    vars::{Args, Scope, set_env},
};

/// Docker's shell, where a file says no other.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The shell of shell forms.
pub(crate) fn shell(config: &RunConfig) -> Vec<String> {
    config
        .shell
        .clone()
        .filter(|shell| !shell.is_empty())
        .unwrap_or_else(|| SHELL.map(str::to_owned).to_vec())
}

/// Program and arguments.
pub(crate) fn argv(command: &Command, config: &RunConfig) -> Vec<String> {
    match command {
        Command::Exec(argv) => argv.clone(),
        Command::Shell(text) => {
            let mut argv = shell(config);
            argv.push(text.clone());
            argv
        }
    }
}

/// Applies one that is none of `RUN`, `COPY`, `ADD`, `WORKDIR` and `ARG`, and answers how the
/// history has it.
pub(crate) fn apply(
    instruction: &Instruction,
    source: &str,
    config: &mut RunConfig,
    author: &mut Option<String>,
    cmd_set: &mut bool,
    args: &Args,
    escape: char,
) -> Result<String> {
    // What an ENV sets is not seen by the same line.
    let env = config.env.clone();
    let scope = Scope { env: &env, args };
    let word = |text: &str| {
        expand(text, escape, &scope)
            .map(|e| e.text)
            .map_err(Error::invalid)
    };
    match instruction {
        Instruction::Env(pairs) => {
            let mut text = "ENV".to_owned();
            for (name, value) in pairs {
                let (name, value) = (word(name)?, word(value)?);
                if name.is_empty() {
                    return Err(Error::invalid("ENV names can not be blank"));
                }
                set_env(&mut config.env, &name, &value);
                text = format!("{text} {name}={value}");
            }
            return Ok(text);
        }
        Instruction::Label(pairs) => {
            let mut text = "LABEL".to_owned();
            for (name, value) in pairs {
                let (name, value) = (word(name)?, word(value)?);
                text = format!("{text} {name}={value}");
                config.labels.insert(name, value);
            }
            return Ok(text);
        }
        Instruction::Cmd(command) => {
            let argv = argv(command, config);
            let text = format!("CMD {}", json(&argv));
            config.cmd = Some(argv);
            *cmd_set = true;
            return Ok(text);
        }
        Instruction::Entrypoint(command) => {
            let empty = matches!(command, Command::Shell(text) if text.is_empty());
            let argv = if empty {
                Vec::new()
            } else {
                argv(command, config)
            };
            let text = format!("ENTRYPOINT {}", json(&argv));
            config.entrypoint = Some(argv).filter(|a| !a.is_empty());
            // The base image's arguments were for its own program.
            if !*cmd_set {
                config.cmd = None;
            }
            return Ok(text);
        }
        Instruction::Expose(ports) => {
            let mut known: HashSet<String> = config.exposed_ports.iter().cloned().collect();
            for port in ports {
                for port in expand_words(port, escape, &scope).map_err(Error::invalid)? {
                    expose(config, &mut known, &port)?;
                }
            }
        }
        Instruction::Volume(paths) => {
            for path in paths {
                let path = word(path)?;
                if path.is_empty() {
                    return Err(Error::invalid(
                        "VOLUME specified can not be an empty string",
                    ));
                }
                if !config.volumes.contains(&path) {
                    config.volumes.push(path);
                }
            }
        }
        Instruction::User(user) => {
            config.user = word(user)?;
            return Ok(format!("USER {}", config.user));
        }
        Instruction::Shell(shell) => config.shell = Some(shell.clone()),
        Instruction::Stopsignal(signal) => {
            let signal = word(signal)?;
            if types::signal::parse(&signal).is_none() {
                return Err(Error::invalid(format!("invalid signal: {signal}")));
            }
            config.stop_signal = Some(signal);
        }
        Instruction::Healthcheck(check) => {
            config.healthcheck = Some(healthcheck(check));
        }
        Instruction::Onbuild(trigger) => {
            let list = config.on_build.get_or_insert_with(Vec::new);
            list.push(trigger.source.clone());
        }
        Instruction::Maintainer(name) => *author = Some(name.clone()),
        Instruction::Run(_)
        | Instruction::Copy(_)
        | Instruction::Add(_)
        | Instruction::Workdir(_)
        | Instruction::Arg(_) => {
            return Err(Error::invalid(format!("{source} does more than configure")));
        }
    }
    Ok(source.to_owned())
}

fn json(argv: &[String]) -> String {
    let parts: Vec<_> = argv.iter().map(|a| format!("{a:?}")).collect();
    format!("[{}]", parts.join(" "))
}

fn healthcheck(check: &Healthcheck) -> ImageHealthcheck {
    let Healthcheck::Test {
        test,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    } = check
    else {
        return ImageHealthcheck {
            test: Some(vec!["NONE".to_owned()]),
            ..ImageHealthcheck::default()
        };
    };
    let test = match test {
        Command::Exec(argv) => [vec!["CMD".to_owned()], argv.clone()].concat(),
        // By the image's shell, whatever that is when it runs.
        Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
    };
    let nanos = |d: &Option<Duration>| d.map(|d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    ImageHealthcheck {
        test: Some(test),
        interval: nanos(interval),
        timeout: nanos(timeout),
        start_period: nanos(start_period),
        start_interval: nanos(start_interval),
        retries: retries.map(i64::from),
    }
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn expose(config: &mut RunConfig, known: &mut HashSet<String>, text: &str) -> Result<()> {
    let bad = || Error::invalid(format!("invalid containerPort: {text}"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "" => "tcp".to_owned(),
        named => named.to_lowercase(),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Error::invalid(format!("invalid proto: {protocol}")));
    }
    // As `-p` writes it, only what the container has counts.
    let ports = ports.rsplit_once(':').map_or(ports, |(_, p)| p);
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().map_err(|_| bad());
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(bad());
    }
    for port in first..=last {
        let port = format!("{port}/{protocol}");
        if known.insert(port.clone()) {
            config.exposed_ports.push(port);
        }
    }
    Ok(())
}
