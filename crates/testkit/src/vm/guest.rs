//! What runs in the machine: Debian's kernel and a minimal Debian around it, from packages that are
//! downloaded and unpacked beside the system and never installed in it. Which ones is resolved as for an
//! empty system, so the machine that the tests run on has no part in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::cpio::Cpio;
use crate::cmd::{Running, run};
use crate::fixtures::cached;
use crate::images::sha256;
use crate::poll::poll;

/// To be counted up when what is done with the packages changes.
const BASE: u32 = 1;

const PACKAGES: [&str; 15] = [
    "linux-image-cloud-amd64",
    "systemd",
    "systemd-sysv",
    "dbus",
    "apparmor",
    "crun",
    "runc",
    "busybox-static",
    "kmod",
    "nfs-common",
    "nfs-kernel-server",
    "iproute2",
    "procps",
    "util-linux",
    "coreutils",
];

/// What those depend on and nothing here uses.
const WITHOUT: [&str; 17] = [
    "adduser_",
    "debconf_",
    "dpkg_",
    "initramfs-tools",
    "klibc-utils_",
    "libklibc_",
    "libperl",
    "libpython",
    "linux-base_",
    "media-types_",
    "perl",
    "python3",
    "rpcbind_",
    "tar_",
    "ucf_",
    "udev_",
    "usrmerge_",
];

/// The kernel's modules that are kept; most of the others drive hardware.
const MODULES: [&str; 21] = [
    "arch",
    "block",
    "crypto",
    "drivers/block/brd.ko",
    "drivers/block/loop.ko",
    "drivers/net/ipvlan",
    "drivers/net/macvlan.ko",
    "drivers/net/veth.ko",
    "drivers/net/vxlan",
    "drivers/net/wireguard",
    "fs/binfmt_misc.ko",
    "fs/fscache",
    "fs/fuse",
    "fs/lockd",
    "fs/netfs",
    "fs/nfs",
    "fs/nfs_common",
    "fs/nfsd",
    "fs/overlayfs",
    "lib",
    "net",
];

/// The folder with `vmlinuz` and `root.cpio`. Takes some seconds and the network the first time.
pub(super) fn guest() -> PathBuf {
    let all = [&PACKAGES[..], &WITHOUT, &MODULES].concat().join(" ");
    let name = format!("guest-{BASE}-{}", &sha256(all.as_bytes())[..12]);
    cached(&name, make)
}

fn make(folder: &Path) {
    let (packages, root) = (folder.join("packages"), folder.join("root"));
    download(&packages);
    for part in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(part)).expect("target/ is writable");
        symlink(format!("usr/{part}"), root.join(part)).expect("target/ is writable");
    }
    for package in fs::read_dir(&packages).expect("just made").flatten() {
        let name = package.file_name().into_string().expect("a plain name");
        let kept = !WITHOUT.iter().any(|without| name.starts_with(without));
        if kept && name.ends_with(".deb") {
            unpack(&package.path(), &root);
        }
    }
    fs::remove_dir_all(&packages).expect("just made");
    let kernel = only(&root.join("lib/modules"));
    trim_modules(&root.join("lib/modules").join(&kernel).join("kernel"));
    run(Command::new("chroot").arg(&root).args(["depmod", &kernel])).ok();
    let image = root.join("boot").join(format!("vmlinuz-{kernel}"));
    fs::rename(image, folder.join("vmlinuz")).expect("the package has a kernel");
    fs::remove_dir_all(root.join("boot")).expect("just unpacked");
    let mut cpio = Cpio::default();
    for dir in ["dev", "proc", "sys", "run", "tmp", "mnt", "root"] {
        cpio.dir(dir);
    }
    cpio.char("dev/console", 5, 1);
    cpio.tree(&root, "");
    fs::write(folder.join("root.cpio"), cpio.finish()).expect("target/ is writable");
    fs::remove_dir_all(&root).expect("just made");
}

fn download(to: &Path) {
    fs::create_dir_all(to.join("partial")).expect("target/ is writable");
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--download-only", "-qq"])
        .args(["-o", "Dir::State::status=/dev/null"])
        .args(["-o", "APT::Install-Recommends=false"])
        // Nothing is installed, so nothing of the system's needs to be locked.
        .args(["-o", "Debug::NoLocking=1"])
        .args(["-o", "APT::Sandbox::User=root"])
        .arg("-o")
        .arg(format!("Dir::Cache::archives={}", to.display()))
        .args(PACKAGES);
    // Seventy megabytes: longer than a program usually gets here when the mirror is far.
    let mut apt = Running::start(apt.stdin(Stdio::null()));
    poll(Duration::from_secs(300), "Debian's packages", || {
        (!apt.running()).then_some(())
    });
    apt.wait().ok();
}

fn unpack(package: &Path, root: &Path) {
    let script = "set -o pipefail; dpkg-deb --fsys-tarfile \"$1\" | tar --extract \
        --keep-directory-symlink --directory \"$2\" --exclude './usr/share/doc' \
        --exclude './usr/share/man' --exclude './usr/share/locale' --exclude './usr/share/info' \
        --exclude './usr/share/bash-completion' --exclude './usr/share/lintian'";
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"]).arg(package).arg(root);
    run(&mut bash).ok();
}

/// The name of the only entry of a folder.
fn only(folder: &Path) -> String {
    let mut entries = fs::read_dir(folder).expect("it was unpacked").flatten();
    let name = entries.next().expect("one kernel").file_name();
    assert!(entries.next().is_none(), "more than one kernel");
    name.into_string().expect("a plain name")
}

fn trim_modules(kernel: &Path) {
    let kept = kernel.with_extension("kept");
    for name in MODULES {
        let to = kept.join(name);
        fs::create_dir_all(to.parent().expect("a folder above")).expect("target/ is writable");
        fs::rename(kernel.join(name), to)
            .unwrap_or_else(|e| panic!("the kernel has no module {name}: {e}"));
    }
    fs::remove_dir_all(kernel).expect("just unpacked");
    fs::rename(kept, kernel).expect("target/ is writable");
}
