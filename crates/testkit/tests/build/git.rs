//! Git repositories: by `ADD`, and as contexts.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use testkit::{Cli, Daemon, Lan, Web, eventually, run};

use crate::{Files, cached, faults, sh};

/// Repositories below one folder, that a server may show.
pub(crate) struct Repositories(TempDir);

impl Repositories {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn git(&self, name: &str, line: &str) -> String {
        let mut command = Command::new("git");
        command
            .args(line.split(' '))
            .current_dir(self.root().join(name))
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "test")
                .env(format!("GIT_{who}_EMAIL"), "test@example.org")
                .env(format!("GIT_{who}_DATE"), "2015-10-21T07:28:00Z");
        }
        run(&mut command).ok().trim().to_owned()
    }

    pub(crate) fn make(&self, name: &str) {
        std::fs::create_dir(self.root().join(name)).expect("our own folder");
        self.git(name, "init -q -b master");
    }

    /// Commits files; answers which commit that is.
    pub(crate) fn commit(&self, name: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.root().join(name).join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, text).expect("a file");
        }
        self.git(name, "add -A");
        self.git(name, "commit -q -m change");
        self.git(name, "update-server-info");
        self.git(name, "rev-parse HEAD")
    }

    /// `app.git` with branches, tags, directories and a submodule.
    fn app() -> (Self, [String; 2]) {
        let all = Self::new();
        all.make("lib.git");
        all.commit("lib.git", &[("lib", "library")]);
        all.make("app.git");
        let first = all.commit(
            "app.git",
            &[
                ("Dockerfile", "FROM busybox\nCOPY . /app\n"),
                ("sub/Dockerfile", "FROM busybox\nCOPY f /sub\n"),
                ("sub/f", "below"),
                ("f", "one"),
            ],
        );
        all.git("app.git", "tag v1");
        all.git(
            "app.git",
            "-c protocol.file.allow=always submodule -q add ../lib.git lib",
        );
        let second = all.commit("app.git", &[("f", "two"), ("run.sh", "#!/bin/sh\n")]);
        all.git("app.git", "tag -a -m tagged v2");
        all.git("app.git", "checkout -q -b other");
        all.commit("app.git", &[("f", "other")]);
        all.git("app.git", "checkout -q master");
        (all, [first, second])
    }
}

fn serve(d: &Daemon, all: &Repositories) -> Web {
    Web::git(d.host().outside(), Lan::OUTSIDE, all.root())
}

#[test]
fn add_takes_a_repository() {
    let d = Daemon::fresh();
    let (all, [first, second]) = Repositories::app();
    let web = serve(&d, &all);
    let url = web.url("/app.git");
    let short = &first[..8];
    Files::new(&format!(
        "FROM busybox\n\
         ADD {url} /head\n\
         ADD {url}#v1 /tag\n\
         ADD {url}#v2 /annotated\n\
         ADD {url}#other:sub /below/\n\
         ADD {url}#refs/heads/other /full\n\
         ADD {url}#{first} /commit\n\
         ADD --keep-git-dir=true {url}#v1 /kept\n\
         ADD --checksum={short} {url}#v1 /checked\n\
         ADD --chown=5:6 --chmod=700 {url}#v1:sub /owned\n"
    ))
    .build(&d, "");
    let heads = sh(
        &d,
        "for d in head tag annotated full commit kept checked; do cat /$d/f; echo; done",
    );
    assert_eq!(heads, "two\none\ntwo\nother\none\none\none");
    assert_eq!(sh(&d, "cat /head/lib/lib /below/f"), "librarybelow");
    assert_eq!(
        sh(&d, "ls -A /tag /below; find / -xdev -name .git"),
        "/below:\nDockerfile\nf\n\n/tag:\nDockerfile\nf\nsub\n/kept/.git"
    );
    // Of the commit, whatever the daemon's clock and mask are.
    assert_eq!(
        sh(
            &d,
            "stat -c %a:%Y:%u /head/f /tag/sub; stat -c %a:%u:%g /owned/f"
        ),
        "644:1445412480:0\n755:1445412480:0\n700:5:6"
    );
    let head = sh(&d, "cat /kept/.git/HEAD; cat /kept/.git/config | grep url");
    assert_eq!(head, format!("{first}\n\turl = {url}"));

    let fails = |line: &str, parts: &[&str]| {
        Files::new(&format!("FROM busybox\nADD {line} /x\n")).fails(&d, "", parts);
    };
    fails(
        &format!("--checksum={second} {url}#v1"),
        &["it is at commit", &first, &second],
    );
    fails(&format!("--checksum=abc {url}#v1"), &["invalid checksum"]);
    fails(&format!("{url}#nowhere"), &["there is no nowhere"]);
    fails(
        &format!("{url}#v1:nowhere"),
        &["there is no directory nowhere"],
    );
    fails(&format!("{url}#v1:../../etc"), &["there is no directory"]);
    fails(
        &format!("{url}#--upload-pack=touch${{IFS}}/x"),
        &["is no git repository"],
    );
    fails(&web.url("/none.git"), &["git ls-remote", "none.git"]);
}

