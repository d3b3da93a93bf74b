//! Promises: `docs/status.toml` says what works, and by which tests one can see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

const SOURCE: &str = "docs/status.toml";
const PAGE: &str = "docs/compatibility.md";
const FIGURES: &str = "docs/performance.md";
const CI: &str = ".ci/run";
const RESULTS: &str = "nextest/ci/junit.xml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    /// Headings of the page, in order.
    section: Vec<Section>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    #[serde(default)]
    entry: Vec<Entry>,
}

/// Something that an issue asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    issue: u32,
    title: String,
    state: State,
    /// As nextest names them: binary, blank, test. Or `ci STEP`, where no test can show it but a
    /// step of `.ci/run` which fails without it.
    #[serde(default)]
    tests: Vec<String>,
    /// For people: a limit, or what is refused.
    #[serde(default)]
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Works,
    Refused,
    Missing,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Refused => "refused",
            Self::Missing => "missing",
        }
    }
}

fn read() -> Result<Status> {
    let text = fs::read_to_string(crate::root().join(SOURCE)).context(SOURCE)?;
    toml::from_str(&text).context(SOURCE)
}

/// Writes the page.
pub(crate) fn write_page() -> Result<()> {
    fs::write(crate::root().join(PAGE), page(&read()?)).context(PAGE)
}

/// Checks the promises against the results of the last run, and the page against the promises.
pub(crate) fn check(only_check: bool) -> Result<()> {
    let status = read()?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| crate::root().join("target"), std::path::PathBuf::from);
    let results = target.join(RESULTS);
    let results = fs::read_to_string(&results)
        .with_context(|| format!("{}: run `cargo xtask test` first", results.display()))?;
    let steps = steps_of(&fs::read_to_string(crate::root().join(CI)).context(CI)?)?;
    let figures = fs::read_to_string(crate::root().join(FIGURES)).context(FIGURES)?;
    let wrong = broken(&status, &results_of(&results)?, &steps, &figures);
    crate::verdict(&format!("{SOURCE} promises what was not shown"), &wrong)?;
    let (path, text) = (crate::root().join(PAGE), page(&status));
    if only_check {
        let there = fs::read_to_string(path).unwrap_or_default();
        ensure!(
            there == text,
            "{PAGE} is stale: run `cargo xtask compatibility`"
        );
        return Ok(());
    }
    fs::write(path, text).context(PAGE)
}

/// Whether each test passed, by its name as nextest prints it.
fn results_of(junit: &str) -> Result<BTreeMap<String, bool>> {
    let document = roxmltree::Document::parse(junit).context(RESULTS)?;
    let mut results = BTreeMap::new();
    for case in document
        .descendants()
        .filter(|n| n.has_tag_name("testcase"))
    {
        let suite = case
            .parent()
            .and_then(|s| s.attribute("name"))
            .unwrap_or_default();
        let name = case.attribute("name").unwrap_or_default();
        let bad = |n: roxmltree::Node<'_, '_>| {
            n.has_tag_name("failure") || n.has_tag_name("error") || n.has_tag_name("skipped")
        };
        results.insert(format!("{suite} {name}"), !case.children().any(bad));
    }
    ensure!(!results.is_empty(), "{RESULTS} has no test in it");
    Ok(results)
}

/// What `.ci/run` does when it is asked for nothing special.
fn steps_of(script: &str) -> Result<Vec<String>> {
    let list = script
        .lines()
        .find_map(|l| l.split_once("|| steps=(")?.1.strip_suffix(')'));
    let list = list.with_context(|| format!("{CI} has no list of steps"))?;
    Ok(list.split_whitespace().map(str::to_owned).collect())
}

/// Everything that is wrong with the promises.
fn broken(
    status: &Status,
    results: &BTreeMap<String, bool>,
    steps: &[String],
    figures: &str,
) -> Vec<String> {
    let (mut wrong, mut ids) = (Vec::new(), BTreeSet::new());
    for entry in status.section.iter().flat_map(|s| &s.entry) {
        let id = &entry.id;
        if !ids.insert(id) {
            wrong.push(format!("{id}: it is there twice"));
        }
        // A refusal is a promise too: nothing is silently ignored.
        if entry.state != State::Missing && entry.tests.is_empty() {
            wrong.push(format!("{id}: {} but no test shows it", entry.state.word()));
        }
        if entry.state == State::Missing {
            continue;
        }
        for test in &entry.tests {
            if let Some(step) = test.strip_prefix("ci ") {
                if !steps.iter().any(|s| s == step) {
                    wrong.push(format!("{id}: .ci/run has no step `{step}`"));
                }
                continue;
            }
            if let Some(row) = test.strip_prefix("bench ") {
                if !figures
                    .lines()
                    .any(|l| l.starts_with(&format!("| {row} |")))
                {
                    wrong.push(format!("{id}: docs/performance.md has no row `{row}`"));
                }
                continue;
            }
            match results.get(test) {
                Some(true) => {}
                Some(false) => wrong.push(format!("{id}: `{test}` did not pass")),
                None => wrong.push(format!("{id}: `{test}` did not run")),
            }
        }
    }
    wrong
}

