//! The API over TCP: with certificates, and without them only by express wish.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use testkit::{Certificates, Cli, Daemon, Engine, Host, Opts, Output, images};

/// A daemon that serves clients of a CA on all addresses of its host, and where.
fn secured(host: &Host) -> (Daemon, Certificates, String) {
    let certificates = Certificates::new(&host.address().to_string());
    let mut args = certificates.flags();
    args.push("--host=tcp://0.0.0.0:2376".into());
    let d = Daemon::start(
        host,
        Opts {
            args,
            ..Opts::default()
        },
    );
    d.load(&images::busybox_tar());
    (d, certificates, format!("tcp://{}:2376", host.address()))
}

/// A line by a client in the host's network.
fn line(host: &Host, cli: &Cli, line: &str) -> Output {
    host.ns().run(&mut cli.command(line))
}

#[test]
fn clients_of_the_ca_are_served_by_both_command_lines() {
    let host = Host::new();
    let (d, certificates, url) = secured(&host);
    let anna = certificates.client("anna");
    let flags = Certificates::client_flags(&anna);
    for cli in d.clis() {
        let name = cli.name();
        let cli = cli.at(&url);
        let ok = |text: &str| line(&host, &cli, &format!("{flags} {text}")).ok();
        assert_eq!(ok("version -f '{{.Server.APIVersion}}'"), "1.51");
        assert_eq!(ok("run --rm busybox echo hello"), "hello");
        // As the environment says it.
        let mut command = cli.command("run --rm busybox echo again");
        command
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_CERT_PATH", &anna);
        assert_eq!(host.ns().run(&mut command).ok(), "again");
        // Both ways through a connection that was taken over, more than fits into any buffer.
        let sent = "0123456789abcde\n".repeat(128 << 10);
        let mut cat = cli.command(&format!("{flags} run -i --rm busybox cat"));
        cat.stdin(std::process::Stdio::piped());
        let mut cat = host.ns().start(&mut cat);
        cat.send(&sent);
        cat.close_stdin();
        let got = cat.wait();
        assert_eq!(got.code, 0, "{name}: {}", got.stderr);
        assert!(
            got.stdout == sent,
            "{name}: {} of {} bytes",
            got.stdout.len(),
            sent.len()
        );
        ok(&format!(
            "run -d --name {name} busybox sh -c 'echo logged; sleep 300'"
        ));
        assert_eq!(ok(&format!("exec {name} echo inside")), "inside");
        assert_eq!(ok(&format!("logs {name}")), "logged");
        ok(&format!("rm -f {name}"));
    }
}

#[test]
fn others_are_refused_before_they_say_anything() {
    let host = Host::new();
    let (d, certificates, url) = secured(&host);
    let other = Certificates::new(&host.address().to_string());
    let of = |folder: &Path, ca: &Path| {
        format!(
            "--tlsverify --tlscacert={} --tlscert={f}/cert.pem --tlskey={f}/key.pem",
            ca.display(),
            f = folder.display()
        )
    };
    let ca = certificates.path("ca.pem");
    let stranger = other.client("stranger");
    let server = certificates.client_with("server-only", "extendedKeyUsage=serverAuth");
    let nobody = d.dir().join("nobody");
    std::fs::create_dir(&nobody).expect("our own folder");
    let without = format!("--tls --tlscacert={}", ca.display());
    for cli in d.clis() {
        let cli = cli.at(&url);
        for (who, flags) in [
            ("no certificate", without.clone()),
            ("another CA's certificate", of(&stranger, &ca)),
            ("a server's certificate", of(&server, &ca)),
            ("no TLS", String::new()),
        ] {
            let mut command = cli.command(&format!("{flags} ps -q"));
            command
                .env("DOCKER_CERT_PATH", &nobody)
                .env("HOME", &nobody);
            let output = host.ns().run(&mut command);
            assert_ne!(output.code, 0, "{who}: {output}");
            assert!(!output.stderr.is_empty(), "{who}: {output}");
        }
        // The other way round: a client does not talk to a server that it does not know.
        let anna = certificates.path("anna-client");
        if !anna.exists() {
            certificates.client("anna");
        }
        let flags = of(&anna, &other.path("ca.pem"));
        line(&host, &cli, &format!("{flags} ps -q")).refused(&["ertificate"]);
    }
    assert!(
        !d.log().contains("/containers/json"),
        "a request came through"
    );
}

