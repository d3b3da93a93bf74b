//! Certificates as an administrator makes them: with `openssl`, by a CA of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::cmd::run;

/// A CA and what it has signed.
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// A new CA, with a certificate for a server at `address` (`server`).
    pub fn new(address: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tk-tls-")
            .tempdir()
            .expect("/tmp");
        let all = Self { dir };
        all.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca \
             -keyout ca-key.pem -out ca.pem",
        );
        all.sign(
            "server",
            "server",
            &format!("extendedKeyUsage=serverAuth\nsubjectAltName=IP:{address}"),
        );
        all
    }

    /// A client's certificate with this common name; its folder has docker's names in it:
    /// `ca.pem`, `cert.pem`, `key.pem`.
    pub fn client(&self, name: &str) -> PathBuf {
        self.client_with(name, "extendedKeyUsage=clientAuth")
    }

    /// [`Certificates::client`] with other extensions.
    pub fn client_with(&self, name: &str, extensions: &str) -> PathBuf {
        let folder = self.dir.path().join(format!("{name}-client"));
        std::fs::create_dir(&folder).expect("our own folder");
        self.sign(name, name, extensions);
        for (from, to) in [
            ("ca.pem".to_owned(), "ca.pem"),
            (format!("{name}.pem"), "cert.pem"),
            (format!("{name}-key.pem"), "key.pem"),
        ] {
            std::fs::copy(self.path(&from), folder.join(to)).expect("openssl wrote it");
        }
        folder
    }

    /// [`Certificates::client`], whose certificate ended long ago.
    pub fn expired(&self, name: &str) -> PathBuf {
        let folder = self.client(name);
        let config = "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n\
                      default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n";
        std::fs::write(self.path("ca.cnf"), config).expect("our own folder");
        std::fs::write(self.path("index"), "").expect("our own folder");
        std::fs::write(self.path("serial"), "77\n").expect("our own folder");
        self.openssl(&format!(
            "ca -batch -config ca.cnf -cert ca.pem -keyfile ca-key.pem -in {name}.csr \
             -startdate 200101000000Z -enddate 200102000000Z -extfile ext -out {name}.pem -notext"
        ));
        std::fs::copy(self.path(&format!("{name}.pem")), folder.join("cert.pem"))
            .expect("openssl wrote it");
        folder
    }

    /// A file of it: `ca.pem`, `server.pem`, `server-key.pem`, ...
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The daemon's flags for mutual TLS.
    pub fn flags(&self) -> Vec<String> {
        let of = |flag: &str, file: &str| format!("--{flag}={}", self.path(file).display());
        vec![
            "--tlsverify".into(),
            of("tlscacert", "ca.pem"),
            of("tlscert", "server.pem"),
            of("tlskey", "server-key.pem"),
        ]
    }

    /// A command line's flags for it, out of a folder with docker's names.
    pub fn client_flags(folder: &Path) -> String {
        let folder = folder.display();
        format!(
            "--tlsverify --tlscacert={folder}/ca.pem --tlscert={folder}/cert.pem \
             --tlskey={folder}/key.pem"
        )
    }

    fn sign(&self, file: &str, name: &str, extensions: &str) {
        std::fs::write(self.path("ext"), format!("{extensions}\n")).expect("our own folder");
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
             -keyout {file}-key.pem -out {file}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {file}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 \
             -extfile ext -out {file}.pem"
        ));
    }

    fn openssl(&self, line: &str) {
        let mut command = Command::new("openssl");
        command
            .args(line.split_whitespace())
            .current_dir(self.dir.path());
        run(&mut command).ok();
    }
}
