//! `--secret`.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::io::Read;
use types::build::Secret;

use super::attributes::pairs;
use crate::{
    error::{Error, Result},
    flags::Matches,
};

/// As BuildKit's.
const LARGEST: u64 = 500 * 1024;

/// Reads `id=…[,src=FILE|,env=NAME][,type=file|env]`.
fn secret(text: &str) -> Result<Secret> {
    let (mut id, mut file, mut variable, mut kind) =
        (String::new(), String::new(), String::new(), String::new());
    for (name, value) in pairs("secret", text)? {
        match name.as_str() {
            "id" => id = value,
            "source" | "src" => file = value,
            "env" => variable = value,
            "type" if matches!(value.as_str(), "file" | "env") => kind = value,
            "type" => {
                return Err(Error::msg(format!(
                    "ERROR: unsupported secret type \"{value}\""
                )));
            }
            other => {
                return Err(Error::msg(format!(
                    "ERROR: unexpected key '{other}' in '{other}={value}'"
                )));
            }
        }
    }
    if id.is_empty() {
        return Err(Error::msg("ERROR: secret id missing"));
    }
    if kind == "env" && variable.is_empty() {
        variable = std::mem::take(&mut file);
    }
    if variable.is_empty() && file.is_empty() {
        // Its own name says where it is.
        if kind != "file" && std::env::var_os(&id).is_some() {
            variable.clone_from(&id);
        } else {
            file.clone_from(&id);
        }
    }
    let value = if file.is_empty() {
        let value = std::env::var_os(&variable).unwrap_or_default();
        value.into_encoded_bytes()
    } else {
        read(&file)?
    };
    if value.len() as u64 > LARGEST {
        return Err(Error::msg(format!(
            "ERROR: secret {id} too big. max size 500KB"
        )));
    }
    Ok(Secret {
        id,
        value: STANDARD.encode(value),
    })
}

/// All of `--secret`.
pub(crate) fn secrets(m: &Matches) -> Result<Vec<Secret>> {
    m.all("secret").iter().map(|text| secret(text)).collect()
}

fn read(file: &str) -> Result<Vec<u8>> {
    let failed = |op, e: &std::io::Error| match Error::file(op, file, e) {
        Error::Message(text) => Error::msg(format!("ERROR: failed to read a secret: {text}")),
        other => other,
    };
    let opened = std::fs::File::open(file).map_err(|e| failed("open", &e))?;
    let mut value = Vec::new();
    opened
        .take(LARGEST + 1)
        .read_to_end(&mut value)
        .map_err(|e| failed("read", &e))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_files_and_variables() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("s");
        std::fs::write(&at, "hidden").unwrap();
        let value = |text: &str| secret(text).map(|s| (s.id, s.value));
        let path = at.display();
        let hidden = STANDARD.encode("hidden");
        assert_eq!(
            value(&format!("id=a,src={path}")).unwrap(),
            ("a".into(), hidden)
        );
        let home = STANDARD.encode(std::env::var("PATH").unwrap());
        assert_eq!(value("id=a,env=PATH").unwrap(), ("a".into(), home.clone()));
        assert_eq!(
            value("type=env,id=a,src=PATH").unwrap(),
            ("a".into(), home.clone())
        );
        assert_eq!(value("id=PATH").unwrap(), ("PATH".into(), home));
        std::fs::write(&at, vec![0; 500 * 1024 + 1]).unwrap();
        assert_eq!(
            value(&format!("id=a,src={path}")).unwrap_err().to_string(),
            "ERROR: secret a too big. max size 500KB"
        );
        assert_eq!(
            value("id=wharf-nosuch").unwrap_err().to_string(),
            "ERROR: failed to read a secret: open wharf-nosuch: no such file or directory"
        );
        for bad in ["src=x", "id=a,type=x", "id=a,x=y", "x"] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }
}