#[test]
fn a_certificate_that_is_over_is_no_certificate() {
    let host = Host::new();
    let (d, certificates, url) = secured(&host);
    let late = certificates.expired("late");
    for cli in d.clis() {
        let flags = Certificates::client_flags(&late);
        let output = line(&host, &cli.at(&url), &format!("{flags} ps -q"));
        assert_ne!(output.code, 0, "{output}");
    }
}

#[test]
fn silent_clients_keep_nobody_out() {
    let host = Host::new();
    let (d, certificates, url) = secured(&host);
    let flags = Certificates::client_flags(&certificates.client("anna"));
    let address = (host.address(), 2376);
    let silent: Vec<TcpStream> = host.outside().within(|| {
        let connect = |_| TcpStream::connect(address).expect("the port is open");
        (0..600).map(connect).collect()
    });
    let docker = d.docker().at(&url);
    assert_eq!(line(&host, &docker, &format!("{flags} ps -q")).ok(), "");
    // Requests without TLS are no requests.
    let answer = host.ns().within(|| {
        let mut plain = TcpStream::connect(address).expect("the port is open");
        plain
            .write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("the port is open");
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer);
        answer
    });
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.ends_with("Client sent an HTTP request to an HTTPS server.\n"),
        "{answer}"
    );
    drop(silent);
}

#[test]
fn tcp_without_tls_only_by_express_wish() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let host = Host::new();
    let port = "--host=tcp://127.0.0.1:2375";
    Daemon::refused(&host, Opts::args(&[port])).refused(&[
        "without TLS",
        "--insecure-tcp",
        "--tlsverify",
    ]);
    let file = Opts {
        config: Some(r#"{"hosts": ["tcp://127.0.0.1:2375"]}"#.into()),
        ..Opts::default()
    };
    // The bed's own --host stands on the command line.
    Daemon::refused(&host, file).refused(&["hosts: (from flag:"]);
    for wish in ["--insecure-tcp", "--tls=false"] {
        let d = Daemon::start(&host, Opts::args(&[port, wish]));
        for cli in d.clis() {
            let cli = cli.at("tcp://127.0.0.1:2375");
            let info = line(&host, &cli, "info");
            assert_eq!(info.code, 0, "{info}");
            let said = info.stdout + &info.stderr;
            assert!(said.contains("tcp://127.0.0.1:2375"), "no warning: {said}");
        }
    }
}

#[test]
fn what_is_wrong_with_the_files_is_told() {
    let host = Host::new();
    let certificates = Certificates::new("127.0.0.1");
    let (ca, cert) = (certificates.path("ca.pem"), certificates.path("server.pem"));
    let refused = |key: &Path, parts: &[&str]| {
        let args = vec![
            "--host=tcp://127.0.0.1:2376".into(),
            "--tlsverify".into(),
            format!("--tlscacert={}", ca.display()),
            format!("--tlscert={}", cert.display()),
            format!("--tlskey={}", key.display()),
        ];
        let opts = Opts {
            args,
            ..Opts::default()
        };
        Daemon::refused(&host, opts).refused(parts);
    };
    refused(
        Path::new("/nowhere/key.pem"),
        &["could not load X509 key pair", "/nowhere/key.pem"],
    );
    // A key of another certificate.
    refused(
        &certificates.path("ca-key.pem"),
        &["could not load X509 key pair"],
    );
    // The environment alone turns it on, as for dockerd.
    let mut opts = Opts::args(&["--host=tcp://127.0.0.1:2376"]);
    opts.env = vec![
        ("DOCKER_TLS_VERIFY".into(), "1".into()),
        ("DOCKER_CERT_PATH".into(), "/nowhere".into()),
    ];
    Daemon::refused(&host, opts).refused(&["/nowhere/cert.pem"]);
}
