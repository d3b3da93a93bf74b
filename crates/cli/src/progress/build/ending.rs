//! What is told at the end: the last lines of steps that failed, warnings, and a summary.

use std::fmt::Write;

use types::build::BuildWarning;

use super::trace::Trace;

/// The last lines of each step that failed, between two rules.
pub(super) fn failures(trace: &Trace) -> String {
    let mut out = String::new();
    for step in &trace.steps {
        if step.vertex.error.is_empty() || step.is_canceled() {
            continue;
        }
        let _ = writeln!(out, "------\n > {}:", step.vertex.name);
        for line in &step.last {
            let _ = writeln!(out, "{} {}", line.at, line.text);
        }
        out.push_str("------\n");
    }
    out
}

/// One line for each warning, as buildx has them.
pub(super) fn warnings(all: &[BuildWarning]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let found = match all.len() {
        1 => "1 warning found".to_owned(),
        n => format!("{n} warnings found"),
    };
    let mut out = format!("\n {found} (use --check to see the lines):\n");
    for w in all {
        let _ = writeln!(out, " - {}: {} (line {})", w.rule, w.message, w.line);
    }
    out
}

/// How much came from the cache.
pub(super) fn summary(trace: &Trace) -> String {
    match trace.cached() {
        (0, _) => String::new(),
        (all, cached) => format!("cached: {cached} of {all} steps"),
    }
}

/// A warning with its lines drawn, for `--check`.
pub(crate) fn drawing(w: &BuildWarning) -> String {
    let mut out = String::new();
    let _ = write!(out, "\nWARNING: {}", w.rule);
    if !w.url.is_empty() {
        let _ = write!(out, " - {}", w.url);
    }
    let _ = writeln!(out, "\n{}", w.message);
    if !w.description.is_empty() && w.description != w.message {
        let _ = writeln!(out, "{}", w.description);
    }
    let _ = writeln!(out, "\n{}:{}", w.file, w.line);
    if w.source.is_empty() {
        return out;
    }
    let rule = "-".repeat(20);
    let _ = writeln!(out, "{rule}");
    for (number, line) in (w.line..).zip(&w.source) {
        let mark = if number <= w.end_line.max(w.line) {
            ">>>"
        } else {
            "   "
        };
        let _ = writeln!(out, "{number:4} | {mark} {line}");
    }
    let _ = writeln!(out, "{rule}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_short_and_drawn() {
        let w = BuildWarning {
            rule: "JSONArgsRecommended".into(),
            description: "JSON arguments recommended".into(),
            message: "JSON arguments recommended for CMD".into(),
            file: "Dockerfile".into(),
            line: 2,
            end_line: 2,
            source: vec!["CMD x".into()],
            ..BuildWarning::default()
        };
        assert_eq!(
            warnings(std::slice::from_ref(&w)),
            "\n 1 warning found (use --check to see the lines):\n - JSONArgsRecommended: JSON arguments recommended for CMD (line 2)\n"
        );
        let drawn = drawing(&w);
        assert!(drawn.contains("Dockerfile:2\n--------------------\n   2 | >>> CMD x\n"));
    }
}