#[test]
fn a_commit_that_is_known_is_not_fetched_again() {
    let d = Daemon::fresh();
    let (all, _) = Repositories::app();
    let web = serve(&d, &all);
    let url = web.url("/app.git");
    let files = Files::new(&format!(
        "FROM busybox\nADD {url}#v1 /a\nADD --keep-git-dir {url}#other /kept\n"
    ));
    files.build(&d, "");
    web.asked();
    let again = files.build(&d, "");
    assert_eq!(cached(&again), 2, "{again}");
    let asked = web.asked();
    let fetched = |asked: &[testkit::Request]| {
        let has =
            |a: &&testkit::Request| String::from_utf8_lossy(&a.body).contains("command=fetch");
        asked.iter().filter(has).count()
    };
    assert_eq!(fetched(&asked), 0, "{asked:?}");
    all.git("app.git", "checkout -q other");
    all.commit("app.git", &[("f", "newer")]);
    let told = files.build(&d, "");
    assert_eq!(cached(&told), 1, "the tag is where it was: {told}");
    assert_eq!(sh(&d, "cat /kept/f"), "newer");
    assert!(fetched(&web.asked()) > 0);
}

#[test]
fn repositories_are_contexts() {
    let d = Daemon::fresh();
    let (all, [first, _]) = Repositories::app();
    let web = serve(&d, &all);
    let url = web.url("/app.git");
    let docker = |source: &str| {
        let mut command = d.docker().command(&format!("build -t it {source}"));
        command.env("DOCKER_BUILDKIT", "0");
        // Of the user who clones.
        command.env("HOME", d.dir());
        d.host().run(&mut command)
    };
    let api = |source: &str| {
        let remote = source.replace('#', "%23").replace(':', "%3A");
        let told = d.api().post(&format!("/build?t=it&remote={remote}"), None);
        let told = told.expect(200).text();
        assert!(told.contains("Successfully tagged"), "{told}");
    };
    for by in 0..3 {
        for (fragment, script, result) in [
            ("", "cat /app/f /app/lib/lib", "twolibrary"),
            ("#other", "cat /app/f", "other"),
            ("#v1:sub", "cat /sub", "below"),
            (&format!("#{first}"), "cat /app/f", "one"),
        ] {
            let source = format!("{url}{fragment}");
            match by {
                0 => _ = d.wharf().ok(&format!("build -t it {source}")),
                1 => {
                    let out = docker(&source);
                    assert_eq!(out.code, 0, "{out}");
                }
                _ => api(&source),
            }
            assert_eq!(sh(&d, script), result, "{source}");
            d.wharf().ok("rmi -f it");
        }
    }
    d.wharf().ok(&format!(
        "build -t it --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1 {url}#v1"
    ));
    assert_eq!(sh(&d, "cat /app/.git/HEAD"), first);
    // Files without git's own server, and git's own protocol.
    let root = all.root().to_owned();
    let dumb = Web::start(d.host().outside(), Lan::OUTSIDE, move |request, answer| {
        let path = request.path.replacen(".git/", ".git/.git/", 1);
        match std::fs::read(root.join(path.trim_start_matches('/'))) {
            Ok(bytes) => answer.send("200 OK", &[], &bytes),
            Err(_) => answer.send("404 Not Found", &[], b""),
        }
    });
    for fragment in ["#other:sub", "#v1:sub", "#:sub"] {
        let source = dumb.url(&format!("/app.git{fragment}"));
        d.wharf().ok(&format!("build -t it {source}"));
        assert_eq!(sh(&d, "cat /sub"), "below");
        d.wharf().ok("rmi -f it");
    }
    let port = {
        let free = || {
            std::net::TcpListener::bind((Lan::OUTSIDE, 0))
                .expect("a port")
                .local_addr()
        };
        d.host().outside().within(free).expect("bound").port()
    };
    // By itself: of `git daemon` only the wrapper would be ended.
    let programs = run(Command::new("git").arg("--exec-path")).ok();
    let mut daemon = Command::new(format!("{programs}/git-daemon"));
    daemon
        .args(["--export-all", "--reuseaddr"])
        .arg(format!("--listen={}", Lan::OUTSIDE))
        .arg(format!("--port={port}"))
        .arg(format!("--base-path={}", all.root().display()))
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let _serving = d.host().outside().start(&mut daemon);
    eventually("git's server", || {
        let at = (Lan::OUTSIDE, port);
        d.host()
            .outside()
            .within(|| std::net::TcpStream::connect(at).is_ok())
    });
    let source = format!("git://{}:{port}/app.git#v1:sub", Lan::OUTSIDE);
    d.wharf().ok(&format!("build -t it {source}"));
    assert_eq!(sh(&d, "cat /sub"), "below");
    let named = Files::new("FROM busybox\nCOPY --from=far f /far\n");
    named.build(&d, &format!("--build-context far={url}#v1"));
    assert_eq!(sh(&d, "cat /far"), "one");
}

