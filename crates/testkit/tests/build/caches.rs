//! Caches that travel: written by one daemon, taken by another that has nothing yet.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Auth, Cli, Daemon, Lan, Opts, Registry, images, run};

use crate::{Files, cached, classic::docker, sh};

/// Two stages, and in both something that comes out different each time.
const TWO: &str = "FROM busybox AS tools
RUN cat /proc/sys/kernel/random/uuid > /tool
FROM busybox
COPY f /f
RUN cat /f > /copied && cat /proc/sys/kernel/random/uuid > /when
WORKDIR /made
COPY --from=tools /tool /tool
";
const STEPS: usize = 5;
/// Those of the second stage that do not need the first.
const OWN: usize = 3;

/// Two daemons on hosts of their own, and a registry that both reach.
struct World {
    first: Daemon,
    second: Daemon,
    registry: Registry,
}

impl World {
    fn new(auth: Auth) -> Self {
        let lan = Lan::new();
        let registry = Registry::start(lan.outside(), Lan::OUTSIDE, auth);
        let daemon = || {
            let opts = Opts::insecure(&registry.address().to_string());
            let daemon = Daemon::start(&lan.host(), opts);
            daemon.load(&images::busybox_tar());
            daemon
        };
        Self {
            first: daemon(),
            second: daemon(),
            registry,
        }
    }
}

fn files() -> Files {
    Files::new(TWO).file("f", "from the context")
}

/// A build by a line of its own.
#[track_caller]
fn build(cli: &Cli, files: &Files, more: &str) -> String {
    let line = format!("build --progress plain {more} {}", files.dir().display());
    let out = cli.run(&line);
    assert_eq!(out.code, 0, "{line}\n{}", out.stderr);
    out.stderr
}

fn what(d: &Daemon) -> (String, String, String) {
    let id = d.wharf().ok("images -q --no-trunc it");
    (sh(d, "cat /when"), sh(d, "cat /tool"), id)
}

#[test]
fn a_cache_in_a_registry_is_taken_step_by_step() {
    let w = World::new(Auth::None);
    let files = files();
    let all = w.registry.reference("app/cache:max");
    let told = files.build(
        &w.first,
        &format!("--cache-to type=registry,ref={all},mode=max,image-manifest=true"),
    );
    assert!(told.contains("exporting cache to registry"), "{told}");
    assert!(
        told.contains("writing cache image manifest sha256:"),
        "{told}"
    );
    let told = files.build(&w.second, &format!("--cache-from {all}"));
    let title = format!("importing cache manifest from {all}");
    assert!(told.contains(&title), "{told}");
    assert_eq!(cached(&told), STEPS, "{told}");
    assert_eq!(what(&w.second), what(&w.first));
    // It is the daemon's own now.
    let told = files.build(&w.second, "");
    assert_eq!(cached(&told), STEPS, "{told}");

    // Of the last stage alone: what that copies from the other is made anew.
    let own = w.registry.reference("app/cache:min");
    files.build(&w.first, &format!("--cache-to type=registry,ref={own}"));
    w.second.wharf().ok("rmi it");
    w.second.wharf().ok("builder prune -af");
    let told = files.build(&w.second, &format!("--cache-from type=registry,ref={own}"));
    assert_eq!(cached(&told), OWN, "{told}");
    assert_eq!(what(&w.second).0, what(&w.first).0);
    assert_ne!(what(&w.second).1, what(&w.first).1);

    // Two of them, one of which is none; and what `--no-cache` leaves alone.
    w.second.wharf().ok("builder prune -af");
    let none = w.registry.reference("app/none");
    let told = files.build(
        &w.second,
        &format!("--cache-from {none} --cache-from {all}"),
    );
    assert_eq!(cached(&told), STEPS, "{told}");
    assert!(
        told.contains(&format!("importing cache manifest from {none}")),
        "{told}"
    );
    assert!(told.contains("not found"), "{told}");
    let told = files.build(&w.second, &format!("--no-cache --cache-from {all}"));
    assert_eq!(cached(&told), 0, "{told}");
    assert!(!told.contains("importing cache"), "{told}");
}

