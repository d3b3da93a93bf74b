//! `state` and `ps`: how a container is, and what runs in it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Global, args::Given, group::Group, id, owner, print, print_json};
use crate::oci::{
    Context, Error, Result,
    state::{Container, State, Status},
};

pub(super) fn state(global: &Global, given: &Given) -> Result<u8> {
    let container = global.store.open(&id(given)?)?;
    Ok(print_json(&describe(&container)?.json))
}

/// A container as `state` and `list` show it.
pub(super) struct Described {
    pub(super) status: Status,
    pub(super) pid: i32,
    pub(super) owner: String,
    pub(super) state: State,
    pub(super) json: Value,
}

pub(super) fn describe(container: &Container) -> Result<Described> {
    let state = container.finished_state()?;
    let status = status(container, &state);
    let pid = state.init.filter(|_| status != Status::Stopped);
    let pid = pid.map_or(0, |p| p.pid);
    let owner = container.owner().map(owner::name).unwrap_or_default();
    let mut json = json!({
        "ociVersion": state.oci_version,
        "id": state.id,
        "pid": pid,
        "status": status.as_str(),
        "bundle": state.bundle,
        "rootfs": state.rootfs,
        "created": state.created,
    });
    if !state.annotations.is_empty() {
        json["annotations"] = json!(state.annotations);
    }
    json["owner"] = json!(owner);
    Ok(Described {
        status,
        pid,
        owner,
        state,
        json,
    })
}

/// How a container is.
pub(super) fn status(container: &Container, state: &State) -> Status {
    container.status(Some(state), || {
        Group::of(state).is_ok_and(|g| g.is_frozen())
    })
}

pub(super) fn ps(global: &Global, given: &Given) -> Result<u8> {
    let container = global.store.open(&id(given)?)?;
    let json = match given.text("format").map_err(Error::State)? {
        None | Some("table") => false,
        Some("json") => true,
        Some(other) => {
            return Err(Error::State(format!(
                "invalid format {other:?}: table or json"
            )));
        }
    };
    let pids = Group::of(&container.finished_state()?)?.pids()?;
    if json {
        return Ok(print(&format!("{}\n", json!(pids))));
    }
    let mut options = given.words(1).map_err(Error::State)?;
    if options.is_empty() {
        options.push("-ef".to_owned());
    }
    let output = Command::new("ps")
        .args(&options)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context(|| "run ps")?;
    if !output.status.success() {
        return Err(Error::State(format!("ps: {}", output.status)));
    }
    table(&String::from_utf8_lossy(&output.stdout), &pids).map(|text| print(&text))
}

/// The lines of a table of processes that are about `pids`, and its head.
fn table(text: &str, pids: &[i32]) -> Result<String> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split_whitespace().position(|word| word == "PID");
    let column =
        column.ok_or_else(|| Error::State("ps prints no column PID: leave it in".to_owned()))?;
    let mut table = format!("{head}\n");
    for line in lines {
        let pid = line.split_whitespace().nth(column);
        if pid.is_some_and(|p| p.parse().is_ok_and(|p| pids.contains(&p))) {
            table.push_str(line);
            table.push('\n');
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_lines() {
        let text = "UID   PID CMD\nroot    1 init\nroot   11 a 1\nroot 12 b\n";
        assert_eq!(
            table(text, &[11, 1]).unwrap(),
            "UID   PID CMD\nroot    1 init\nroot   11 a 1\n"
        );
        assert!(table("USER CMD\n", &[]).is_err());
    }
}
