//! The layers: which crate may use which, and what some must not know at all.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A crate, the crates of ours that it may use, and libraries of others that it must not.
struct Layer {
    name: &'static str,
    uses: &'static [&'static str],
    without: &'static [&'static str],
}

/// Async runtimes.
const RUNTIMES: [&str; 3] = ["tokio", "tokio-util", "futures-util"];
/// Imports point down only; docs/architecture.md says what each is for.
const LAYERS: [Layer; 27] = [
    layer(
        "types",
        &[],
        &["tokio", "tokio-util", "futures-util", "rustix", "libc"],
    ),
    layer(
        "dockerfile",
        &["types"],
        &["tokio", "tokio-util", "futures-util", "rustix", "libc"],
    ),
    layer("gotmpl", &["types"], &RUNTIMES),
    layer("sys", &["types"], &RUNTIMES),
    layer("hello", &["sys"], &["tokio", "serde", "serde_json"]),
    layer("runtime", &["types", "sys"], &RUNTIMES),
    layer("shim", &["types", "sys", "runtime"], &RUNTIMES),
    layer("archive", &["types", "sys"], &RUNTIMES),
    layer(
        "image",
        &["types", "dockerfile", "sys", "archive"],
        &["axum", "redb"],
    ),
    layer(
        "builder",
        &["types", "sys", "dockerfile", "archive", "image"],
        &["tokio", "axum", "redb", "reqwest"],
    ),
    layer("network", &["types", "sys"], &["axum", "redb"]),
    layer("companion", &["sys"], &RUNTIMES),
    layer("resolver", &["types", "sys", "companion"], &RUNTIMES),
    layer("relay", &["sys", "companion"], &RUNTIMES),
    layer(
        "engine",
        &[
            "types",
            "sys",
            "runtime",
            "archive",
            "image",
            "network",
            "companion",
            "resolver",
            "relay",
            "gotmpl",
        ],
        &[
            "axum",
            "reqwest",
            "tower",
            "tower-http",
            "hyper",
            "hyper-util",
        ],
    ),
    layer(
        "swarm-api",
        &["types"],
        &["tokio", "tokio-util", "futures-util", "rustix", "libc"],
    ),
    layer(
        "store",
        &["types", "swarm-api"],
        &["axum", "rustix", "hyper"],
    ),
    // Only its failpoints are of `sys`; the transport is given to it.
    layer(
        "raft",
        &["types", "sys", "swarm-api", "store"],
        &["axum", "redb", "hyper", "tokio-rustls"],
    ),
    // Time, randomness and transport are given to it.
    layer(
        "manager",
        &["types", "swarm-api", "store"],
        &["tokio", "axum", "redb", "rustix", "hyper", "rand"],
    ),
    layer(
        "identity",
        &["types", "swarm-api"],
        &["tokio", "axum", "rustix", "hyper"],
    ),
    layer(
        "agent",
        &["types", "swarm-api"],
        &["axum", "rustix", "hyper"],
    ),
    layer("api", &["types"], &["redb", "rustix"]),
    layer(
        "cli",
        &["types", "archive", "dockerfile", "gotmpl"],
        &["axum", "redb"],
    ),
    layer(
        "wharf",
        &[
            "types", "sys", "runtime", "archive", "image", "network", "engine", "api", "cli",
            "gotmpl", "builder",
        ],
        &[],
    ),
    layer(
        "fuzz",
        &[
            "types",
            "dockerfile",
            "gotmpl",
            "image",
            "archive",
            "api",
            "resolver",
        ],
        &[],
    ),
    layer("testkit", &[], &["tokio"]),
    layer("xtask", &[], &["tokio"]),
];

const fn layer(
    name: &'static str,
    uses: &'static [&'static str],
    without: &'static [&'static str],
) -> Layer {
    Layer {
        name,
        uses,
        without,
    }
}

/// Compares the table with what `cargo metadata` says.
pub(crate) fn check() -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(crate::root())
        .output()
        .context("cannot run `cargo metadata`")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let wrong = compare(&dependencies(&metadata));
    crate::verdict("the layers (crates/xtask/src/deps.rs) do not allow", &wrong)
}

/// What each package of the workspace depends on, without what only its tests need.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .map(|package| {
            let all = package["dependencies"].as_array().into_iter().flatten();
            let normal = all.filter(|d| d["kind"] != "dev");
            let names = normal.filter_map(|d| d["name"].as_str().map(str::to_owned));
            (
                package["name"].as_str().unwrap_or_default().to_owned(),
                names.collect(),
            )
        })
        .collect()
}

fn compare(packages: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, dependencies) in packages {
        let Some(layer) = LAYERS.iter().find(|l| l.name == name) else {
            wrong.push(format!("{name}: it has no place in the table yet"));
            continue;
        };
        for dependency in dependencies {
            let ours = packages.contains_key(dependency);
            if ours && !layer.uses.contains(&dependency.as_str())
                || layer.without.contains(&dependency.as_str())
            {
                wrong.push(format!("{name} → {dependency}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::{LAYERS, compare};

    fn packages(edges: &[(&str, &str)]) -> Vec<String> {
        let mut packages: std::collections::BTreeMap<_, std::collections::BTreeSet<_>> = LAYERS
            .iter()
            .map(|l| (l.name.to_owned(), Default::default()))
            .collect();
        for (from, to) in edges {
            packages
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        compare(&packages)
    }

    #[test]
    fn down_is_allowed_and_up_is_not() {
        assert!(packages(&[("engine", "image"), ("engine", "tokio")]).is_empty());
        assert_eq!(packages(&[("image", "engine")]), ["image → engine"]);
        assert_eq!(packages(&[("runtime", "tokio")]), ["runtime → tokio"]);
        assert_eq!(
            packages(&[("new", "types")]),
            ["new: it has no place in the table yet"]
        );
    }

    #[test]
    fn the_table_itself_points_down() {
        for (at, layer) in LAYERS.iter().enumerate() {
            for used in layer.uses {
                let place = LAYERS.iter().position(|l| l.name == *used);
                assert!(
                    place.is_some_and(|place| place < at),
                    "{} → {used}",
                    layer.name
                );
            }
        }
    }
}
