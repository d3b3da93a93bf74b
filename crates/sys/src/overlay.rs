//! Overlay mounts that are never attached to the host's mount tree.
//!
//! A detached mount is only a file descriptor: when its holder dies, it is gone. Nothing has to
//! be unmounted after a crash, and nobody on the host can see or walk into it. The shim attaches
//! it inside the container's own mount namespace.
//!
//! Kernels before 6.7 cannot take layers one by one, and a string given to fsconfig ends at 256
//! bytes; there the mount is made by mount(2) in a thread's own short-lived mount namespace and
//! cloned out of it, so that it is never in the host's tree either.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, OpenTreeFlags,
};
use rustix::thread::UnshareFlags;

/// Longest string that fsconfig takes, with its final zero.
const FSCONFIG_STRING: usize = 256;
/// Longest option text that mount(2) takes, with its final zero.
const MOUNT_DATA: usize = 4096;

/// What failed while an overlay was put together.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A directory of the overlay could not be opened.
    #[error("open {path} for an overlay mount: {source}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel refused a step; its own words are in `detail` when it gave any.
    #[error("overlay mount: {step}: {source}{detail}")]
    Kernel {
        /// The step.
        step: &'static str,
        /// The system's reason.
        source: io::Error,
        /// What the kernel wrote into the mount's message log.
        detail: String,
    },
    /// More layers than this kernel's interface can take.
    #[error(
        "overlay mount: {0} layers do not fit into this kernel's mount options; \
         use an image with fewer layers or Linux 6.7 or newer"
    )]
    TooManyLayers(usize),
}

/// The directories of an overlay.
#[derive(Debug, Clone, Copy)]
pub struct Overlay<'a> {
    /// Read-only layers, the topmost first. At least one.
    pub lower: &'a [PathBuf],
    /// Where changes go; read-only if nowhere. It then needs two layers at least.
    pub write: Option<Writable<'a>>,
}

/// Where an overlay's changes go.
#[derive(Debug, Clone, Copy)]
pub struct Writable<'a> {
    /// The changes.
    pub upper: &'a Path,
    /// The overlay's scratch directory, on the same file system as `upper`.
    pub work: &'a Path,
}

/// Mounts an overlay without attaching it anywhere.
///
/// # Errors
/// When a directory cannot be opened or the kernel refuses.
pub fn mount_detached(overlay: Overlay<'_>) -> Result<OwnedFd, OverlayError> {
    if BY_OPTIONS.load(Ordering::Relaxed) {
        return mount_by_options(overlay);
    }
    match mount_by_fsconfig(overlay) {
        Err(error) if layers_not_taken(&error) => {
            let mounted = mount_by_options(overlay)?;
            BY_OPTIONS.store(true, Ordering::Relaxed);
            Ok(mounted)
        }
        done => done,
    }
}

/// Where layers are gathered: a directory of every host, hidden in one thread's mount namespace.
const GATHER: &str = "/sys";

/// As [`mount_detached`], with the lower layers' owners mapped as `users`, a user namespace, maps
/// them: what user 0 owns there belongs to who is root in that namespace. The upper directory
/// holds the owners as the host knows them.
///
/// # Errors
/// As [`mount_detached`]; and before Linux 5.19, or where the layers' file system cannot map.
pub fn mount_mapped(overlay: Overlay<'_>, users: BorrowedFd<'_>) -> Result<OwnedFd, OverlayError> {
    in_thread(|| {
        own_namespace()?;
        // An overlay takes only what is attached in the caller's mount namespace.
        let failed = |step| move |e: Errno| kernel(step, e, None);
        rustix::mount::mount("tmpfs", GATHER, "tmpfs", MountFlags::empty(), None)
            .map_err(failed("gather the layers"))?;
        let mut lower = Vec::with_capacity(overlay.lower.len());
        for (number, path) in overlay.lower.iter().enumerate() {
            let open = |e: Errno| OverlayError::Open {
                path: path.clone(),
                source: e.into(),
            };
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let layer = rustix::mount::open_tree(CWD, path, flags).map_err(open)?;
            crate::namespace::map_owners(layer.as_fd(), users).map_err(|e| {
                OverlayError::Kernel {
                    step: "map the owners of a layer (it needs Linux 5.19, and a file system \
                           that can)",
                    source: e,
                    detail: String::new(),
                }
            })?;
            let place = Path::new(GATHER).join(number.to_string());
            rustix::fs::mkdir(&place, Mode::RWXU).map_err(failed("gather the layers"))?;
            rustix::mount::move_mount(
                &layer,
                "",
                CWD,
                &place,
                rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            )
            .map_err(failed("gather the layers"))?;
            lower.push(place);
        }
        let gathered = Overlay {
            lower: &lower,
            ..overlay
        };
        match mount_by_fsconfig(gathered) {
            Err(error) if layers_not_taken(&error) => mount_here(gathered),
            done => done,
        }
    })
}

