//! Credential helpers: programs called `docker-credential-…` that keep secrets elsewhere.
//!
//! A helper takes one verb as its argument and its input on standard input, answers on standard
//! output, and says there too what went wrong.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};
use types::image::RegistryAuth;

use crate::error::{Error, Result, errno_text};

/// What stands for the user's name where the secret is an identity token.
const TOKEN: &str = "<token>";
/// What helpers say of a server that they do not know.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// A pair as helpers write and read it.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Pair {
    #[serde(rename = "ServerURL")]
    server: String,
    username: String,
    secret: String,
}

/// Whether there is a program for `helper`.
pub(super) fn exists(helper: &str) -> bool {
    in_path(&format!("docker-credential-{helper}"))
}

/// Whether the search path has `program`.
pub(super) fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// The credentials for `server`, if the helper has any.
pub(super) fn get(helper: &str, server: &str) -> Result<Option<RegistryAuth>> {
    let answer = match call(helper, "get", server.as_bytes()) {
        Ok(answer) => answer,
        Err(e) if e.said == NOT_FOUND => return Ok(None),
        Err(e) => return Err(e.at("getting")),
    };
    let pair: Pair = parse(helper, &answer)?;
    let mut auth = RegistryAuth {
        serveraddress: server.to_owned(),
        ..RegistryAuth::default()
    };
    if pair.username == TOKEN {
        auth.identitytoken = pair.secret;
    } else {
        auth.username = pair.username;
        auth.password = pair.secret;
    }
    Ok(Some(auth))
}

/// Gives `auth` to the helper to keep.
pub(super) fn store(helper: &str, server: &str, auth: &RegistryAuth) -> Result {
    let (username, secret) = if auth.identitytoken.is_empty() {
        (auth.username.as_str(), auth.password.as_str())
    } else {
        (TOKEN, auth.identitytoken.as_str())
    };
    let pair = Pair {
        server: server.to_owned(),
        username: username.to_owned(),
        secret: secret.to_owned(),
    };
    let input = serde_json::to_vec(&pair).map_err(|e| Error::msg(e.to_string()))?;
    call(helper, "store", &input)
        .map(drop)
        .map_err(|e| e.at("storing"))
}

/// Has the helper forget `server`.
pub(super) fn erase(helper: &str, server: &str) -> Result {
    call(helper, "erase", server.as_bytes())
        .map(drop)
        .map_err(|e| e.at("erasing"))
}

fn parse<T: serde::de::DeserializeOwned>(helper: &str, answer: &[u8]) -> Result<T> {
    serde_json::from_slice(answer).map_err(|e| {
        Error::msg(format!(
            "docker-credential-{helper}: the answer cannot be read: {e}"
        ))
    })
}

/// A failed call: what happened to the program, and what it said.
struct Failure {
    why: String,
    said: String,
}

impl Failure {
    fn at(self, doing: &str) -> Error {
        Error::msg(format!(
            "error {doing} credentials - err: {}, out: `{}`",
            self.why, self.said
        ))
    }
}

fn call(helper: &str, verb: &str, input: &[u8]) -> std::result::Result<Vec<u8>, Failure> {
    let program = format!("docker-credential-{helper}");
    let silent = |why: String| Failure {
        why,
        said: String::new(),
    };
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| {
            let why = match e.kind() {
                std::io::ErrorKind::NotFound => "executable file not found in $PATH".to_owned(),
                _ => errno_text(&e),
            };
            silent(format!("exec: \"{program}\": {why}"))
        })?;
    // One that does not read its input may still answer well.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }
    let output = child
        .wait_with_output()
        .map_err(|e| silent(errno_text(&e)))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    use std::os::unix::process::ExitStatusExt;
    let why = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    Err(Failure {
        why,
        said: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    })
}
