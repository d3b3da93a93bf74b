//! Node.js with clients of the Docker API from npm.

use std::path::PathBuf;
use std::process::Command;

use crate::cmd::run;
use crate::fixtures::cached;

/// A folder to name in `NODE_PATH`, with dockerode in it.
pub fn with_dockerode() -> PathBuf {
    cached("node-dockerode-4", |folder| {
        std::fs::create_dir_all(folder).expect("target/ is writable");
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        run(npm.arg(folder).arg("dockerode@4")).ok();
    })
    .join("node_modules")
}
