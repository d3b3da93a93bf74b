//! As an ordinary user: a user namespace by newuidmap, no cgroup.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Command,
};

use serde_json::json;
use testkit::run;

use crate::support::{Bundle, Runtime, id};

/// A user that no account of the machine is.
const UID: u32 = 64_321;
const SUB: u32 = 1_900_000_000;

/// Gives everything below `path` to the user.
fn give(path: &Path) {
    let _ = chown(path, Some(UID), Some(UID));
    let is_dir = path.symlink_metadata().is_ok_and(|m| m.is_dir());
    for entry in fs::read_dir(path)
        .into_iter()
        .filter(|_| is_dir)
        .flatten()
        .flatten()
    {
        give(&entry.path());
    }
}

#[test]
fn an_ordinary_user() {
    let r = Runtime::new();
    if !r.is_wharf() {
        return;
    }
    // Files of accounts for this test only, in a mount namespace of its own: newuidmap reads them.
    let etc = r.dir.path().join("etc");
    fs::create_dir(&etc).expect("/tmp is writable");
    let passwd = fs::read_to_string("/etc/passwd").expect("there");
    let user = format!("{passwd}wharftest:x:{UID}:{UID}::/:/bin/sh\n");
    fs::write(etc.join("passwd"), user).expect("writable");
    for name in ["subuid", "subgid"] {
        fs::write(etc.join(name), format!("wharftest:{SUB}:65536\n")).expect("writable");
    }
    let b = Bundle::changed(&r, &["true"], |c| {
        let map = json!([
            { "containerID": 0, "hostID": UID, "size": 1 },
            { "containerID": 1, "hostID": SUB, "size": 65536 },
        ]);
        // What `spec --rootless` writes, with more than one user.
        let linux = &mut c["linux"];
        linux["uidMappings"] = map.clone();
        linux["gidMappings"] = map;
        linux["resources"] = json!({});
        linux["namespaces"] = json!([
            { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
            { "type": "user" },
        ]);
        let mounts = c["mounts"].as_array_mut().expect("a list");
        mounts.retain(|m| m["destination"] != "/sys/fs/cgroup" && m["destination"] != "/sys");
        c["process"]["args"] = json!(["sh", "-c", "id -u; cat /proc/self/uid_map; exit 6"]);
    });
    fs::set_permissions(b.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    fs::set_permissions(r.dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    give(Path::new(b.path()));
    let runtime_dir = r.dir.path().join("xdg");
    fs::create_dir(&runtime_dir).expect("writable");
    give(&runtime_dir);
    // A copy where the user can reach it.
    let program = r.dir.path().join("wharf-runtime");
    fs::copy(testkit::wharf_bin(), &program).expect("writable");
    let script = "mount --bind $1/etc/passwd /etc/passwd
        for f in subuid subgid; do [ -e /etc/$f ] || exit 90; mount --bind $1/etc/$f /etc/$f; done
        export XDG_RUNTIME_DIR=$1/xdg; d=$1; shift
        exec setpriv --reuid 64321 --regid 64321 --clear-groups --inh-caps=-all \"$d/wharf-runtime\" \"$@\"";
    let as_user = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ]);
        run(command.arg(r.dir.path()).args(args).current_dir("/"))
    };
    let out = as_user(&["run", "-b", b.path(), &id()]);
    assert_eq!(out.code, 6, "{out}");
    let words: Vec<&str> = out.stdout.split_whitespace().collect();
    let (uid, sub) = (UID.to_string(), SUB.to_string());
    assert_eq!(words, ["0", "0", &uid, "1", "1", &sub, "65536"], "{out}");
    assert_eq!(as_user(&["list", "-q"]).ok(), "");
    assert!(runtime_dir.join("wharf-runtime").is_dir());
    // A limit cannot be had without a cgroup, and is not left out silently.
    let mut config = b.config();
    config["linux"]["resources"] = json!({ "pids": { "limit": 5 } });
    b.write(&config);
    as_user(&["run", "-b", b.path(), &id()]).refused(&["linux.resources.pids.limit"]);
}