#[test]
fn an_image_carries_its_cache() {
    let w = World::new(Auth::Basic);
    let files = files();
    let name = w.registry.reference("app:1");
    let (user, at) = (Registry::USER, w.registry.address());
    for d in [&w.first, &w.second] {
        let line = format!("login -u {user} --password-stdin {at}");
        let out = d
            .wharf()
            .with_input(&line, &format!("{}\n", Registry::PASSWORD));
        assert_eq!(out.code, 0, "{}", out.stderr);
    }
    build(
        &w.first.wharf(),
        &files,
        &format!("--push -t {name} --cache-to type=inline"),
    );
    build(&w.first.wharf(), &files, "-t it");
    let told = build(
        &w.second.wharf(),
        &files,
        &format!("-t it --cache-from {name}"),
    );
    assert_eq!(cached(&told), OWN, "{told}");
    assert_eq!(what(&w.second).0, what(&w.first).0);
    // As BuildKit's argument has it; and without it there is nothing to take.
    for (argument, steps) in [("", 0), ("--build-arg BUILDKIT_INLINE_CACHE=1", OWN)] {
        w.second.wharf().ok("builder prune -af");
        build(
            &w.first.wharf(),
            &files,
            &format!("--push -t {name} {argument}"),
        );
        let told = build(
            &w.second.wharf(),
            &files,
            &format!("-o type=cacheonly --cache-from {name}"),
        );
        assert_eq!(cached(&told), steps, "{argument} {told}");
    }
    let refused = files.fails(
        &w.first,
        "-o type=tar,dest=/dev/null --cache-to type=inline",
        &["the result is no image that could carry it"],
    );
    assert!(!refused.contains("exporting"), "{refused}");
}

#[test]
fn dockers_classic_builder_takes_from_images_that_are_here() {
    let w = World::new(Auth::None);
    let files = Files::new("FROM busybox\nCOPY f /f\nRUN cat /proc/sys/kernel/random/uuid > /n\n");
    let files = files.file("f", "x");
    let name = w.registry.reference("classic");
    let more = format!("--push -t {name} --cache-to type=inline");
    build(&w.first.wharf(), &files, &more);
    let random = |d: &Daemon, image: &str| d.wharf().ok(&format!("run --rm {image} cat /n"));
    let (ok, told) = docker(&w.second, &format!("-t it --cache-from {name}"), &files);
    assert!(
        ok && !told.contains("Using cache"),
        "it is not here: {told}"
    );
    w.second.wharf().ok("builder prune -af");
    w.second.docker().ok(&format!("pull {name}"));
    let (ok, told) = docker(&w.second, &format!("-t it --cache-from {name}"), &files);
    assert!(ok && told.matches("Using cache").count() == 2, "{told}");
    assert_eq!(random(&w.second, "it"), random(&w.first, &name));
}

