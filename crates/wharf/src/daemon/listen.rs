//! The sockets that the API is served on.

use std::{
    fs, io,
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, PermissionsExt, chown},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, bail};
use rustls::ServerConfig;
use sys::activation::Handed;

use super::{
    settings::{Listening, Name},
    tls,
};

/// Who may use a Unix socket: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// A socket that is open.
#[derive(Debug)]
pub(crate) enum Socket {
    /// A path of our own, or none: a socket that was handed over stays.
    Unix(UnixListener, Option<PathBuf>),
    Tcp(TcpListener),
    Tls(TcpListener, Arc<ServerConfig>),
}

/// Opens all of `hosts`, in dockerd's forms; `handed` is what a service manager gave.
pub(crate) fn open(
    hosts: &[String],
    how: &Listening,
    mut handed: Vec<Handed>,
) -> Result<Vec<Socket>> {
    let tls = how.tls.as_ref().map(tls::config).transpose()?;
    let opener = Opener { how, tls };
    let mut sockets = Vec::new();
    for url in hosts {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| anyhow!("invalid -H {url}"))?;
        let open = || format!("cannot listen on {url}");
        match scheme {
            "unix" => sockets.push(opener.unix(Path::new(rest)).with_context(open)?),
            "tcp" => sockets.push(opener.tcp(url, rest).with_context(open)?),
            "fd" => sockets.extend(opener.handed(rest, &mut handed).with_context(open)?),
            _ => bail!("invalid -H {url}: use unix:///path, tcp://address:port or fd://"),
        }
    }
    for left in handed {
        tracing::warn!(
            "the socket {} ({}) was handed over and is not used",
            left.number,
            left.name
        );
    }
    Ok(sockets)
}

/// Refuses ports that would make everybody root.
pub(crate) fn allowed(how: &Listening, url: &str) -> Result<()> {
    if how.tls.is_none() && !how.insecure_tcp {
        bail!(
            "refusing to listen on {url} without TLS: whoever reaches that port is root on this \
             host; use unix://, or --tlsverify with certificates, or add --insecure-tcp if that \
             is what you want"
        );
    }
    Ok(())
}

struct Opener<'a> {
    how: &'a Listening,
    tls: Option<Arc<ServerConfig>>,
}

impl Opener<'_> {
    fn unix(&self, path: &Path) -> Result<Socket> {
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
        let group = self.group()?;
        // Bound under a private name first: nobody connects before the mode is right.
        let hidden = path.with_extension(format!("{}.new", std::process::id()));
        let _ = fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden)?;
        fs::set_permissions(&hidden, fs::Permissions::from_mode(SOCKET_MODE))?;
        if let Some(gid) = group {
            chown(&hidden, None, Some(gid))?;
        }
        fs::rename(&hidden, path)?;
        Ok(Socket::Unix(listener, Some(path.into())))
    }

    /// The number of the sockets' group. dockerd's default group need not be there.
    fn group(&self) -> Result<Option<u32>> {
        let Some(name) = &self.how.group else {
            return Ok(None);
        };
        if let Ok(gid) = name.parse() {
            return Ok(Some(gid));
        }
        let text = fs::read_to_string("/etc/group").context("read /etc/group")?;
        let found = text.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
        });
        match found {
            Some(gid) => Ok(Some(gid)),
            None if name == "docker" && self.how.name == Name::Dockerd => {
                tracing::warn!("there is no group docker: the socket is root's");
                Ok(None)
            }
            None => bail!("group {name} not found"),
        }
    }

    fn tcp(&self, url: &str, address: &str) -> Result<Socket> {
        allowed(self.how, url)?;
        let address = with_defaults(address, self.tls.is_some());
        Ok(self.port(TcpListener::bind(&address)?))
    }

    fn port(&self, listener: TcpListener) -> Socket {
        match &self.tls {
            Some(tls) => Socket::Tls(listener, Arc::clone(tls)),
            None => Socket::Tcp(listener),
        }
    }

    /// All that were handed over, or those of a number or name.
    fn handed(&self, which: &str, handed: &mut Vec<Handed>) -> Result<Vec<Socket>> {
        let wanted = |h: &Handed| match which {
            "" | "*" => true,
            one => {
                h.number.to_string() == one || h.name == one || h.name == format!("{one}.socket")
            }
        };
        let (taken, rest): (Vec<_>, Vec<_>) = handed.drain(..).partition(wanted);
        *handed = rest;
        if taken.is_empty() {
            bail!(
                "no sockets found via socket activation: make sure the service was started by \
                 systemd"
            );
        }
        taken.into_iter().map(|h| self.adopt(h)).collect()
    }

    fn adopt(&self, handed: Handed) -> Result<Socket> {
        use rustix::net::{AddressFamily, sockopt};
        let what = format!("the socket {} ({})", handed.number, handed.name);
        let fd: OwnedFd = handed.socket;
        let look = || -> rustix::io::Result<_> {
            let fd = fd.as_fd();
            Ok((sockopt::socket_domain(fd)?, sockopt::socket_acceptconn(fd)?))
        };
        match look() {
            Ok((AddressFamily::UNIX, true)) => Ok(Socket::Unix(fd.into(), None)),
            Ok((AddressFamily::INET | AddressFamily::INET6, true)) => {
                allowed(self.how, &what)?;
                Ok(self.port(fd.into()))
            }
            Ok(_) => bail!("{what} does not listen: use ListenStream= in its unit, and Accept=no"),
            Err(error) => Err(error).context(what),
        }
    }
}

