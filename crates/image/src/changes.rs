//! Dockerfile instructions that change an image's configuration, as `import --change` takes them.

use crate::config::RunConfig;
use crate::error::{Error, Result};

fn bad(line: &str, why: &str) -> Error {
    Error::Invalid(format!("change {line:?}: {why}"))
}

/// Applies one instruction.
pub(crate) fn apply(config: &mut RunConfig, line: &str) -> Result<()> {
    let (instruction, rest) = line
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((line.trim(), ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Err(bad(line, "the instruction needs a value"));
    }
    match instruction.to_uppercase().as_str() {
        "CMD" => config.cmd = Some(command(rest)),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest)),
        "ENV" => {
            for (key, value) in pairs(line, rest)? {
                config
                    .env
                    .retain(|known| known.split('=').next() != Some(key.as_str()));
                config.env.push(format!("{key}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(line, rest)?),
        "WORKDIR" => {
            config.working_dir = if rest.starts_with('/') {
                rest.to_owned()
            } else {
                format!("{}/{rest}", config.working_dir.trim_end_matches('/'))
            };
        }
        "USER" => config.user = rest.to_owned(),
        "STOPSIGNAL" => config.stop_signal = Some(rest.to_owned()),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                expose(config, line, port)?;
            }
        }
        "VOLUME" => {
            let list = json_list(rest);
            for volume in
                list.unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect())
            {
                if !config.volumes.contains(&volume) {
                    config.volumes.push(volume);
                }
            }
        }
        other => {
            return Err(Error::Unsupported(format!(
                "change {line:?}: {other} is not supported here; CMD, ENTRYPOINT, ENV, EXPOSE, \
                 LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR are"
            )));
        }
    }
    Ok(())
}

fn json_list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// A JSON list as it is; anything else is for the shell.
fn command(text: &str) -> Vec<String> {
    json_list(text).unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
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

/// `key=value` pairs with quotes, or the old `key value`.
fn pairs(line: &str, text: &str) -> Result<Vec<(String, String)>> {
    let words = words(text).ok_or_else(|| bad(line, "a quote is not closed"))?;
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text
            .split_once(char::is_whitespace)
            .ok_or_else(|| bad(line, "write it as name=value"))?;
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    words
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(bad(line, "write it as name=value")),
        })
        .collect()
}

/// Splits at white space outside quotes, and takes quotes and backslashes away.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().push(chars.next()?),
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_the_configuration() {
        let mut config = RunConfig::default();
        for line in [
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
        ] {
            apply(&mut config, line).unwrap();
        }
        assert_eq!(config.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
        assert_eq!(config.env, ["B=x y", "A=2", "C=old way"]);
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
    }

    #[test]
    fn others_are_refused_by_name() {
        let mut config = RunConfig::default();
        let error = apply(&mut config, "RUN rm -rf /").unwrap_err().to_string();
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
        ] {
            assert!(apply(&mut config, bad).is_err(), "{bad}");
        }
    }
}
