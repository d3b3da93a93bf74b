//! A web application on its whole way: built, built again, run, asked, pushed, pulled; and once more hardened.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::{
    Auth, Cli, Daemon, Host, Lan, Opts, Output, Registry, eventually, images, python, run,
};

use crate::{Files, cached};

/// A Debian with pip, put there from a wheel.
const PYTHON: &str = r#"FROM python:slim
RUN --mount=type=bind,source=wheels,target=/wheels python3 $(ls /wheels/pip-*.whl)/pip install \
    --no-cache-dir --break-system-packages --no-index --find-links=/wheels pip
"#;

const PLAIN: &str = r#"FROM python
WORKDIR /app
COPY requirements.txt /
RUN --mount=type=bind,source=wheels,target=/wheels pip install --no-cache-dir \
    --break-system-packages --no-index --find-links=/wheels -r /requirements.txt
COPY ./app /app
EXPOSE 5000
CMD ["python3", "-m", "flask", "--app", "main", "run", "--host", "0.0.0.0", "--port", "5000"]
"#;

const HARDENED: &str = r#"FROM python AS deps
COPY requirements.txt /
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip,target=/etc/pip.conf,required \
    pip install --target=/deps -r /requirements.txt

FROM python:slim
RUN useradd --uid 1000 --no-create-home app && install -d -o app -g app /app
WORKDIR /app
COPY --from=deps /deps /deps
COPY --chown=app:app ./app /app
ENV PYTHONPATH=/deps PYTHONDONTWRITEBYTECODE=1
USER app
EXPOSE 5000
HEALTHCHECK --interval=1s --timeout=20s --start-period=60s --start-interval=500ms \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/')"]
CMD ["python3", "-m", "flask", "--app", "main", "run", "--host", "0.0.0.0", "--port", "5000"]
"#;

/// It greets, and keeps a count in its own folder.
fn app(greeting: &str) -> String {
    format!(
        r#"from flask import Flask
app = Flask(__name__)

@app.get("/")
def greet():
    return "{greeting}"

@app.get("/count")
def count():
    with open("visits", "a+") as file:
        file.write(".")
        file.seek(0)
        return str(len(file.read()))
"#
    )
}