/// The page for users.
fn page(status: &Status) -> String {
    let entries = || status.section.iter().flat_map(|s| &s.entry);
    let count = |state| entries().filter(|e| e.state == state).count();
    let mut page = format!(
        "# What works\n\nMade by `cargo xtask check-status` from `{SOURCE}`; do not edit. Each \
         line that *works* or is *refused* names tests which passed, or CI fails. The issues taken up so \
         far are all that is counted.\n\n\
         {} work, {} are refused by name, {} are missing.\n",
        count(State::Works),
        count(State::Refused),
        count(State::Missing)
    );
    for section in &status.section {
        page += &format!(
            "\n## {}\n\n| what | state | shown by |\n|---|---|---|\n",
            section.title
        );
        for Entry {
            title,
            state,
            tests,
            note,
            id,
            issue,
        } in &section.entry
        {
            let tests = tests
                .iter()
                .map(|t| format!("`{t}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let note = if note.is_empty() {
                String::new()
            } else {
                format!(" – {note}")
            };
            let cell = format!("{title}{note}").replace('|', "\\|");
            page += &format!(
                "| <a id=\"{id}\"></a>{cell} | {} (issue {issue}) | {tests} |\n",
                state.word()
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::{Status, broken, page, results_of};

    const JUNIT: &str = r#"<testsuites><testsuite name="testkit::run">
        <testcase name="good" classname="testkit::run"/>
        <testcase name="bad" classname="testkit::run"><failure/></testcase>
        </testsuite></testsuites>"#;

    fn status(entries: &str) -> Status {
        toml::from_str(&format!("[[section]]\ntitle = 'S'\n{entries}")).expect("TOML")
    }

    fn entry(id: &str, state: &str, test: &str) -> String {
        let tests = if test.is_empty() {
            String::new()
        } else {
            format!("'{test}'")
        };
        format!(
            "[[section.entry]]\nid='{id}'\nissue=2\ntitle='T|x'\nstate='{state}'\ntests=[{tests}]\n"
        )
    }

    #[test]
    fn only_what_passed_is_shown() {
        let results = results_of(JUNIT).expect("XML");
        let check = |entries: &[String]| {
            broken(
                &status(&entries.concat()),
                &results,
                &["fmt".into()],
                "| pull | 1 s |",
            )
        };
        assert!(check(&[entry("a", "works", "testkit::run good")]).is_empty());
        assert!(check(&[entry("a", "missing", "")]).is_empty());
        assert_eq!(
            check(&[entry("a", "works", "")]),
            ["a: works but no test shows it"]
        );
        assert_eq!(
            check(&[entry("a", "refused", "")]),
            ["a: refused but no test shows it"]
        );
        assert_eq!(
            check(&[entry("a", "works", "testkit::run bad")]),
            ["a: `testkit::run bad` did not pass"]
        );
        assert_eq!(
            check(&[entry("a", "works", "testkit::run gone")]),
            ["a: `testkit::run gone` did not run"]
        );
        assert!(check(&[entry("a", "works", "bench pull")]).is_empty());
        assert_eq!(
            check(&[entry("a", "works", "bench run")]),
            ["a: docs/performance.md has no row `run`"]
        );
        assert!(check(&[entry("a", "works", "ci fmt")]).is_empty());
        assert_eq!(
            check(&[entry("a", "works", "ci x")]),
            ["a: .ci/run has no step `x`"]
        );
        let twice = [entry("a", "missing", ""), entry("a", "missing", "")];
        assert_eq!(check(&twice), ["a: it is there twice"]);
    }

    #[test]
    fn the_page_counts_and_escapes() {
        let page = page(&status(&entry("a", "missing", "")));
        assert!(page.contains("0 work, 0 are refused by name, 1 are missing."));
        assert!(page.contains("T\\|x"), "{page}");
    }
}
