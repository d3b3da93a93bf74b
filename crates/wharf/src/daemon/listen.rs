//! The sockets that the API is served on.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Who may use a Unix socket: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// A socket that is open.
#[derive(Debug)]
pub(crate) enum Socket {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

/// Opens `url`, in dockerd's forms.
pub(crate) fn open(url: &str, insecure_tcp: bool) -> Result<Socket> {
    let Some((scheme, rest)) = url.split_once("://") else {
        bail!("invalid -H {url}: use unix:///path or tcp://address:port");
    };
    match scheme {
        "unix" => unix(Path::new(rest)).with_context(|| format!("cannot listen on {url}")),
        "tcp" if !insecure_tcp => bail!(
            "refusing to listen on {url} without TLS: whoever reaches that port is root on this \
             host; use unix://, or add --insecure-tcp if that is what you want"
        ),
        "tcp" => tcp(rest).with_context(|| format!("cannot listen on {url}")),
        "fd" | "npipe" => bail!("-H {url}: {scheme}:// is not supported by wharf yet"),
        _ => bail!("invalid -H {url}: use unix:///path or tcp://address:port"),
    }
}

fn unix(path: &Path) -> Result<Socket> {
    if !path.is_absolute() {
        bail!("the path must be absolute");
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            bail!("{} exists and is no socket", path.display());
        }
        // What a killed daemon left is taken away; a socket that answers is another daemon's.
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => bail!("another daemon is listening there"),
            Err(_) => fs::remove_file(path)?,
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e.into()),
    }
    // Bound under a private name first: nobody connects before the mode is right.
    let hidden = path.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden)?;
    fs::set_permissions(&hidden, fs::Permissions::from_mode(SOCKET_MODE))?;
    fs::rename(&hidden, path)?;
    Ok(Socket::Unix(listener, path.into()))
}

fn tcp(address: &str) -> Result<Socket> {
    let address = match address.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => address.to_owned(),
    };
    Ok(Socket::Tcp(TcpListener::bind(&address)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_without_tls_needs_the_word() {
        assert!(
            open("tcp://127.0.0.1:0", false)
                .unwrap_err()
                .to_string()
                .contains("--insecure-tcp")
        );
        assert!(open("tcp://127.0.0.1:0", true).is_ok());
        assert!(open("what", true).is_err() && open("fd://", true).is_err());
    }

    #[test]
    fn a_left_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        drop(UnixListener::bind(&path).unwrap());
        let url = format!("unix://{}", path.display());
        let socket = open(&url, false).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            SOCKET_MODE
        );
        let error = format!("{:#}", open(&url, false).unwrap_err());
        assert!(error.contains("another daemon"), "{error}");
        drop(socket);
    }
}
