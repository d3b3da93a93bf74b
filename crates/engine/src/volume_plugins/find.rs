//! Where a plugin listens: a socket with its name, or a file with its name that says where.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde::Deserialize;

use super::{PluginAddress as Address, PluginPlaces, is_socket};

/// Longest file that says where a plugin is.
const LONGEST: u64 = 64 << 10;

/// A `.json` file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    addr: String,
    #[serde(rename = "TLSConfig", default)]
    tls: Option<serde_json::Value>,
}

/// Whether a plugin can be called so: a name becomes a part of a path.
pub(super) fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(good)
}

/// Finds the plugin `name`.
pub(super) fn find(places: &PluginPlaces, name: &str) -> Result<Address, String> {
    for dir in &places.sockets {
        for place in [
            dir.join(format!("{name}.sock")),
            dir.join(name).join(format!("{name}.sock")),
        ] {
            if is_socket(&place) {
                return Ok(Address::Unix(place));
            }
        }
    }
    for dir in &places.files {
        for base in [dir.join(name), dir.join(name).join(name)] {
            for ending in ["spec", "json"] {
                let mut file = base.clone().into_os_string();
                file.push(format!(".{ending}"));
                let file = PathBuf::from(file);
                let small = fs::metadata(&file).is_ok_and(|f| f.is_file() && f.len() <= LONGEST);
                if !small {
                    continue;
                }
                if let Ok(text) = fs::read_to_string(&file) {
                    return described(&text, ending)
                        .map_err(|why| format!("{}: {why}", file.display()));
                }
            }
        }
    }
    Err(format!("plugin {name:?} not found"))
}

fn described(text: &str, ending: &str) -> Result<Address, String> {
    let url = if ending == "json" {
        let described: Described = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if described.tls.is_some_and(|tls| !tls.is_null()) {
            return Err(
                "TLSConfig is not supported by wharf: let the plugin listen on a Unix socket"
                    .into(),
            );
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
        _ => Err(format!(
            "the address {url:?} is not supported: use unix:///path or tcp://address:port"
        )),
    }
}

/// Names of all that are found, sockets and files.
pub(super) fn names(places: &PluginPlaces) -> Vec<String> {
    let mut names = BTreeSet::new();
    let dirs = places.sockets.iter().map(|dir| (dir, &["sock"][..]));
    let files = places.files.iter().map(|dir| (dir, &["spec", "json"][..]));
    for (dir, endings) in dirs.chain(files) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(file) = entry.file_name().into_string() else {
                continue;
            };
            let plain = endings
                .iter()
                .find_map(|e| file.strip_suffix(&format!(".{e}")));
            let inner = endings
                .iter()
                .any(|e| entry.path().join(format!("{file}.{e}")).exists());
            names.extend(plain.map(str::to_owned));
            names.extend(inner.then_some(file));
        }
    }
    names.into_iter().filter(|name| is_name(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sockets_come_before_files() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("etc");
        fs::create_dir(&files).unwrap();
        let places = PluginPlaces {
            sockets: vec![dir.path().to_owned()],
            files: vec![files.clone()],
            patience: Duration::from_secs(1),
        };
        let look = |name| find(&places, name);
        assert_eq!(look("a").unwrap_err(), "plugin \"a\" not found");
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
        assert_eq!(names(&places), ["a", "b"]);
    }
}