#[test]
fn a_directory_keeps_a_cache() {
    let w = World::new(Auth::None);
    let files = files();
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    let at = cache.display();
    let told = files.build(
        &w.first,
        &format!("--cache-to type=local,dest={at},mode=max"),
    );
    assert!(
        told.contains("exporting cache to client directory"),
        "{told}"
    );
    assert!(cache.join("oci-layout").exists());
    // A result that comes here, too, and one more cache.
    let (out, more) = (dir.path().join("out"), dir.path().join("more"));
    files.build(
        &w.first,
        &format!(
            "-o {} --cache-to type=local,dest={} --cache-to type=local,dest={at},mode=max",
            out.display(),
            more.display()
        ),
    );
    assert!(out.join("tool").exists() && !out.join("blobs").exists());
    assert!(more.join("index.json").exists());
    // What is there does not come again; what was cut short does.
    let layers: Vec<_> = fs::read_dir(cache.join("blobs/sha256"))
        .expect("blobs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| fs::read(path).expect("a blob").starts_with(&[0x1f, 0x8b]))
        .collect();
    for layer in &layers {
        fs::set_permissions(layer, fs::Permissions::from_mode(0o640)).expect("a mode");
    }
    let whole = fs::read(&layers[0]).expect("a layer");
    fs::write(&layers[0], &whole[..whole.len() / 2]).expect("cut");
    files.build(
        &w.first,
        &format!("--cache-to type=local,dest={at},mode=max"),
    );
    assert!(fs::read(&layers[0]).expect("a layer") == whole);
    let mode = |path: &&std::path::PathBuf| {
        let meta = fs::metadata(path).expect("a layer");
        meta.permissions().mode() & 0o777 == 0o640
    };
    assert_eq!(layers.iter().filter(mode).count(), layers.len() - 1);
    let told = files.build(&w.second, &format!("--cache-from type=local,src={at}"));
    assert_eq!(cached(&told), STEPS, "{told}");
    assert_eq!(what(&w.second), what(&w.first));
    let told = files.build(
        &w.second,
        &format!("--cache-from type=local,src={at}/nowhere"),
    );
    assert!(told.contains("local cache import at"), "{told}");
}

fn read(dir: &Path, digest: &Value) -> Value {
    let hex = digest
        .as_str()
        .expect("a digest")
        .trim_start_matches("sha256:")
        .to_owned();
    let text = fs::read(dir.join("blobs/sha256").join(hex)).expect("a blob");
    serde_json::from_slice(&text).expect("JSON")
}

/// Stores a document; what names it.
fn write(dir: &Path, document: &Value) -> (String, usize) {
    let text = document.to_string();
    let digest = Sha256::digest(&text);
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    fs::write(dir.join("blobs/sha256").join(&hex), &text).expect("a blob");
    (format!("sha256:{hex}"), text.len())
}

/// Changes the list of a cache, with all digests of documents right.
fn forge(dir: &Path, change: impl FnOnce(&mut Value)) {
    let index = fs::read(dir.join("index.json")).expect("an index");
    let mut index: Value = serde_json::from_slice(&index).expect("JSON");
    let entry = &mut index["manifests"][0];
    let mut manifest = read(dir, &entry["digest"]);
    let mut config = read(dir, &manifest["config"]["digest"]);
    change(&mut config);
    let (digest, size) = write(dir, &config);
    manifest["config"]["digest"] = json!(digest);
    manifest["config"]["size"] = json!(size);
    let (digest, size) = write(dir, &manifest);
    entry["digest"] = json!(digest);
    entry["size"] = json!(size);
    fs::write(dir.join("index.json"), index.to_string()).expect("a file");
}

#[test]
fn a_cache_that_lies_changes_nothing() {
    let w = World::new(Auth::None);
    let files = files();
    // A blob in a registry that was changed.
    let name = w.registry.reference("lies");
    let told = files.build(
        &w.first,
        &format!("--cache-to type=registry,ref={name},mode=max"),
    );
    let (_, digest) = told
        .split_once("writing cache image manifest ")
        .expect("a digest");
    let digest = digest.split_whitespace().next().expect("a digest");
    let manifest = fs::read(w.registry.blob(digest)).expect("the manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    for layer in manifest["layers"].as_array().expect("layers") {
        let path = w.registry.blob(layer["digest"].as_str().expect("a digest"));
        let length = fs::metadata(&path).expect("a blob").len();
        fs::write(path, vec![7; usize::try_from(length).expect("a length")]).expect("damage");
    }
    let layers = || {
        fs::read_dir(w.second.dir().join("data/image/layers"))
            .expect("layers")
            .count()
    };
    let before = layers();
    let told = files.build(&w.second, &format!("-o type=cacheonly --cache-from {name}"));
    assert_eq!(cached(&told), 0, "{told}");
    assert!(told.contains("WARNING: cache is passed over"), "{told}");
    assert!(layers() > before, "its own");

    // Lists in a directory: files of others, no layer, too much of everything.
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    let at = cache.display();
    files.build(
        &w.first,
        &format!("--cache-to type=local,dest={at},mode=max"),
    );
    type Change = fn(&mut Value);
    let lies: [(Change, &str); 4] = [
        (
            |config| {
                let ids = config["rootfs"]["diff_ids"].as_array_mut().expect("layers");
                ids.rotate_left(1);
            },
            "passed over",
        ),
        (
            |config| config["rootfs"]["diff_ids"] = json!([]),
            "its configuration 0",
        ),
        (
            |config| config["io.wharf.build.cache.v1"]["version"] = json!(9),
            "unknown form 9",
        ),
        (
            |config| {
                let records = &mut config["io.wharf.build.cache.v1"]["records"];
                records[0]["key"] = json!("sha256:../../../etc/passwd");
            },
            "is malformed",
        ),
    ];
    for (lie, text) in lies {
        let own = dir.path().join("own");
        let _ = fs::remove_dir_all(&own);
        run(Command::new("cp").arg("-r").arg(&cache).arg(&own)).ok();
        forge(&own, lie);
        w.second.wharf().ok("builder prune -af");
        let told = files.build(
            &w.second,
            &format!("--cache-from type=local,src={}", own.display()),
        );
        assert_eq!(cached(&told), 0, "{told}");
        assert!(told.contains(text), "{text}: {told}");
        assert_ne!(what(&w.second).0, what(&w.first).0);
        w.second.wharf().ok("rmi it");
    }
}

#[test]
fn what_fails_to_be_written_fails_the_build_unless_that_is_allowed() {
    let w = World::new(Auth::Basic);
    let files = files();
    let name = w.registry.reference("closed");
    files.fails(&w.first, &format!("--cache-to {name}"), &["ERROR"]);
    let told = files.build(
        &w.first,
        &format!("--cache-to type=registry,ref={name},ignore-error=true"),
    );
    assert!(told.contains("exporting cache to registry"), "{told}");
    for (given, text) in [
        (
            "--cache-to type=gha",
            "--cache-to type=gha is not supported",
        ),
        (
            "--cache-from type=s3,bucket=x",
            "--cache-from type=s3 is not supported",
        ),
        ("--cache-to type=registry", "needs ref="),
        (
            "--cache-to type=registry,ref=x,compression=zstd",
            "compression=zstd is not supported",
        ),
        (
            "--cache-to type=local,dest=x,mode=most",
            "mode=most: it is min or max",
        ),
    ] {
        files.fails(&w.first, given, &[text]);
    }
}