/// As dockerd: all addresses, and its ports, where nothing is said.
fn with_defaults(address: &str, tls: bool) -> String {
    let port = if tls { 2376 } else { 2375 };
    let address = address.trim_end_matches('/');
    let bare_v6 = address.starts_with('[') && address.ends_with(']');
    let (host, port) = match address.rsplit_once(':') {
        Some((host, given)) if !bare_v6 && !given.is_empty() => (host, given.to_owned()),
        Some((host, _)) if !bare_v6 => (host, port.to_string()),
        _ => (address, port.to_string()),
    };
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    format!("{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(url: &str, insecure_tcp: bool, group: Option<&str>) -> Result<Socket> {
        let how = Listening {
            name: Name::Wharf,
            insecure_tcp,
            tls: None,
            group: group.map(Into::into),
        };
        open(&[url.to_owned()], &how, Vec::new()).map(|mut all| all.remove(0))
    }

    #[test]
    fn tcp_without_tls_needs_the_word() {
        let error = format!("{:#}", one("tcp://127.0.0.1:0", false, None).unwrap_err());
        assert!(error.contains("--insecure-tcp"), "{error}");
        assert!(one("tcp://127.0.0.1:0", true, None).is_ok());
        assert!(one("what", true, None).is_err());
        let error = format!("{:#}", one("fd://", true, None).unwrap_err());
        assert!(
            error.contains("no sockets found via socket activation"),
            "{error}"
        );
    }

    #[test]
    fn addresses_are_completed_as_dockerd_does() {
        for (text, tls, whole) in [
            (":1", false, "0.0.0.0:1"),
            ("", true, "0.0.0.0:2376"),
            ("10.0.0.1", false, "10.0.0.1:2375"),
            ("10.0.0.1:", true, "10.0.0.1:2376"),
            ("[::1]", true, "[::1]:2376"),
            ("[::1]:9", true, "[::1]:9"),
        ] {
            assert_eq!(with_defaults(text, tls), whole);
        }
    }

    #[test]
    fn a_left_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        drop(UnixListener::bind(&path).unwrap());
        let url = format!("unix://{}", path.display());
        let socket = one(&url, false, None).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            SOCKET_MODE
        );
        let error = format!("{:#}", one(&url, false, None).unwrap_err());
        assert!(error.contains("another daemon"), "{error}");
        drop(socket);
        let error = format!("{:#}", one(&url, false, Some("no-such-group")).unwrap_err());
        assert!(error.contains("group no-such-group not found"), "{error}");
    }
}
