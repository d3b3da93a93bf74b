//! Builds the small programs that live beside and in containers, static and not
//! position-independent, so that `src/embedded.rs` can hold them.
//!
//! They are built by a cargo of their own because they need another profile and other flags than
//! the daemon; in a target directory of their own, because the outer cargo holds the lock on its.
//! That directory is shared by all of the outer cargo's profiles: the programs are the same.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROGRAMS: [&str; 6] = [
    "wharf-shim",
    "wharf-init",
    "wharf-oci",
    "wharf-dns",
    "wharf-relay",
    "hello",
];
/// What the programs are made of.
const CRATES: [&str; 7] = [
    "shim",
    "resolver",
    "relay",
    "companion",
    "hello",
    "runtime",
    "sys",
];

fn main() {
    let var = |name: &str| PathBuf::from(env::var_os(name).expect("cargo sets it"));
    let root = var("CARGO_MANIFEST_DIR").join("../..");
    let out = var("OUT_DIR");
    for name in CRATES {
        for part in ["src", "Cargo.toml"] {
            println!(
                "cargo::rerun-if-changed={}",
                root.join("crates").join(name).join(part).display()
            );
        }
    }
    for name in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    // OUT_DIR is <target>/<profile>/build/<package>/out.
    let target_dir = out.ancestors().nth(4).unwrap_or(&out).join("static");
    build(&var("CARGO"), &root, &target_dir);
    for name in PROGRAMS {
        let built = target_dir.join(TARGET).join("tiny").join(name);
        fs::copy(&built, out.join(name))
            .unwrap_or_else(|e| panic!("cannot copy {}: {e}", built.display()));
    }
}

fn build(cargo: &Path, root: &Path, target_dir: &Path) {
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["build", "--locked", "--profile", "tiny", "--target", TARGET]);
    command
        .args(["-p", "shim", "-p", "resolver", "-p", "relay", "-p", "hello"])
        .arg("--target-dir")
        .arg(target_dir);
    // The outer cargo's settings (clippy's wrapper, coverage flags, profiles) are not for these.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("CARGO_") || text.starts_with("RUST");
        let stays = text.starts_with("RUSTUP_")
            || text.starts_with("CARGO_NET_")
            || text.starts_with("CARGO_HTTP_")
            || text.starts_with("CARGO_REGISTR")
            || matches!(&*text, "CARGO_HOME" | "CARGO_MAKEFLAGS" | "RUST_BACKTRACE");
        if ours && !stays {
            command.env_remove(&name);
        }
    }
    command.env(
        "CARGO_ENCODED_RUSTFLAGS",
        "-Crelocation-model=static\u{1f}-Ctarget-feature=+crt-static",
    );
    let status = command
        .status()
        .unwrap_or_else(|e| panic!("cannot run {}: {e}", cargo.display()));
    assert!(
        status.success(),
        "the programs to embed could not be built: {status}"
    );
}
