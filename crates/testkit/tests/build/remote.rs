//! `ADD` of what a URL has, and contexts and Dockerfiles at URLs.

use std::{
    process::Command,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

use testkit::{Answer, Auth, Daemon, Host, Lan, Opts, Registry, Request, Web, images};

use crate::{Files, cached, faults, sh};

const WHEN: &str = "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT";

/// A daemon with busybox, and a server that it can reach.
pub(crate) fn with(
    handler: impl Fn(&Request, &mut Answer) + Send + Sync + 'static,
) -> (Daemon, Web) {
    let d = Daemon::fresh();
    let web = Web::start(d.host().outside(), Lan::OUTSIDE, handler);
    (d, web)
}

/// An archive of files, packed.
fn packed(files: &Files) -> Vec<u8> {
    let out = Command::new("tar")
        .args(["-czf", "-", "."])
        .current_dir(files.dir())
        .output();
    out.expect("tar").stdout
}

#[test]
fn add_fetches_a_url() {
    let archive = packed(&Files::new("").file("inner", "unpacked"));
    let (d, web) = with(move |request, answer| match request.path.as_str() {
        "/file.txt" => answer.send("200 OK", &[WHEN], b"content"),
        "/with%20space" => answer.send("200 OK", &[], b"space"),
        "/moved" => answer.send("302 Found", &["Location: /file.txt?x"], b""),
        "/circle" => answer.send("302 Found", &["Location: /circle"], b""),
        "/to-file" => answer.send("302 Found", &["Location: file:///etc/passwd"], b""),
        "/a.tar.gz" => answer.send("200 OK", &[], &archive),
        "/private" => match request.header("authorization") {
            Some("Basic bWU6c2VjcmV0") => answer.send("200 OK", &[], b"private"),
            _ => answer.send("401 Unauthorized", &[], b""),
        },
        "/" => answer.send("200 OK", &[], b"index"),
        _ => answer.send("404 Not Found", &[], b"no"),
    });
    let url = web.url("");
    let private = url.replace("http://", "http://me:secret@");
    let digest = images::sha256(b"content");
    Files::new(&format!(
        "FROM busybox\n\
         ADD {url}/file.txt?query=/x /by-name/\n\
         ADD {url}/moved /by-redirect\n\
         ADD --checksum=sha256:{digest} {url}/file.txt /checked\n\
         ADD --chmod=751 --chown=12:34 {url}/file.txt /owned\n\
         ADD {url}/with%20space /space/\n\
         ADD {url}/a.tar.gz /kept/\n\
         ADD --unpack=true {url}/a.tar.gz /unpacked/\n\
         ADD {private}/private /private\n\
         ADD {url} /index\n"
    ))
    .build(&d, "");
    assert_eq!(
        sh(
            &d,
            "cat /by-name/file.txt /by-redirect /checked /owned \"/space/with space\" \
             /unpacked/inner /private /index"
        ),
        "contentcontentcontentcontentspaceunpackedprivateindex"
    );
    assert_eq!(
        sh(
            &d,
            "stat -c %a:%u:%g:%Y /by-name/file.txt /owned; ls /kept /unpacked"
        ),
        "600:0:0:1445412480\n751:12:34:1445412480\n/kept:\na.tar.gz\n\n/unpacked:\nDockerfile\ninner"
    );

    let fails = |line: &str, parts: &[&str]| {
        let told = Files::new(&format!("FROM busybox\nADD {line}\n")).fails(&d, "", parts);
        assert!(!told.contains("secret"), "{told}");
    };
    let other = images::sha256(b"another");
    fails(
        &format!("--checksum=sha256:{other} {url}/file.txt /x"),
        &["digest mismatch", &other, &digest],
    );
    fails(
        &format!("--checksum=md5:aa {url}/file.txt /x"),
        &["invalid checksum"],
    );
    fails(&format!("{url}/none /x"), &["/none", "404 Not Found"]);
    fails(&format!("{private}/none /x"), &["xxxxx@", "404 Not Found"]);
    fails(&format!("{url}/circle /x"), &["leads on and on"]);
    fails(&format!("{url}/to-file /x"), &["which is not fetched"]);
    fails(
        &format!("{url}/a.tar.gz {url}/file.txt /x"),
        &["must be a directory"],
    );
    fails("http://127.0.0.1:1/x /x", &["127.0.0.1:1/x", "refused"]);
}

#[test]
fn what_did_not_change_is_not_fetched_again() {
    let changed = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&changed);
    let (d, web) = with(move |request, answer| {
        let (tag, body) = match now.load(Ordering::Relaxed) {
            false => ("\"one\"", "first"),
            true => ("\"two\"", "second"),
        };
        if request.path == "/plain" {
            answer.send("200 OK", &[], body.as_bytes());
        } else if request.header("if-none-match") == Some(tag) {
            answer.send("304 Not Modified", &[], b"");
        } else {
            answer.send("200 OK", &[&format!("ETag: {tag}"), WHEN], body.as_bytes());
        }
    });
    let url = web.url("");
    let digest = images::sha256(b"first");
    let files = Files::new(&format!(
        "FROM busybox\nADD {url}/tagged /t\nADD {url}/plain /p\n"
    ));
    files.build(&d, "");
    web.asked();
    let again = files.build(&d, "");
    assert_eq!(cached(&again), 2, "the same content: {again}");
    let asked = web.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0].header("if-none-match"), Some("\"one\""));
    // What is known to have had a digest needs no question.
    let checked = Files::new(&format!(
        "FROM busybox\nADD --checksum=sha256:{digest} {url}/tagged /c\n"
    ));
    let told = checked.build(&d, "--no-cache");
    assert!(web.asked().is_empty(), "{told}");
    assert_eq!(sh(&d, "cat /c; stat -c %Y /c"), "first1445412480");
    changed.store(true, Ordering::Relaxed);
    let told = files.build(&d, "");
    assert_eq!(cached(&told), 0, "{told}");
    assert_eq!(sh(&d, "cat /t /p"), "secondsecond");
    // What the pool lost is fetched whole.
    d.wharf().ok("builder prune -af");
    web.asked();
    files.build(&d, "");
    let asked = web.asked();
    assert!(
        asked.iter().all(|a| a.header("if-none-match").is_none()),
        "{asked:?}"
    );
}

