//! Building images with a real daemon: by our own client, and by the real docker's classic builder.

mod archives;
mod attacks;
mod bound;
mod cache;
mod caches;
mod classic;
mod faults;
mod files;
mod git;
mod language;
mod mounts;
mod named;
mod platforms;
mod push;
mod reference;
mod remote;
mod ssh;
mod story;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use testkit::{Cli, Daemon};

/// The files of a build.
struct Files(TempDir);

impl Files {
    /// With this Dockerfile.
    fn new(dockerfile: &str) -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        files.file("Dockerfile", dockerfile)
    }

    fn file(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }

    fn mode(self, path: &str, mode: u32) -> Self {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.path(path), mode).expect("a mode");
        self
    }

    fn link(self, path: &str, target: &str) -> Self {
        std::os::unix::fs::symlink(target, self.path(path)).expect("a link");
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    /// A build that must succeed: what it told.
    #[track_caller]
    fn build(&self, d: &Daemon, more: &str) -> String {
        let line = format!(
            "build --progress plain -t it {more} {}",
            self.dir().display()
        );
        let out = d.wharf().run(&line);
        assert_eq!(out.code, 0, "{line}\n{}{}", out.stdout, out.stderr);
        out.stderr
    }

    /// One that must fail, and say each of `parts`.
    #[track_caller]
    fn fails(&self, d: &Daemon, more: &str, parts: &[&str]) -> String {
        let line = format!(
            "build --progress plain -t it {more} {}",
            self.dir().display()
        );
        let out = d.wharf().run(&line);
        assert_ne!(out.code, 0, "{line}\n{}{}", out.stdout, out.stderr);
        for part in parts {
            assert!(
                out.stderr.contains(part),
                "{part} is not in\n{}",
                out.stderr
            );
        }
        out.stderr
    }
}

/// Runs a shell in what was built.
#[track_caller]
fn sh(d: &Daemon, script: &str) -> String {
    run(&d.wharf(), &format!("run --rm it sh -c '{script}'"))
}

#[track_caller]
fn run(cli: &Cli, line: &str) -> String {
    cli.ok(line)
}

/// How many steps of a build's plain output came from the cache.
fn cached(told: &str) -> usize {
    told.lines().filter(|l| l.ends_with(" CACHED")).count()
}
