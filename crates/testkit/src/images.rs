//! Images made from Debian's packages, as the archives that `docker save` writes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::cmd::run;
use crate::fixtures::{cached, workspace};

/// The name of the image in [`busybox_tar`].
pub const BUSYBOX: &str = "busybox:latest";

/// To be counted up when [`busybox_layer`] changes: it is in the names of the fixtures.
const BASE: u32 = 2;

/// SHA-256 as lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// A tar file in the making.
#[derive(Default)]
pub struct Layer {
    tar: Option<tar::Builder<Vec<u8>>>,
}

impl Layer {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            tar: Some(tar::Builder::new(Vec::new())),
        }
    }

    fn add(mut self, path: &str, kind: EntryType, mode: u32, body: &[u8], target: &str) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(body.len() as u64);
        header.set_mtime(1_700_000_000);
        let tar = self.tar.as_mut().expect("not finished");
        let done = if target.is_empty() {
            tar.append_data(&mut header, path, body)
        } else {
            tar.append_link(&mut header, path, target)
        };
        done.expect("writing to memory");
        self
    }

    /// A file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, body: impl AsRef<[u8]>) -> Self {
        self.add(path, EntryType::Regular, mode, body.as_ref(), "")
    }

    /// A file with an extended attribute.
    #[must_use]
    pub fn attributed(mut self, path: &str, name: &str, value: &[u8]) -> Self {
        let tar = self.tar.as_mut().expect("not finished");
        let key = format!("SCHILY.xattr.{name}");
        tar.append_pax_extensions([(key.as_str(), value)])
            .expect("writing to memory");
        self.file(path, 0o755, "")
    }

    /// A folder.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.add(path, EntryType::Directory, mode, &[], "")
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.add(path, EntryType::Symlink, 0o777, &[], target)
    }

    /// A hard link to what is already in this layer and has this mode.
    #[must_use]
    pub fn hardlink(self, path: &str, mode: u32, target: &str) -> Self {
        self.add(path, EntryType::Link, mode, &[], target)
    }

    /// An entry whose name is written as it is, also when it is absolute or has `..` in it.
    #[must_use]
    pub fn hostile(mut self, path: &str, kind: EntryType, target: &str, body: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(body.len() as u64);
        let raw = header.as_gnu_mut().expect("a GNU header");
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        let tar = self.tar.as_mut().expect("not finished");
        tar.append(&header, body).expect("writing to memory");
        self
    }

    /// The bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.tar
            .take()
            .expect("not finished")
            .into_inner()
            .expect("writing to memory")
    }
}

/// Writes an image as a docker-archive. `config` is what `docker inspect` shows as `.Config`.
pub fn write_archive(path: &Path, name: &str, layers: &[Vec<u8>], config: &Value) {
    write_archive_for(own_architecture(), path, name, layers, config);
}

/// Docker's name of this host's processor.
pub fn own_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

/// A small image without programs for some processor, whose layer has the file `which`.
pub fn for_architecture(architecture: &str, which: &str) -> PathBuf {
    cached(&format!("for-{architecture}-{which}-1.tar"), |path| {
        let layer = Layer::new().file("which", 0o644, which).finish();
        let name = format!("{which}:latest");
        write_archive_for(architecture, path, &name, &[layer], &json!({"Cmd": ["x"]}));
    })
}

/// The same for some processor.
pub(crate) fn write_archive_for(
    architecture: &str,
    path: &Path,
    name: &str,
    layers: &[Vec<u8>],
    config: &Value,
) {
    let ids: Vec<_> = layers
        .iter()
        .map(|l| format!("sha256:{}", sha256(l)))
        .collect();
    let history: Vec<_> = (0..layers.len())
        .map(|i| json!({"created": "2024-01-01T00:00:00Z", "created_by": format!("layer {i}")}))
        .collect();
    let image = json!({
        "architecture": architecture,
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": ids},
        "history": history,
    })
    .to_string();
    let config_name = format!("{}.json", sha256(image.as_bytes()));
    let layer_name = |i: usize| format!("{}/layer.tar", &ids[i]["sha256:".len()..]);
    let names: Vec<_> = (0..layers.len()).map(layer_name).collect();
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
    let mut archive = Layer::new().file(&config_name, 0o644, image).file(
        "manifest.json",
        0o644,
        manifest.to_string(),
    );
    for (name, layer) in names.iter().zip(layers) {
        archive = archive.file(name, 0o644, layer);
    }
    let mut file = File::create(path).expect("the fixture's folder is writable");
    file.write_all(&archive.finish())
        .expect("space for a fixture");
}

