//! A mount namespace for each test, in which everything is shared (so that whatever leaks is seen),
//! and a thread with one of its own for each container.

use std::path::{Path, PathBuf};
use std::process::Command;

use oci_spec::runtime::{Mount, MountBuilder, Spec};
use runtime::oci::Result;
use runtime::oci::mounts::{Context, Plan};
use rustix::thread::UnshareFlags;

const INSIDE: &str = "WHARF_TEST_INSIDE";

/// Runs the test's body in a process with a mount namespace of its own.
pub(crate) fn isolated(name: &str, body: impl FnOnce()) {
    isolated_with(name, &["--mount", "--propagation", "shared"], body);
}

/// The same as root of a user namespace that is not the host's.
pub(crate) fn isolated_as_user(name: &str, body: impl FnOnce()) {
    let options = [
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount",
        "--propagation",
        "unchanged",
    ];
    isolated_with(name, &options, body);
}

fn isolated_with(name: &str, options: &[&str], body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let output = Command::new("unshare")
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "no test {name}: {out}");
}

/// A bundle with a root file system.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    pub(crate) spec: Spec,
    pub(crate) old_kernel: bool,
    pub(crate) late: bool,
    pub(crate) user_namespace: bool,
    pub(crate) no_pivot: bool,
    pub(crate) host_network: bool,
}

/// What the test mounted in it would keep the directory from being removed.
impl Drop for Scene {
    fn drop(&mut self) {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = text.lines().filter_map(|line| line.split(' ').nth(4));
        let ours: Vec<&str> = points
            .filter(|point| Path::new(point).starts_with(self.dir.path()))
            .collect();
        for point in ours.into_iter().rev() {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

impl Scene {
    /// With this sample of a Docker configuration, and an empty root.
    pub(crate) fn docker(sample: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rootfs")).unwrap();
        let sample = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(sample);
        let spec = serde_json::from_slice(&std::fs::read(sample).unwrap()).unwrap();
        Self {
            dir,
            spec,
            old_kernel: false,
            late: false,
            user_namespace: false,
            no_pivot: false,
            host_network: false,
        }
    }

    /// A root with nothing mounted or masked.
    pub(crate) fn bare() -> Self {
        let mut scene = Self::docker("plain.json");
        scene.spec.set_mounts(Some(Vec::new()));
        let linux = scene.spec.linux_mut().as_mut().unwrap();
        linux.set_masked_paths(None).set_readonly_paths(None);
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("rootfs")
    }

    /// A directory of the host with a file in it.
    pub(crate) fn host_dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("file"), name).unwrap();
        path
    }

    pub(crate) fn add(&mut self, typ: &str, source: &Path, destination: &str, options: &[&str]) {
        let mount = mount(typ, source, destination, options);
        self.spec.mounts_mut().get_or_insert_default().push(mount);
    }

    pub(crate) fn bind(&mut self, source: &Path, destination: &str, options: &[&str]) {
        let mut all = vec!["bind"];
        all.extend(options);
        self.add("bind", source, destination, &all);
    }

    pub(crate) fn proc(&mut self) {
        self.add(
            "proc",
            Path::new("proc"),
            "/proc",
            &["nosuid", "noexec", "nodev"],
        );
    }

    fn context(&self) -> Context {
        Context {
            user_namespace: self.user_namespace,
            no_pivot: self.no_pivot,
            old_kernel: self.old_kernel,
            ordinary_user: self.late,
            ..Context::default()
        }
    }

    /// Starts the container up to its own root, then `look`s from inside.
    pub(crate) fn run<T: Send>(&self, look: impl FnOnce(&mut Plan) -> T + Send) -> Result<T> {
        self.stepwise(|_| (), |_| (), look)
    }

    /// With something done in the new namespace before anything is mounted, something done when
    /// the new root is the root, and something when all is done.
    pub(crate) fn stepwise<T: Send>(
        &self,
        before: impl FnOnce(&Path) + Send,
        between: impl FnOnce(&mut Plan) + Send,
        look: impl FnOnce(&mut Plan) -> T + Send,
    ) -> Result<T> {
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let was = mounts();
        let done = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let mut plan = Plan::prepare(&self.spec, self.dir.path(), self.context())?;
                before(&self.root());
                let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::FS;
                if !self.host_network {
                    flags |= UnshareFlags::NEWNET;
                }
                #[allow(deprecated, reason = "the flag it is deprecated for is not given")]
                rustix::thread::unshare(flags).unwrap();
                plan.enter()?;
                between(&mut plan);
                plan.finish()?;
                Ok(look(&mut plan))
            });
            match inside.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        assert_eq!(was, mounts(), "a mount leaked to the host");
        done
    }

    /// That it is refused, with this in the message.
    pub(crate) fn refused(&self, words: &[&str]) {
        match self.run(|_| ()) {
            Ok(()) => panic!("not refused: {words:?}"),
            Err(e) => {
                let text = e.to_string();
                for word in words {
                    assert!(text.contains(word), "{word:?} is not in {text:?}");
                }
            }
        }
    }
}

pub(crate) fn mount(typ: &str, source: &Path, destination: &str, options: &[&str]) -> Mount {
    MountBuilder::default()
        .typ(typ)
        .source(source)
        .destination(destination)
        .options(options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
        .build()
        .unwrap()
}

/// A mount as `mountinfo` of the calling thread has it.
#[derive(Debug)]
pub(crate) struct Mounted {
    pub(crate) root: String,
    pub(crate) point: String,
    pub(crate) options: String,
    pub(crate) tags: String,
    pub(crate) fs: String,
    pub(crate) source: String,
    pub(crate) fs_options: String,
}

impl Mounted {
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|o| o == option)
    }
}

/// All mounts that the calling thread sees, in order.
pub(crate) fn mounted() -> Vec<Mounted> {
    let text = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    text.lines()
        .map(|line| {
            let (left, right) = line.split_once(" - ").unwrap();
            let left: Vec<&str> = left.split(' ').collect();
            let right: Vec<&str> = right.split(' ').collect();
            Mounted {
                root: left[3].to_owned(),
                point: left[4].to_owned(),
                options: left[5].to_owned(),
                tags: left[6..].join(" "),
                fs: right[0].to_owned(),
                source: right[1].to_owned(),
                fs_options: right[2].to_owned(),
            }
        })
        .collect()
}

/// The mount on top at a path.
pub(crate) fn at<'a>(mounts: &'a [Mounted], path: &str) -> &'a Mounted {
    mounts
        .iter()
        .rev()
        .find(|m| m.point == path)
        .unwrap_or_else(|| panic!("nothing at {path}: {mounts:#?}"))
}
