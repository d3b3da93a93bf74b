//! `list`: all containers.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    Global,
    args::Given,
    inspect::{self, Described},
    print,
};
use crate::oci::{Error, Result};

const HEAD: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
/// A column is at least so wide, and so far from the next.
const WIDTH: usize = 12;
const GAP: usize = 3;

pub(super) fn list(global: &Global, given: &Given) -> Result<u8> {
    let json = match given.text("format").map_err(Error::State)? {
        None | Some("table") => false,
        Some("json") => true,
        Some(_) => {
            return Err(Error::State(
                "invalid format option: table or json".to_owned(),
            ));
        }
    };
    let containers = global.store.all()?;
    if given.on("quiet") {
        let names: String = containers
            .iter()
            .fold(String::new(), |all, c| all + c.id() + "\n");
        return Ok(print(&names));
    }
    let mut found = Vec::new();
    for container in &containers {
        match inspect::describe(container) {
            Ok(described) => found.push(described),
            // One that another command is just making or deleting hides no other.
            Err(e) => eprintln!("{}: {e}", container.id()),
        }
    }
    if json {
        // Nothing is null, as clients know it from runc.
        let all = found.into_iter().map(|d| d.json).collect::<Vec<_>>();
        let text = if all.is_empty() {
            "null".to_owned()
        } else {
            Value::from(all).to_string()
        };
        return Ok(print(&format!("{text}\n")));
    }
    Ok(print(&table(&found)))
}

fn table(found: &[Described]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(found.iter().map(|d| {
        [
            d.state.id.clone(),
            d.pid.to_string(),
            d.status.as_str().to_owned(),
            d.state.bundle.display().to_string(),
            d.state.created.clone(),
            d.owner.clone(),
        ]
    }));
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|i| {
            let longest = rows.iter().map(|r| r[i].chars().count()).max();
            (longest.unwrap_or_default() + GAP).max(WIDTH)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        for (i, cell) in row.iter().enumerate() {
            let width = if i + 1 == row.len() { 0 } else { widths[i] };
            let _ = write!(text, "{cell:width$}");
        }
        text.push('\n');
    }
    text
}