/// A program of one file in `crates/testkit/helpers`, static; `version` changes when it does.
fn helper(name: &str, version: u32) -> PathBuf {
    let source = workspace().join(format!("crates/testkit/helpers/{name}.rs"));
    cached(&format!("{}-{version}", name.replace('_', "-")), |path| {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args([
            "--edition=2024",
            "-Copt-level=s",
            "-Cstrip=symbols",
            "-Cpanic=abort",
        ]);
        rustc
            .args(["-Ctarget-feature=+crt-static", "-o"])
            .arg(path)
            .arg(&source);
        run(&mut rustc).ok();
    })
}

/// The helper that echoes datagrams.
fn udp_echo() -> Vec<u8> {
    fs::read(helper("udp_echo", 1)).expect("just made")
}

/// Both ends of a conversation over SCTP; its own head tells how it is called.
pub fn sctp() -> PathBuf {
    let source = workspace().join("crates/testkit/helpers/sctp.c");
    cached("sctp-1", |path| {
        let mut cc = Command::new("cc");
        run(cc.args(["-O1", "-static", "-o"]).arg(path).arg(&source)).ok();
    })
}

/// `sctp:latest`: busybox with [`sctp`], which serves on port 80.
pub fn sctp_tar() -> PathBuf {
    let program = fs::read(sctp()).expect("just made");
    variant(
        "sctp",
        |layer| layer.file("bin/sctp", 0o755, program),
        &json!({"Cmd": ["sctp", "serve", "80"]}),
    )
}

/// Both ends of what benchmarks of networks measure; its own head tells how it is called.
pub fn traffic() -> PathBuf {
    helper("traffic", 1)
}

/// `traffic:latest`: busybox with [`traffic`], which serves on port 8000.
pub fn traffic_tar() -> PathBuf {
    let program = fs::read(traffic()).expect("just made");
    let serve = json!({"Cmd": ["traffic", "serve", "it", "8000"]});
    variant(
        "traffic",
        |layer| layer.file("bin/traffic", 0o755, program),
        &serve,
    )
}

/// The root of a busybox system: all applets, `udp-echo`, `root`, `nobody` and `app` (1000:1000, also in
/// group `extra`, 1010).
pub fn busybox_layer() -> Vec<u8> {
    let binary = fs::read("/bin/busybox").expect("Debian's busybox-static is installed");
    let applets = run(Command::new("/bin/busybox").arg("--list")).ok();
    let mut layer = Layer::new()
        .folder("bin", 0o755)
        .file("bin/busybox", 0o755, binary)
        .file("bin/udp-echo", 0o755, udp_echo())
        .hardlink("bin/sh", 0o755, "bin/busybox");
    for applet in applets.lines().filter(|a| !["busybox", "sh"].contains(a)) {
        layer = layer.symlink(&format!("bin/{applet}"), "busybox");
    }
    for (folder, mode) in [
        ("dev", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("proc", 0o755),
        ("root", 0o700),
        ("sys", 0o755),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("var", 0o755),
    ] {
        layer = layer.folder(folder, mode);
    }
    layer
        .file(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home:/bin/sh\n\
             nobody:x:65534:65534:nobody:/:/bin/false\n",
        )
        .file(
            "etc/group",
            0o644,
            "root:x:0:\napp:x:1000:\nextra:x:1010:app\nnogroup:x:65534:\n",
        )
        .finish()
}

/// The usual configuration: a `PATH`, and a shell as the command.
pub fn busybox_config() -> Value {
    json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Cmd": ["sh"],
    })
}

/// `busybox:latest` from Debian's `busybox-static`.
pub fn busybox_tar() -> PathBuf {
    cached(&format!("busybox-{BASE}.tar"), |path| {
        write_archive(path, BUSYBOX, &[busybox_layer()], &busybox_config());
    })
}

/// A variant of busybox with one more layer and other settings; `name` also names the fixture.
pub fn variant(name: &str, more: impl FnOnce(Layer) -> Layer, settings: &Value) -> PathBuf {
    let settings = settings.clone();
    let layer = more(Layer::new()).finish();
    let file = format!(
        "{name}-{BASE}-{}.tar",
        &sha256(&[&layer, settings.to_string().as_bytes()].concat())[..12]
    );
    cached(&file, |path| {
        let mut config = busybox_config();
        for (key, value) in settings.as_object().expect("settings are an object") {
            config[key] = value.clone();
        }
        write_archive(
            path,
            &format!("{name}:latest"),
            &[busybox_layer(), layer],
            &config,
        );
    })
}

