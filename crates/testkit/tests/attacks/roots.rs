//! Root file systems whose `/proc` and `/sys` are not what they seem.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use testkit::{Bundle, Daemon, images};

use crate::bait::Swapper;

/// Says `WRITABLE` if a kernel setting can be written, which `/proc/sys` read-only forbids, under any of
/// the names that the kernel's files may have by now.
const PROBE: &str = "for p in /proc /proc-link /decoy; do \
    [ -e $p/sys/kernel/domainname ] && (echo pwned > $p/sys/kernel/domainname) 2>/dev/null && echo WRITABLE; \
    done; true";

#[test]
fn attack_07_a_root_shared_with_another_container_changes_proc() {
    let bundle = Bundle::new().shell(PROBE);
    let root = bundle.root();
    fs::create_dir(root.join("decoy")).expect("a folder");
    symlink("decoy", root.join("proc-link")).expect("a link");
    let swapper = Swapper::new(root.join("proc"), root.join("proc-link"));
    for _ in 0..40 {
        let out = bundle.run();
        // Refused, or right.
        assert!(!out.stdout.contains("WRITABLE"), "{out}");
    }
    drop(swapper);
    // The daemon's containers have roots of their own; a volume over /proc is what comes nearest.
    let d = Daemon::fresh();
    let folder = d.dir().join("proc");
    fs::create_dir_all(folder.join("sys/kernel")).expect("folders");
    let line = format!(
        "run --rm -v {}:/proc busybox sh -c \"{PROBE}\"",
        folder.display()
    );
    let out = d.docker().run(&line);
    assert!(!out.stdout.contains("WRITABLE"), "{out}");
}

#[test]
fn attack_09_proc_or_sys_as_a_link_in_the_root() {
    for name in ["proc", "sys"] {
        let bundle = Bundle::new().args(&["true"]);
        fs::remove_dir(bundle.root().join(name)).expect("an empty folder");
        fs::create_dir(bundle.root().join("decoy")).expect("a folder");
        symlink("decoy", bundle.root().join(name)).expect("a link");
        bundle.run().refused(&[name]);

        let image_name = format!("attack-{name}-link");
        let whiteout = format!(".wh.{name}");
        let image = images::variant(
            &image_name,
            |layer| {
                let layer = layer.file(&whiteout, 0o644, "").folder("decoy", 0o755);
                layer.symlink(name, "decoy")
            },
            &json!({}),
        );
        let d = Daemon::fresh();
        d.load(&image);
        d.docker()
            .refused(&format!("run --rm {image_name} true"), &[name]);
    }
}