/// Set once layers one by one were refused and mount(2) has worked: each further attempt would
/// only add a complaint to the kernel's log.
static BY_OPTIONS: AtomicBool = AtomicBool::new(false);

/// Whether the kernel is too old to take layers one by one. Before 6.5 overlayfs has no parser for
/// fsconfig of its own: the kernel gathers any option as text, and only "create" says, without words,
/// that one of them is unknown.
fn layers_not_taken(error: &OverlayError) -> bool {
    let OverlayError::Kernel {
        step,
        source,
        detail,
    } = error
    else {
        return false;
    };
    source.raw_os_error() == Some(Errno::INVAL.raw_os_error())
        && (*step == ADD_LAYER || *step == CREATE && detail.is_empty())
}

const ADD_LAYER: &str = "add a layer";
const CREATE: &str = "create";

fn open_dir(path: &Path) -> Result<OwnedFd, OverlayError> {
    rustix::fs::openat(
        CWD,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|e| OverlayError::Open {
        path: path.to_owned(),
        source: e.into(),
    })
}

/// The directory's own path where the kernel can take it (it shows in mountinfo), else a path
/// through the open descriptor, which is short and has nothing to escape.
fn layer_name(path: &Path, fd: BorrowedFd<'_>) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    let plain = path.is_absolute()
        && bytes.len() < FSCONFIG_STRING
        && !bytes.iter().any(|b| matches!(b, b':' | b',' | b'\\'));
    if plain {
        bytes.to_vec()
    } else {
        fd_name(fd).into_bytes()
    }
}

fn fd_name(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn mount_by_fsconfig(overlay: Overlay<'_>) -> Result<OwnedFd, OverlayError> {
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|e| kernel("fsopen", e, None))?;
    let failed = |step| {
        let fs = fs.as_fd();
        move |e| kernel(step, e, Some(fs))
    };
    for path in overlay.lower {
        let dir = open_dir(path)?;
        rustix::mount::fsconfig_set_string(fs.as_fd(), "lowerdir+", layer_name(path, dir.as_fd()))
            .map_err(failed(ADD_LAYER))?;
    }
    let write = overlay
        .write
        .map(|w| [("upperdir", w.upper), ("workdir", w.work)]);
    for (key, path) in write.into_iter().flatten() {
        let dir = open_dir(path)?;
        rustix::mount::fsconfig_set_string(fs.as_fd(), key, layer_name(path, dir.as_fd()))
            .map_err(failed("set the upper directory"))?;
    }
    // Layers are shared between mounts, which an index would forbid; a kernel without the
    // option does not have an index either.
    // And an upper directory becomes a layer as it is: nothing in it may refer to the layers below.
    for feature in ["index", "redirect_dir", "metacopy"] {
        let _ = rustix::mount::fsconfig_set_string(fs.as_fd(), feature, "off");
    }
    rustix::mount::fsconfig_create(fs.as_fd()).map_err(failed(CREATE))?;
    rustix::mount::fsmount(
        fs.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .map_err(failed("fsmount"))
}

fn kernel(step: &'static str, error: Errno, fs: Option<BorrowedFd<'_>>) -> OverlayError {
    let detail = fs.map(kernel_log).unwrap_or_default();
    OverlayError::Kernel {
        step,
        source: error.into(),
        detail,
    }
}

/// What the kernel has to say: reading the context's descriptor yields its messages one by one.
fn kernel_log(fs: BorrowedFd<'_>) -> String {
    let mut text = String::new();
    let mut buffer = [0_u8; 1024];
    while let Ok(length) = rustix::io::read(fs, &mut buffer) {
        if length == 0 {
            break;
        }
        text.push_str("; ");
        text.push_str(String::from_utf8_lossy(&buffer[..length]).trim());
    }
    text
}

/// The way of older kernels: mount(2) with all options in one text.
fn mount_by_options(overlay: Overlay<'_>) -> Result<OwnedFd, OverlayError> {
    in_thread(|| mount_in_own_namespace(overlay))
}

fn in_thread(
    work: impl FnOnce() -> Result<OwnedFd, OverlayError> + Send,
) -> Result<OwnedFd, OverlayError> {
    // A thread of its own, because the new mount namespace and working directory are its alone
    // and end with it.
    std::thread::scope(|scope| {
        let made = std::thread::Builder::new()
            .name("overlay-mount".to_owned())
            .spawn_scoped(scope, work);
        match made.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(kernel("mount thread", Errno::FAULT, None)),
            Err(e) => Err(OverlayError::Kernel {
                step: "mount thread",
                source: e,
                detail: String::new(),
            }),
        }
    })
}

