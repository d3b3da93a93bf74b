//! Debian's `docker-registry`, with a store of its own, in any namespace.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::cmd::{Running, run};
use crate::host::Ns;
use crate::http::Client;
use crate::poll::eventually;
use crate::token::TokenServer;

/// Who may use a [`Registry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Everybody.
    None,
    /// [`Registry::USER`], by HTTP's basic authentication.
    Basic,
    /// [`Registry::USER`], by a token of a server that the registry names.
    Bearer,
    /// Everybody may pull, by a token that is given without a password.
    BearerAnonymous,
}

/// A running registry, without TLS unless it was started [`Registry::with_tls`].
pub struct Registry {
    address: SocketAddr,
    auth: Auth,
    dir: TempDir,
    _tokens: Option<TokenServer>,
    _process: Arc<Running>,
}

impl Registry {
    /// The user who is let in where one is needed.
    pub const USER: &str = "captain";
    /// The user's password.
    pub const PASSWORD: &str = "se:cret pass";

    /// Starts a registry that listens at `ip` in `ns`.
    #[track_caller]
    pub fn start(ns: &Ns, ip: impl Into<IpAddr>, auth: Auth) -> Self {
        Self::launch(ns, ip.into(), auth, false)
    }

    /// The same with TLS, by an authority of its own: [`Registry::authority`].
    #[track_caller]
    pub fn with_tls(ns: &Ns, ip: impl Into<IpAddr>, auth: Auth) -> Self {
        Self::launch(ns, ip.into(), auth, true)
    }

    #[track_caller]
    fn launch(ns: &Ns, ip: IpAddr, auth: Auth, tls: bool) -> Self {
        let dir = TempDir::new().expect("/tmp is writable");
        let address = ns.within(|| {
            let free = TcpListener::bind((ip, 0)).expect("the namespace has the address");
            free.local_addr().expect("a bound socket")
        });
        let tokens = matches!(auth, Auth::Bearer | Auth::BearerAnonymous)
            .then(|| TokenServer::start(ns, ip, dir.path(), auth == Auth::BearerAnonymous));
        let config = dir.path().join("config.yml");
        let mut text = configuration(dir.path(), address, auth, tokens.as_ref());
        if tls {
            text = with_certificate(dir.path(), ip, &text);
        }
        fs::write(&config, text).expect("our own folder");
        let log = fs::File::create(dir.path().join("log")).expect("our own folder");
        drop(log);
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null());
        command.env("OTEL_TRACES_EXPORTER", "none");
        let process = ns.start(&mut command);
        eventually("the registry to answer", || {
            if tls {
                return ns.within(|| std::net::TcpStream::connect(address)).is_ok();
            }
            ns.within(|| Client::tcp(address).try_send("GET", "/v2/", &[], &[]))
                .is_ok_and(|r| matches!(r.status, 200 | 401))
        });
        Self {
            address,
            auth,
            dir,
            _tokens: tokens,
            _process: Arc::new(process),
        }
    }

    /// Where it listens, which is also how references to its images begin.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority behind the registry's own.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("tls.crt")
    }

    /// `address/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Pushes the image of a docker-archive as `name` (with its tag) by `skopeo`, which compresses
    /// the layers; returns the manifest's digest.
    #[track_caller]
    pub fn push(&self, ns: &Ns, archive: &Path, name: &str) -> String {
        self.push_with(ns, archive, name, &[])
    }

    /// [`Registry::push`] with more flags for `skopeo copy`, such as `--format=oci`.
    #[track_caller]
    pub fn push_with(&self, ns: &Ns, archive: &Path, name: &str, flags: &[&str]) -> String {
        let digest = self.dir.path().join("digest");
        let mut command = Command::new("skopeo");
        command
            .args([
                "--insecure-policy",
                "copy",
                "--dest-tls-verify=false",
                "--quiet",
            ])
            .arg(format!("--digestfile={}", digest.display()))
            .args(flags)
            .arg(format!("docker-archive:{}", archive.display()))
            .arg(format!("docker://{}", self.reference(name)));
        if self.auth != Auth::None {
            command.arg(format!("--dest-creds={}:{}", Self::USER, Self::PASSWORD));
        }
        ns.within(|| run(&mut command)).ok();
        fs::read_to_string(digest).expect("skopeo wrote it")
    }

    /// The file that holds a blob, for a test that damages it.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self
            .dir
            .path()
            .join("store/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

/// The same configuration with TLS, by a certificate that vouches for itself.
fn with_certificate(dir: &Path, ip: IpAddr, text: &str) -> String {
    let (key, certificate) = (dir.join("tls.key"), dir.join("tls.crt"));
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=registry", "-addext"])
        .arg(format!("subjectAltName=IP:{ip}"))
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    run(&mut openssl).ok();
    text.replace(
        "secret: unused}",
        &format!(
            "secret: unused, tls: {{certificate: {}, key: {}}}}}",
            certificate.display(),
            key.display()
        ),
    )
}

fn configuration(
    dir: &Path,
    address: SocketAddr,
    auth: Auth,
    tokens: Option<&TokenServer>,
) -> String {
    let mut text = format!(
        "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {0}/store}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '{address}', secret: unused}}\n",
        dir.display()
    );
    match (auth, tokens) {
        (Auth::Basic, _) => {
            let line =
                run(Command::new("htpasswd").args(["-nbB", Registry::USER, Registry::PASSWORD]))
                    .ok();
            let file = dir.join("htpasswd");
            fs::write(&file, line.trim_end()).expect("our own folder");
            text += &format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                file.display()
            );
        }
        (_, Some(tokens)) => {
            text += &format!(
                "auth: {{token: {{realm: '{}', service: test, issuer: testkit, \
                 rootcertbundle: {}}}}}\n",
                tokens.realm(),
                tokens.certificate().display()
            );
        }
        _ => {}
    }
    text
}
