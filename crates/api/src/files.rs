//! Files in containers and what is made of them: archives, changes, export, commit.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use types::{
    Failure,
    container::{ContainerConfig, PathStat},
    options::PlaceOptions,
};

use crate::{
    answer::{Answer, empty, json, to_its_end, typed},
    backend::CommitOptions,
    body,
    dispatch::Call,
    error::Refusal,
};

const TAR: &str = "application/x-tar";

/// The path that the query names.
fn path(call: &Call) -> Result<String, Refusal> {
    if call.name.is_empty() {
        return Err(Refusal::bad("bad parameter: 'name' cannot be empty"));
    }
    let path = call.query.text("path");
    if path.is_empty() {
        return Err(Refusal::bad("bad parameter: 'path' cannot be empty"));
    }
    Ok(path.to_owned())
}

/// The header by which a client learns what it is about to get.
fn stat_header(stat: &PathStat) -> Result<HeaderValue, Refusal> {
    let nanos = i32::try_from(stat.mtime.1).unwrap_or(0);
    let mtime = jiff::Timestamp::new(stat.mtime.0, nanos).unwrap_or_default();
    let text = serde_json::json!({
        "name": stat.name,
        "size": stat.size,
        "mode": go_mode(stat.mode),
        "mtime": mtime.to_string(),
        "linkTarget": stat.link_target,
    })
    .to_string();
    HeaderValue::from_str(&STANDARD.encode(text))
        .map_err(|e| Failure::system(format!("a path's header: {e}")).into())
}

/// The bits of Go's `os.FileMode`, which this header has.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o020_000 => (1 << 26) | (1 << 21),
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special
        .iter()
        .filter(|(bit, _)| mode & bit != 0)
        .map(|(_, go)| go);
    kind | (mode & 0o777) | special.sum::<u32>()
}

const STAT: &str = "x-docker-container-path-stat";

pub(crate) async fn archive_info(call: Call) -> Answer {
    let path = path(&call)?;
    let stat = call.server.files.path_stat(&call.name, &path).await?;
    let mut answer = empty(StatusCode::OK);
    answer.headers_mut().insert(STAT, stat_header(&stat)?);
    Ok(answer)
}

pub(crate) async fn archive_get(call: Call) -> Answer {
    let path = path(&call)?;
    let (stat, archive) = call.server.files.read_archive(&call.name, &path).await?;
    let mut answer = typed(StatusCode::OK, TAR, Body::from_stream(archive));
    answer.headers_mut().insert(STAT, stat_header(&stat)?);
    Ok(answer)
}

pub(crate) async fn archive_put(call: Call) -> Answer {
    let path = path(&call)?;
    let options = PlaceOptions {
        keep_kinds: call.query.bool("noOverwriteDirNonDir"),
        to_user: call.query.bool("copyUIDGID"),
    };
    let archive = body::stream(call.body);
    let (files, name) = (call.server.files, call.name);
    to_its_end(async move { files.write_archive(&name, &path, options, archive).await }).await?;
    Ok(empty(StatusCode::OK))
}

pub(crate) async fn export(call: Call) -> Answer {
    let archive = call.server.files.export(&call.name).await?;
    let body = Body::from_stream(archive);
    Ok(typed(StatusCode::OK, "application/octet-stream", body))
}

pub(crate) async fn changes(call: Call) -> Answer {
    let changes = call.server.files.changes(&call.name).await?;
    if changes.is_empty() {
        // As Go writes a list that was never made.
        return json(StatusCode::OK, &serde_json::Value::Null);
    }
    json(StatusCode::OK, &changes)
}

pub(crate) async fn commit(call: Call) -> Answer {
    let name = call.query.text("container").to_owned();
    if name.is_empty() {
        return Err(Refusal::bad("bad parameter: 'container' cannot be empty"));
    }
    let (repo, tag) = (call.query.text("repo"), call.query.text("tag"));
    let reference = match (repo, tag) {
        ("", _) => String::new(),
        (repo, "") => repo.to_owned(),
        (repo, tag) => format!("{repo}:{tag}"),
    };
    let config: Option<ContainerConfig> = if body::announced(&call.headers) {
        body::json(&call.headers, call.body).await?
    } else {
        None
    };
    let options = CommitOptions {
        reference,
        author: call.query.text("author").to_owned(),
        comment: call.query.text("comment").to_owned(),
        config,
        changes: call.query.all("changes").map(str::to_owned).collect(),
        pause: call.query.bool_or("pause", true),
    };
    let files = call.server.files;
    let id = files.commit(&name, options).await?;
    json(StatusCode::CREATED, &serde_json::json!({ "Id": id }))
}

#[cfg(test)]
mod tests {
    use super::go_mode;

    #[test]
    fn modes_are_gos() {
        assert_eq!(go_mode(0o100_644), 0o644);
        assert_eq!(go_mode(0o041_777), (1 << 31) | (1 << 20) | 0o777);
        assert_eq!(go_mode(0o104_755), (1 << 23) | 0o755);
        assert_eq!(go_mode(0o120_777), (1 << 27) | 0o777);
        assert_eq!(go_mode(0o020_666), (1 << 26) | (1 << 21) | 0o666);
    }
}
