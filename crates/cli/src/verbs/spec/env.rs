//! Environment variables and labels, from flags and files.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// `--env-file`'s variables, then `--env`'s. A name without a value takes it from our own
/// environment, and is left out when there is none.
pub(crate) fn variables(files: &[String], given: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for file in files {
        for line in lines(file)? {
            if let Some(line) = own(&line) {
                all.push(line);
            }
        }
    }
    // Unlike a file's, a flag's name without value is passed on when we do not have it: the
    // daemon then takes the image's variable away.
    all.extend(
        given
            .iter()
            .map(|text| own(text).unwrap_or_else(|| text.clone())),
    );
    Ok(all)
}

fn own(text: &str) -> Option<String> {
    if text.contains('=') {
        return Some(text.to_owned());
    }
    let value = std::env::var_os(text)?;
    Some(format!("{text}={}", value.to_string_lossy()))
}

/// `--label-file`'s labels, then `--label`'s.
pub(crate) fn labels(files: &[String], given: &[String]) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for file in files {
        // As docker: read like an environment, so that a name alone takes our variable's value and
        // is left out when there is none.
        let lines = lines(file)?;
        all.extend(lines.iter().filter_map(|l| own(l)).map(|l| split(&l)));
    }
    all.extend(given.iter().map(|l| split(l)));
    Ok(all)
}

fn split(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

/// The lines of `file` that say something.
fn lines(file: &str) -> Result<Vec<String>> {
    let bytes = std::fs::read(file).map_err(|e| Error::file("open", file, &e))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut found = Vec::new();
    for (number, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).map_err(|_| {
            let bytes: Vec<String> = line.iter().map(u8::to_string).collect();
            Error::msg(format!(
                "invalid env file ({file}): invalid utf8 bytes at line {}: [{}]",
                number + 1,
                bytes.join(" ")
            ))
        })?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(Error::msg(format!(
                "invalid env file ({file}): no variable name on line '{line}'"
            )));
        }
        if name.contains(char::is_whitespace) {
            return Err(Error::msg(format!(
                "invalid env file ({file}): variable '{name}' contains whitespaces"
            )));
        }
        found.push(line.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_first_and_names_take_our_values() {
        let dir = std::env::temp_dir().join(format!("wharf-cli-env-{}", std::process::id()));
        std::fs::write(
            &dir,
            "# comment\n\nA=1\n  B=2\r\nPATH\nNO_SUCH_VARIABLE_HERE\n",
        )
        .unwrap();
        let file = dir.to_string_lossy().into_owned();
        let all = variables(
            std::slice::from_ref(&file),
            &["C=3".into(), "NO_SUCH_VARIABLE_HERE".into()],
        )
        .unwrap();
        std::fs::remove_file(&dir).unwrap();
        assert_eq!(all[..2], ["A=1", "B=2"]);
        assert!(all[2].starts_with("PATH="));
        assert_eq!(all[3..], ["C=3", "NO_SUCH_VARIABLE_HERE"]);
        let error = variables(std::slice::from_ref(&file), &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("open {file}: no such file or directory")
        );
    }
}
