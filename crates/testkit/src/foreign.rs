//! What another processor's programs need to be tried: some of them, and an emulator.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cmd::run;
use crate::fixtures::cached;
use crate::images::{Layer, busybox_config, write_archive_for};

/// `foreign:latest`, busybox for arm64 from Debian's package.
pub fn busybox() -> PathBuf {
    cached("foreign-1.tar", |path| {
        let root = path.with_extension("rootfs.tar");
        let mut command = Command::new("mmdebstrap");
        // Nothing of it is run: the packages are only unpacked.
        command
            .args(["--variant=extract", "--mode=root", "--architectures=arm64"])
            .args(["--include=busybox-static", "bookworm"])
            .arg(&root);
        let done = command.output().expect("mmdebstrap is installed");
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "mmdebstrap: {told}");
        let mut tar = Command::new("tar");
        tar.arg("-xOf").arg(&root).arg("./bin/busybox");
        let program = tar.output().expect("tar is installed").stdout;
        fs::remove_file(&root).expect("our own file");
        assert!(program.starts_with(b"\x7fELF"), "the package has a program");
        let mut layer = Layer::new()
            .folder("bin", 0o755)
            .file("bin/busybox", 0o755, program);
        for applet in ["sh", "cat", "echo", "uname", "true", "mkdir"] {
            layer = layer.symlink(&format!("bin/{applet}"), "busybox");
        }
        for folder in ["dev", "etc", "proc", "sys", "tmp"] {
            layer = layer.folder(folder, 0o755);
        }
        let layers = [layer.finish()];
        write_archive_for("arm64", path, "foreign:latest", &layers, &busybox_config());
    })
}

/// A folder with Debian's emulator of arm64, `qemu`, and how Debian registers it, `binfmt`.
pub fn emulator() -> PathBuf {
    cached("emulator-1", |folder| {
        fs::create_dir_all(folder).expect("target/ is writable");
        let script = "set -eo pipefail; cd \"$1\"
            apt-get -o APT::Sandbox::User=root download -qq qemu-user-static
            dpkg-deb --fsys-tarfile ./*.deb | tar -x --strip-components=3 \
                ./usr/bin/qemu-aarch64-static ./usr/lib/binfmt.d/qemu-aarch64.conf
            rm ./*.deb
            mv qemu-aarch64-static qemu
            mv binfmt.d/qemu-aarch64.conf binfmt
            rmdir binfmt.d";
        let mut bash = Command::new("bash");
        run(bash.args(["-c", script, "bash"]).arg(folder)).ok();
    })
}