fn mount_in_own_namespace(overlay: Overlay<'_>) -> Result<OwnedFd, OverlayError> {
    own_namespace()?;
    mount_here(overlay)
}

/// Gives this thread a mount namespace of its own.
fn own_namespace() -> Result<(), OverlayError> {
    // SAFETY: this thread was started for this call alone and runs no foreign code; a private
    // mount namespace and a private fs_struct change nothing for other threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }
        .map_err(|e| kernel("unshare", e, None))?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|e| kernel("make mounts private", e, None))
}

/// By mount(2), in a mount namespace that is this thread's alone.
fn mount_here(overlay: Overlay<'_>) -> Result<OwnedFd, OverlayError> {
    // Opened here: an overlay takes directories of the caller's own mount namespace only.
    let lower = overlay
        .lower
        .iter()
        .map(|path| open_dir(path))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<_> = lower.iter().map(|dir| fd_name(dir.as_fd())).collect();
    let mut options = format!(
        "lowerdir={},index=off,redirect_dir=off,metacopy=off",
        names.join(":"),
    );
    // Held until the mount is made: the options name them by their descriptors.
    let mut held = Vec::new();
    let write = overlay
        .write
        .map(|w| [("upperdir", w.upper), ("workdir", w.work)]);
    for (key, path) in write.into_iter().flatten() {
        let dir = open_dir(path)?;
        options.push_str(&format!(",{key}={}", fd_name(dir.as_fd())));
        held.push(dir);
    }
    if options.len() >= MOUNT_DATA {
        return Err(OverlayError::TooManyLayers(overlay.lower.len()));
    }
    let options = CString::new(options).map_err(|_| kernel("options", Errno::INVAL, None))?;
    // Only seen from this namespace, so any directory of ours can carry it.
    let target = overlay.write.map_or(Path::new("/sys"), |w| w.work);
    rustix::mount::mount(
        "overlay",
        target,
        "overlay",
        MountFlags::empty(),
        Some(options.as_c_str()),
    )
    .map_err(|e| kernel("mount", e, None))?;
    rustix::mount::open_tree(
        CWD,
        target,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .map_err(|e| kernel("open_tree", e, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mount: &OwnedFd, name: &str) -> String {
        let fd = rustix::fs::openat(mount, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .unwrap();
        let mut buffer = vec![0; 100];
        let length = rustix::io::read(&fd, &mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// A directory for one test, removed at its end.
    struct Temp(PathBuf);

    impl Temp {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("overlay-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn both_ways(name: &str, layers: usize) {
        let temp = Temp::new(name);
        let mut lower = Vec::new();
        for n in 0..layers {
            let dir = temp.0.join(format!("l{n}"));
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join(format!("own{n}")), n.to_string()).unwrap();
            std::fs::write(dir.join("all"), n.to_string()).unwrap();
            lower.push(dir);
        }
        for (way, mount) in [
            ("a", mount_by_fsconfig as fn(Overlay<'_>) -> _),
            ("b", mount_by_options),
        ] {
            let upper = temp.0.join(format!("u{way}"));
            let work = temp.0.join(format!("w{way}"));
            std::fs::create_dir(&upper).unwrap();
            std::fs::create_dir(&work).unwrap();
            let mount = mount(Overlay {
                lower: &lower,
                write: Some(Writable {
                    upper: &upper,
                    work: &work,
                }),
            })
            .unwrap();
            assert_eq!(read(&mount, "all"), "0", "the first layer is on top");
            assert_eq!(
                read(&mount, &format!("own{}", layers - 1)),
                (layers - 1).to_string()
            );
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(
                !mounts.contains(temp.0.to_str().unwrap()),
                "nothing is attached"
            );
            let new = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&mount, "new", new, Mode::from(0o644)).unwrap();
            assert!(
                upper.join("new").exists(),
                "writes go to the upper directory"
            );
        }
    }

    #[test]
    fn one_layer() {
        both_ways("one", 1);
    }

    #[test]
    fn more_layers_than_docker_allows() {
        both_ways("many", 200);
    }

    #[test]
    fn missing_layer_is_named() {
        let temp = Temp::new("missing");
        let gone = temp.0.join("gone");
        let overlay = Overlay {
            lower: &[gone],
            write: Some(Writable {
                upper: &temp.0,
                work: &temp.0,
            }),
        };
        let error = mount_detached(overlay).unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }
}