#[test]
fn servers_that_lie_or_hang() {
    let (d, _web) = {
        let (d, web) = with(|request, answer| match request.path.as_str() {
            "/short" => _ = answer.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort"),
            "/chunks" => {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsh";
                _ = answer.raw(head);
            }
            "/long" => {
                _ = answer.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlong and more");
            }
            "/endless" => {
                answer.raw(b"HTTP/1.1 200 OK\r\n\r\n");
                while answer.raw(&[0; 64 << 10]) {}
            }
            "/garbage" => _ = answer.raw(b"SSH-2.0-OpenSSH\r\n"),
            _ => answer.until_gone(),
        });
        let url = web.url("");
        for path in ["short", "chunks", "garbage"] {
            Files::new(&format!("FROM busybox\nADD {url}/{path} /x\n")).fails(&d, "", &[path]);
            d.wharf().refused(&format!("build {url}/{path}"), &[path]);
        }
        Files::new(&format!("FROM busybox\nADD {url}/long /x\n")).build(&d, "");
        assert_eq!(sh(&d, "cat /x"), "long");
        for path in ["endless", "hangs"] {
            for line in [
                format!("build {url}/{path}"),
                format!("build -f {url}/{path} /var/empty-of-the-test"),
            ] {
                let line = line.replace(
                    "/var/empty-of-the-test",
                    &d.dir().join("empty").display().to_string(),
                );
                std::fs::create_dir_all(d.dir().join("empty")).expect("our own folder");
                web.asked();
                let client = d.wharf().start(&line);
                testkit::eventually("the server to be asked", || !web.asked().is_empty());
                client.signal(rustix::process::Signal::INT);
                assert_eq!(client.wait().code, 130);
                faults::nothing_left(&d);
            }
        }
        (d, web)
    };
    let left = d.dir().join("data/build/pool/new");
    testkit::eventually("nothing half fetched", || {
        std::fs::read_dir(&left).is_ok_and(|mut all| all.next().is_none())
    });
}