/// An index of packages that lets one user in, and tells on standard error what it is asked for.
const INDEX: &str = r#"
import base64, http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(sys.argv[1].encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=index")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()
    def end_headers(self):
        if self.path.endswith(".whl"):
            self.send_header("Cache-Control", "max-age=86400")
        super().end_headers()
http.server.ThreadingHTTPServer((sys.argv[2], 8000), Handler).serve_forever()
"#;

/// The image `python`, from `python:slim`.
fn with_pip(d: &Daemon) {
    let base = Files::new(PYTHON);
    give(&python::flask_wheels(), &base.path("wheels"));
    base.build(d, "-t python");
}

/// A context of the application.
fn context(dockerfile: &str) -> Files {
    Files::new(dockerfile)
        .file("requirements.txt", "flask>=3,<4\n")
        .file("app/main.py", &app("first"))
}

/// Copies a folder of files.
fn give(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("our own folder");
    for entry in fs::read_dir(from).expect("the wheels") {
        let entry = entry.expect("the wheels");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// What curl is told by the application, from outside of the host.
fn curl(d: &Daemon, path: &str) -> Output {
    let url = format!("http://{}:8080{path}", d.host().address());
    let mut command = Command::new("curl");
    command.args(["-fsS", "--max-time", "20", &url]);
    d.host().outside().run(&mut command)
}

#[track_caller]
fn answers(d: &Daemon, text: &str) {
    eventually(&format!("{text} by curl"), || {
        let out = curl(d, "/");
        out.code == 0 && out.stdout == text
    });
}

/// What moves a whole Debian, which takes long without optimizations.
#[track_caller]
fn long(cli: &Cli, line: &str) {
    let out = cli.command(line).output().expect("the command line");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{line}: {told}");
}

fn login(cli: &Cli, registry: &Registry) {
    let (user, address) = (Registry::USER, registry.address());
    let line = format!("login -u {user} --password-stdin {address}");
    let out = cli.with_input(&line, &format!("{}\n", Registry::PASSWORD));
    assert!(
        out.code == 0 && out.stdout.contains("Login Succeeded"),
        "{out}"
    );
}

#[test]
fn an_application_is_built_run_pushed_and_pulled() {
    let host = Host::new();
    let registry = Registry::with_tls(host.outside(), Lan::OUTSIDE, Auth::Basic);
    let certs = tempfile::tempdir().expect("/tmp");
    let folder = certs.path().join(registry.address().to_string());
    fs::create_dir(&folder).expect("our own folder");
    fs::copy(registry.authority(), folder.join("ca.crt")).expect("our own folder");
    let setting = format!("--registry-certs-dir={}", certs.path().display());
    let d = Daemon::start(&host, Opts::args(&[&setting]));
    d.load(&images::python_tar());
    with_pip(&d);

    let files = context(PLAIN);
    give(&python::flask_wheels(), &files.path("wheels"));
    let first = files.build(&d, "");
    assert_eq!(cached(&first), 0, "{first}");
    assert!(first.contains("Successfully installed"), "{first}");
    let id = d.wharf().ok("images -q --no-trunc it");
    let again = files.build(&d, "");
    assert_eq!(cached(&again), 4, "{again}");
    assert_eq!(d.wharf().ok("images -q --no-trunc it"), id);
    files.write("app/main.py", &app("second"));
    let changed = files.build(&d, "");
    assert_eq!(cached(&changed), 3, "all but the last copy: {changed}");
    assert!(!changed.contains("Successfully installed"), "{changed}");

    for cli in d.clis() {
        cli.ok("run -d --name web -p 8080:5000 it");
        answers(&d, "second");
        assert_eq!(curl(&d, "/count").ok(), "1");
        let ports = cli.ok("inspect it --format '{{json .Config.ExposedPorts}}'");
        assert_eq!(ports, r#"{"5000/tcp":{}}"#);
        cli.ok("rm -f web");

        let reference = registry.reference(&format!("{}/web:1", cli.name()));
        cli.ok(&format!("tag it {reference}"));
        assert_ne!(cli.code(&format!("push {reference}")), 0, "not yet let in");
        login(&cli, &registry);
        long(&cli, &format!("push {reference}"));
        // All of it goes, what it stands on and what the builder keeps of it too.
        cli.ok(&format!("rmi -f it python python:slim {reference}"));
        cli.ok("image prune -f");
        cli.ok("builder prune -af");
        assert_eq!(cli.ok("images -aq"), "");
        assert_ne!(cli.code(&format!("image inspect {reference}")), 0);

        long(&cli, &format!("pull {reference}"));
        cli.ok(&format!("run -d --name web -p 8080:5000 {reference}"));
        answers(&d, "second");
        cli.ok("rm -f web");
        cli.ok(&format!("logout {}", registry.address()));
        // The next command line begins where this one did.
        for name in ["it", "python", "python:slim"] {
            cli.ok(&format!("tag {reference} {name}"));
        }
        cli.ok(&format!("rmi {reference}"));
    }
}

#[test]
fn attack_31_a_hardened_application_keeps_no_trace_of_its_secret() {
    const SECRET: &str = "5up3r-geheim-77e1";
    let d = Daemon::fresh();
    d.load(&images::python_tar());
    with_pip(&d);
    let wheels = python::flask_wheels();
    let (user, at) = (format!("ci:{SECRET}"), Lan::OUTSIDE.to_string());
    let mut index = Command::new("python3");
    index
        .args(["-u", "-c", INDEX, &user, &at])
        .current_dir(&wheels);
    let index = d.host().outside().start(&mut index);
    let fetched = || {
        let told = index.stderr();
        told.lines().filter(|l| l.contains(".whl HTTP")).count()
    };
    eventually("the index to listen", || {
        let mut command = Command::new("curl");
        command.args(["-sS", &format!("http://{at}:8000/")]);
        d.host().outside().run(&mut command).code == 0
    });

    let files = context(HARDENED);
    let plain = d.wharf().ok("image inspect python --format '{{.Size}}'");
    let secrets = tempfile::tempdir().expect("/tmp");
    let secret = secrets.path().join("pip.conf");
    let text = format!(
        "[global]\nno-index = true\ntrusted-host = {at}\nfind-links = http://{user}@{at}:8000/\n"
    );
    fs::write(&secret, text).expect("our own folder");
    files.fails(&d, "", &["secret pip: not found"]);
    let more = format!("--secret id=pip,src={}", secret.display());
    let told = files.build(&d, &more);
    assert!(!told.contains(SECRET), "{told}");
    let all = fetched();
    assert!(all >= 6, "Flask and what it needs: {}", index.stderr());
    assert_eq!(cached(&files.build(&d, &more)), 6);
    // Done again without its steps' results, but with what pip keeps.
    let told = files.build(&d, &format!("--no-cache {more}"));
    assert_eq!(cached(&told), 0, "{told}");
    assert_eq!(fetched(), all, "from the cache mount: {}", index.stderr());
    files.write("app/main.py", &app("second"));
    assert_eq!(cached(&files.build(&d, &more)), 5);

    for cli in d.clis() {
        cli.ok("run -d --name web --read-only --tmpfs /tmp -v /app --cap-drop ALL -p 8080:5000 it");
        eventually("the health check", || {
            cli.ok("inspect web --format '{{.State.Health.Status}}'") == "healthy"
        });
        answers(&d, "second");
        assert_eq!(curl(&d, "/count").ok(), "1", "its folder is its own");
        let who = "exec web sh -c 'id -un; grep -h ^Uid: /proc/1/status | cut -f2'";
        assert_eq!(cli.ok(who), "app\n1000");
        let left = "exec web sh -c 'command -v pip; ls -d /root/.cache /etc/pip.conf /requirements.txt 2>&-; true'";
        assert_eq!(cli.ok(left), "", "the final stage is slim");
        cli.ok("rm -fv web");
    }
    let slim = d.wharf().ok("image inspect it --format '{{.Size}}'");
    let bytes = |text: &str| text.parse::<u64>().expect("a size");
    assert!(bytes(&slim) < bytes(&plain), "{slim} {plain}");

    let history = d.wharf().ok("history --no-trunc it");
    let config = d.docker().ok("image inspect it");
    assert!(!history.contains(SECRET) && !config.contains(SECRET));
    assert!(!d.log().contains(SECRET));
    for cli in d.clis() {
        let saved = tempfile::tempdir().expect("/tmp");
        let dir = saved.path();
        cli.ok(&format!("save -o {} it", dir.join("it.tar").display()));
        let layers = cli.ok("image inspect it --format '{{len .RootFS.Layers}}'");
        assert_eq!(unpack(dir).to_string(), layers, "all are searched");
        assert!(
            finds(dir, "def count()"),
            "the search sees what is in layers"
        );
        assert!(finds(dir, "PYTHONPATH=/deps"), "and in the configuration");
        assert!(!finds(dir, SECRET));
        assert!(!finds(dir, "find-links = http"));
    }
    // Nor does the builder keep it, not even in the cache mount.
    assert!(!finds(d.dir(), SECRET), "nowhere on the disk");
}

/// Unpacks a saved image, and then everything in it that is an archive; how many there were.
fn unpack(dir: &Path) -> usize {
    let script = r#"mkdir image && tar -xf it.tar -C image && n=0
        for file in $(find image -type f); do
            n=$((n + 1)) && mkdir layer-$n
            tar -xf $file -C layer-$n || rmdir layer-$n
        done
        ls -d layer-*"#;
    let mut command = Command::new("sh");
    let layers = run(command.args(["-ec", script]).current_dir(dir)).ok();
    layers.lines().count()
}

/// Whether `text` is in what [`unpack`] left.
fn finds(dir: &Path, text: &str) -> bool {
    let mut command = Command::new("grep");
    let out = run(command.args(["-rqF", "-e", text]).arg(dir));
    assert!(out.code < 2, "{out}");
    out.code == 0
}
