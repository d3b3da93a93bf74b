//! Where a plugin listens: a socket with its name, or a file with its name that says where.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::client::{Address, Plugin};

/// Where sockets are.
const SOCKETS: &str = "/run/docker/plugins";
/// Where files are, the first before the second.
const FILES: [&str; 2] = ["/etc/docker/plugins", "/usr/lib/docker/plugins"];

/// A `.json` file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    addr: String,
    #[serde(rename = "TLSConfig", default)]
    tls: Option<serde_json::Value>,
}

/// Finds the plugin; `name` is a plain name of a file.
pub(super) fn find(name: &str) -> Result<Plugin> {
    let address = look(name, Path::new(SOCKETS), &FILES.map(Path::new))?;
    Ok(Plugin {
        name: name.to_owned(),
        address,
    })
}

fn look(name: &str, sockets: &Path, files: &[&Path]) -> Result<Address> {
    for place in [
        sockets.join(format!("{name}.sock")),
        sockets.join(name).join(format!("{name}.sock")),
    ] {
        if is_socket(&place) {
            return Ok(Address::Unix(place));
        }
    }
    for dir in files {
        for base in [dir.join(name), dir.join(name).join(name)] {
            for ending in ["spec", "json"] {
                let mut file = base.clone().into_os_string();
                file.push(format!(".{ending}"));
                let file = PathBuf::from(file);
                if let Ok(text) = fs::read_to_string(&file) {
                    return described(&text, ending).with_context(|| file.display().to_string());
                }
            }
        }
    }
    bail!(
        "plugin \"{name}\" not found: there is no {}/{name}.sock",
        sockets.display()
    )
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|there| there.file_type().is_socket())
}

fn described(text: &str, ending: &str) -> Result<Address> {
    let url = if ending == "json" {
        let described: Described = serde_json::from_str(text)?;
        if described.tls.is_some_and(|tls| !tls.is_null()) {
            bail!("TLSConfig is not supported by wharf: let the plugin listen on a Unix socket");
        }
        described.addr
    } else {
        text.trim().to_owned()
    };
    match url.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Address::Unix(path.into())),
        Some(("tcp" | "http", address)) => {
            Ok(Address::Tcp(address.trim_end_matches('/').to_owned()))
        }
        _ => bail!("the address {url:?} is not supported: use unix:///path or tcp://address:port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_come_before_files() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("etc");
        fs::create_dir(&files).unwrap();
        let look = |name| look(name, dir.path(), &[&files]);
        assert!(
            look("a")
                .unwrap_err()
                .to_string()
                .contains("plugin \"a\" not found")
        );
        fs::write(
            files.join("a.json"),
            r#"{"Name": "a", "Addr": "tcp://127.0.0.1:1"}"#,
        )
        .unwrap();
        assert_eq!(look("a").unwrap(), Address::Tcp("127.0.0.1:1".into()));
        fs::write(files.join("a.spec"), "unix:///x\n").unwrap();
        assert_eq!(look("a").unwrap(), Address::Unix("/x".into()));
        let path = dir.path().join("a.sock");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(look("a").unwrap(), Address::Unix(path));
        fs::write(
            files.join("b.json"),
            r#"{"Addr": "https://h", "TLSConfig": {}}"#,
        )
        .unwrap();
        assert!(look("b").is_err());
    }
}