#[test]
fn contexts_and_dockerfiles_at_urls() {
    let files = Files::new("FROM busybox\nCOPY . /all\n")
        .file("other", "FROM busybox\nCOPY f /other\n")
        .file("f", "file")
        .file("left-out", "x")
        .file(".dockerignore", "left-out\n");
    let archive = packed(&files);
    let (d, web) = with(move |request, answer| match request.path.as_str() {
        // Their names and types say nothing.
        "/ctx" => answer.send("200 OK", &["Content-Type: text/plain"], &archive),
        "/Dockerfile" => answer.send(
            "200 OK",
            &["Content-Type: application/octet-stream"],
            b"FROM busybox\nRUN echo lone > /lone\n",
        ),
        "/with-files" => answer.send("200 OK", &[], b"FROM busybox\nCOPY mine /mine\n"),
        "/binary" => answer.send("200 OK", &[], &[0xff; 100]),
        _ => answer.send("404 Not Found", &[], b""),
    });
    let url = web.url("");
    let ours = d.wharf();
    let docker = |args: &str| {
        let mut command = d.docker().command(&format!("build -t it {args}"));
        command.env("DOCKER_BUILDKIT", "0");
        d.host().run(&mut command)
    };
    let api = |query: &str| {
        let line = format!("/build?t=it&remote={url}/{query}");
        let told = d.api().post(&line, None).expect(200).text();
        assert!(told.contains("Successfully tagged it:latest"), "{told}");
    };
    for by in 0..3 {
        match by {
            0 => _ = ours.ok(&format!("build -t it {url}/ctx")),
            1 => assert_eq!(docker(&format!("{url}/ctx")).code, 0),
            _ => api("ctx"),
        }
        assert_eq!(sh(&d, "ls -A /all"), ".dockerignore\nDockerfile\nf\nother");
        ours.ok("rmi -f it");
        match by {
            0 => _ = ours.ok(&format!("build -t it {url}/Dockerfile")),
            1 => assert_eq!(docker(&format!("{url}/Dockerfile")).code, 0),
            _ => api("Dockerfile"),
        }
        assert_eq!(sh(&d, "cat /lone"), "lone");
        ours.ok("rmi -f it");
        match by {
            0 => _ = ours.ok(&format!("build -t it -f other {url}/ctx")),
            1 => assert_eq!(docker(&format!("-f other {url}/ctx")).code, 0),
            _ => api("ctx&dockerfile=other"),
        }
        assert_eq!(sh(&d, "cat /other"), "file");
        ours.ok("rmi -f it");
    }
    // A Dockerfile at a URL, with files of a directory, of an archive, and of another URL.
    let mine = Files::new("FROM nothing\n").file("mine", "mine");
    mine.build(&d, &format!("-f {url}/with-files"));
    assert_eq!(sh(&d, "cat /mine"), "mine");
    let tar = String::from_utf8_lossy(&packed(&mine)).len();
    assert!(tar > 0);
    ours.refused(
        &format!("build -t it -f {url}/with-files {url}/ctx"),
        &["/mine"],
    );
    let given = ours.with_input(
        &format!("build -t it -f - {url}/ctx"),
        "FROM busybox\nCOPY f /given\n",
    );
    assert_eq!(given.code, 0, "{given}");
    assert_eq!(sh(&d, "cat /given"), "file");
    // Named ones.
    let named = Files::new("FROM busybox\nCOPY --from=far f /far\nCOPY --from=far other /far2\n");
    named.build(&d, &format!("--build-context far={url}/ctx"));
    assert_eq!(sh(&d, "cat /far"), "file");
    for (line, parts) in [
        (format!("{url}/none"), ["404 Not Found", "/none"]),
        (format!("{url}/binary"), ["neither an archive", "/binary"]),
        (
            format!("-f {url}/binary {}", mine.dir().display()),
            ["no text", "/binary"],
        ),
        (
            format!("-f {url}/none {}", mine.dir().display()),
            ["404", "/none"],
        ),
    ] {
        ours.refused(&format!("build {line}"), &parts);
    }
    let answer = d.api().post(&format!("/build?remote={url}/none"), None);
    assert!(answer.text().contains("404 Not Found"), "{}", answer.text());
    let answer = d.api().post("/build?remote=ftp%3A%2F%2Fx%2Fy", None);
    assert!(answer.text().contains("is no context"), "{}", answer.text());
}

#[test]
fn add_over_tls_by_an_authority_of_ones_own() {
    let host = Host::new();
    let registry = Registry::with_tls(host.outside(), Lan::OUTSIDE, Auth::None);
    let certs = tempfile::tempdir().expect("/tmp");
    let setting = format!("--registry-certs-dir={}", certs.path().display());
    let d = Daemon::start(&host, Opts::args(&[&setting]));
    d.load(&images::busybox_tar());
    let files = Files::new(&format!(
        "FROM busybox\nADD https://{}/v2/ /answer\n",
        registry.address()
    ));
    files.fails(&d, "", &["certificate"]);
    let folder = certs.path().join(registry.address().to_string());
    std::fs::create_dir(&folder).expect("our own folder");
    std::fs::copy(registry.authority(), folder.join("ca.crt")).expect("our own folder");
    files.build(&d, "");
    assert_eq!(sh(&d, "cat /answer"), "{}");
}