#[test]
fn private_repositories_open_by_the_url_or_a_secret() {
    const TOKEN: &str = "s3cr3t-token";
    let d = Daemon::fresh();
    let (all, _) = Repositories::app();
    let root = all.root().to_owned();
    let inner = Web::git(d.host().outside(), Lan::OUTSIDE, &root);
    let behind = inner.address();
    let web = Web::start(d.host().outside(), Lan::OUTSIDE, move |request, answer| {
        // me:s3cr3t-token, and x-access-token:s3cr3t-token
        let known = [
            "Basic bWU6czNjcjN0LXRva2Vu",
            "basic eC1hY2Nlc3MtdG9rZW46czNjcjN0LXRva2Vu",
            "Bearer s3cr3t-token",
        ];
        let given = request.header("authorization").unwrap_or_default();
        if !known.contains(&given) {
            let ask = "WWW-Authenticate: Basic realm=test";
            return answer.send("401 Unauthorized", &[ask], b"");
        }
        let mut line = request.path.clone();
        if !request.query.is_empty() {
            line += "?";
            line += &request.query;
        }
        let client = testkit::http::Client::tcp(behind);
        let names = ["content-type", "git-protocol", "content-encoding"];
        let headers = request
            .headers
            .iter()
            .filter(|(n, _)| names.contains(&n.as_str()));
        let headers: Vec<_> = headers.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answered = client.try_send(&request.method, &line, &headers, &request.body);
        let told = answered.expect("the server behind");
        let kind = told.header("content-type").unwrap_or("text/plain");
        answer.send(
            &format!("{} x", told.status),
            &[&format!("Content-Type: {kind}")],
            &told.body,
        );
    });
    let url = web.url("/app.git");
    let with = url.replace("http://", &format!("http://me:{TOKEN}@"));
    let line = |url: &str| Files::new(&format!("FROM busybox\nADD --keep-git-dir {url} /a\n"));
    let told = line(&with).build(&d, "");
    assert!(
        !told
            .lines()
            .any(|l| l.contains("[internal]") && l.contains(TOKEN)),
        "{told}"
    );
    assert_eq!(sh(&d, "cat /a/f /a/lib/lib"), "twolibrary");
    assert_eq!(
        sh(&d, &format!("grep -r {TOKEN} /a | wc -l")),
        "0",
        "in no file"
    );
    let wrong = url.replace("http://", "http://me:wrong-pass@");
    let told = d
        .wharf()
        .refused(&format!("build {wrong}"), &["git ls-remote"]);
    assert!(!told.stderr.contains("wrong-pass"), "{told}");
    line(&url).fails(&d, "", &["git ls-remote"]);
    let secrets = tempfile::tempdir().expect("a folder");
    let secret = |text: &str| {
        let path = secrets.path().join("s");
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    d.wharf().ok("builder prune -af");
    let more = format!("--secret id=GIT_AUTH_TOKEN,src={}", secret(TOKEN));
    line(&url).build(&d, &more);
    d.wharf().ok("builder prune -af");
    let host = web.address();
    let header = secret(&format!("Bearer {TOKEN}\n"));
    line(&url).build(
        &d,
        &format!("--secret id=GIT_AUTH_HEADER.{host},src={header}"),
    );
}

#[test]
fn repositories_cannot_run_or_read_what_is_the_hosts() {
    let d = Daemon::fresh();
    let all = Repositories::new();
    let mark = d.dir().join("was-run");
    let touch = format!("touch {}", mark.display());
    for (name, at) in [
        (
            "ext.git",
            format!("ext::sh -c {}", touch.replace(' ', "% ")),
        ),
        ("file.git", "file:///etc".to_owned()),
        ("path.git", "/etc".to_owned()),
        ("option.git", format!("--upload-pack={touch}")),
        ("ssh.git", format!("ssh://-oProxyCommand={touch}/x")),
    ] {
        all.make(name);
        let modules = format!("[submodule \"s\"]\n\tpath = s\n\turl = {at}\n\tupdate = !{touch}\n");
        all.commit(
            name,
            &[(".gitmodules", &modules), ("Dockerfile", "FROM busybox\n")],
        );
        let commit = all.git(name, "rev-parse HEAD");
        all.git(
            name,
            &format!("update-index --add --cacheinfo 160000,{commit},s"),
        );
        all.git(name, "commit -q -m submodule");
    }
    // Settings, hooks and filters that a repository brings are its own matter.
    all.make("tree.git");
    all.commit(
        "tree.git",
        &[
            ("Dockerfile", "FROM busybox\nCOPY . /a\n"),
            (".gitattributes", "* filter=evil\n"),
            (
                ".gitconfig",
                &format!("[filter \"evil\"]\n\tsmudge = {touch}\n"),
            ),
            ("hooks/post-checkout", &format!("#!/bin/sh\n{touch}\n")),
        ],
    );
    let link = all.root().join("tree.git/out");
    std::os::unix::fs::symlink("/etc/passwd", link).expect("a link");
    all.git("tree.git", "add -A");
    all.git("tree.git", "commit -q -m link");
    let web = serve(&d, &all);
    for name in ["ext.git", "file.git", "path.git", "option.git", "ssh.git"] {
        let out = d
            .wharf()
            .run(&format!("build {}", web.url(&format!("/{name}"))));
        assert_ne!(out.code, 0, "{name}: {out}");
        assert!(out.stderr.contains("git submodule"), "{name}: {out}");
    }
    d.wharf()
        .ok(&format!("build -t it {}", web.url("/tree.git")));
    assert_eq!(sh(&d, "readlink /a/out; ls -A /a"), {
        let files = ".gitattributes\n.gitconfig\nDockerfile\nhooks\nout";
        format!("/etc/passwd\n{files}")
    });
    for at in ["ext::sh -c x", "file:///etc/x.git", "/etc/x.git", "-x.git"] {
        let remote = at.replace(' ', "%20");
        let answer = d.api().post(&format!("/build?remote={remote}"), None);
        assert_ne!(answer.status, 200, "{at}: {}", answer.text());
    }
    assert!(!mark.exists(), "something of the repository was run");
    faults::nothing_left(&d);
}

#[test]
fn a_server_that_hangs_is_left() {
    let d = Daemon::fresh();
    let web = Web::start(d.host().outside(), Lan::OUTSIDE, |_, answer| {
        answer.until_gone()
    });
    let cli: Cli = d.wharf();
    let client = cli.start(&format!("build {}", web.url("/app.git")));
    eventually("git to ask", || !web.asked().is_empty());
    client.signal(rustix::process::Signal::INT);
    assert_eq!(client.wait().code, 130);
    faults::nothing_left(&d);
}

#[test]
fn where_git_is_missing_it_is_said() {
    let d = Daemon::with(testkit::Opts::env("PATH", "/nonexistent"));
    d.wharf().refused(
        "build https://example.org/app.git",
        &["need the program git on the daemon's host: install it"],
    );
}
