//! What no file of the repository may be: too long, or tied to the machine it was written on.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Longer than this nobody reads in one sitting.
const LINES: usize = 1000;

/// Long because they are data, or made by a program.
const DATA: [&str; 3] = ["spec/", "Cargo.lock", "docs/compatibility.md"];

/// Looks through every file that git knows or would take in.
pub(crate) fn check() -> Result<()> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(crate::root())
        .output()
        .context("cannot run git")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).context("a file's name is no UTF-8")?;
    let mut wrong = Vec::new();
    for name in names.lines() {
        let Ok(text) = fs::read_to_string(crate::root().join(name)) else {
            continue;
        };
        wrong.extend(look(name, &text));
    }
    crate::verdict("these files should not be as they are", &wrong)
}

fn look(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let data = DATA.iter().any(|d| name.starts_with(d));
    let lines = text.lines().count();
    if lines > LINES && !data && !name.ends_with(".json") {
        wrong.push(format!("{name}: {lines} lines, {LINES} is the most"));
    }
    for (n, line) in text.lines().enumerate() {
        for word in machine_words() {
            if line.contains(&word) {
                wrong.push(format!(
                    "{name}:{}: has {word:?}, which is of one machine",
                    n + 1
                ));
            }
        }
    }
    wrong
}

/// Put together here, so that this file is not found itself.
fn machine_words() -> Vec<String> {
    let joined = [
        ["/work", "/main"],
        ["/work", "/wt"],
        ["/work", "/shared"],
        ["arti", "factory/"],
    ];
    joined.iter().map(|parts| parts.concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::{LINES, look, machine_words};

    #[test]
    fn long_files_and_machine_words() {
        assert!(look("a.rs", &"x\n".repeat(LINES)).is_empty());
        assert_eq!(look("a.rs", &"x\n".repeat(LINES + 1)).len(), 1);
        assert!(look("spec/x.yaml", &"x\n".repeat(LINES + 1)).is_empty());
        assert_eq!(
            look("a.md", &format!("ok\nsee {}\n", machine_words()[0])).len(),
            1
        );
    }
}