/// Ten layers of real programs and libraries, 523 MB together, and `busybox` below them.
pub fn ten_layers_tar() -> PathBuf {
    const LAYER: usize = 52_300_000;
    cached("ten-layers-1.tar", |path| {
        let mut files = Vec::new();
        for root in ["/usr/lib", "/usr/share", "/usr/bin"] {
            list(Path::new(root), &mut files);
        }
        files.sort();
        let mut files = files.into_iter();
        let layers: Vec<_> = (0..10)
            .map(|n| {
                let (mut layer, mut size) = (Layer::new(), 0);
                if n == 0 {
                    layer = layer.folder("bin", 0o755).file(
                        "bin/busybox",
                        0o755,
                        fs::read("/bin/busybox").expect("busybox-static"),
                    );
                    layer = layer
                        .symlink("bin/sh", "busybox")
                        .symlink("bin/true", "busybox");
                }
                while size < LAYER {
                    let Some(file) = files.next() else { break };
                    let Ok(mut bytes) = fs::read(&file) else {
                        continue;
                    };
                    bytes.truncate(LAYER - size);
                    size += bytes.len().max(512);
                    let name = format!("data/{}", file.display());
                    layer = layer.file(&name.replace("//", "/"), 0o644, bytes);
                }
                assert!(
                    size >= LAYER,
                    "the machine has too few files for ten layers"
                );
                layer.finish()
            })
            .collect();
        write_archive(path, "ten:latest", &layers, &busybox_config());
    })
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}

/// `debian:latest`, a minimal system by `mmdebstrap`. Takes half a minute and the network the
/// first time.
pub fn debian_tar() -> PathBuf {
    cached("debian-1.tar", |path| {
        bootstrap(path, "debian:latest", "bash", &[]);
    })
}

/// `python:slim`, a minimal Debian with its Python and without pip. Takes a minute and the network
/// the first time.
pub fn python_tar() -> PathBuf {
    cached("python-slim-1.tar", |path| {
        // Not `python3`, which brings a mail system's tables and perl with it.
        let more = [
            "--include=python3-minimal,libpython3.11-stdlib",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=force-unsafe-io",
        ];
        bootstrap(path, "python:slim", "python3", &more);
    })
}

/// What the image of [`postgres_tar`] starts: it makes its database where there is none.
const POSTGRES: &str = r#"#!/bin/sh
set -e
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
mkdir -p /run/postgresql
chown postgres:postgres /run/postgresql
if [ ! -s $data/PG_VERSION ]; then
    su postgres -c "$bin/initdb -D $data -A trust --locale=C -N" > /dev/null
    echo "host all all all trust" >> $data/pg_hba.conf
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups $bin/postgres -D $data -h "*" -c jit=off
"#;

/// A docker-archive of Debian with PostgreSQL, whose data are in `/var/lib/postgresql/data`, with the
/// tag `postgres:latest`.
pub fn postgres_tar() -> PathBuf {
    cached("postgres-1.tar", |path| {
        let script = path.with_extension("start");
        fs::write(&script, POSTGRES).expect("target/ is writable");
        let copy = format!(
            "--customize-hook=upload {} /usr/bin/start",
            script.display()
        );
        let more = [
            "--include=postgresql-15",
            // Its just-in-time compiler, which is a quarter of it.
            "--dpkgopt=path-exclude=/usr/lib/*/libLLVM*",
            "--dpkgopt=path-exclude=/usr/lib/postgresql/*/lib/bitcode/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=force-unsafe-io",
            &copy,
            "--customize-hook=chmod 755 \"$1/usr/bin/start\"",
            "--customize-hook=chroot \"$1\" install -d -o postgres -g postgres -m 700 \
             /var/lib/postgresql/data",
        ];
        bootstrap(path, "postgres:latest", "start", &more);
        fs::remove_file(&script).expect("our own file");
    })
}

/// Makes an image of one layer by `mmdebstrap`.
fn bootstrap(path: &Path, name: &str, program: &str, more: &[&str]) {
    let root = path.with_extension("rootfs.tar");
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--variant=minbase", "--mode=root"])
        .args(more)
        .arg("bookworm")
        .arg(&root);
    // Packages come from afar: it may take longer than programs in tests otherwise do.
    let done = command.output().expect("mmdebstrap is installed");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "mmdebstrap: {told}");
    let layer = fs::read(&root).expect("mmdebstrap wrote it");
    fs::remove_file(&root).expect("our own file");
    let mut config = busybox_config();
    config["Cmd"] = json!([program]);
    write_archive(path, name, &[layer], &config);
}
