//! A small daemon that takes contexts and contents as the real one does, and builds nothing.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fake::{Ended, cli, finish};

#[derive(Default)]
pub(crate) struct State {
    /// Lists of entries by their names.
    contexts: HashMap<String, BTreeMap<String, Value>>,
    contents: HashMap<String, Vec<u8>>,
    /// Bodies of updates.
    pub(crate) updates: Vec<Value>,
    /// Contents that travelled, one after another.
    pub(crate) travelled: Vec<Vec<u8>>,
    /// Builds that were asked for.
    pub(crate) builds: Vec<Value>,
    /// What a build answers: lines, and an archive.
    pub(crate) lines: Vec<Value>,
    pub(crate) archive: Vec<u8>,
    /// Says nothing more after these lines, and waits for the client to go.
    pub(crate) hangs: bool,
    /// Builds whose client went.
    pub(crate) gone: usize,
    /// Prunes, with their parameters.
    pub(crate) prunes: Vec<String>,
}

pub(crate) struct Builder {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    dir: tempfile::TempDir,
}

impl Builder {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(Mutex::new(State {
            lines: vec![json!({"built": {"image": "sha256:c0ffee"}})],
            ..State::default()
        }));
        let all = Arc::clone(&state);
        // The threads end with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&all);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { socket, state, dir }
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = cli(args);
        command
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .env_remove("SOURCE_DATE_EPOCH");
        command
    }

    pub(crate) fn run(&self, args: &[&str], input: &str) -> Ended {
        finish(self.command(args), input)
    }

    /// Forgets every context, as a daemon that removed its cache.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.contexts.clear();
        state.contents.clear();
    }

    /// The files of the last build, with their contents.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let state = self.state();
        let id = state.builds.last().unwrap()["context"]["sent"]
            .as_str()
            .unwrap();
        let text = |e: &Value| {
            let digest = e["digest"].as_str().unwrap_or_default();
            let content = state.contents.get(digest);
            content.map_or_else(
                || e["kind"].as_str().unwrap().to_owned(),
                |c| String::from_utf8_lossy(c).into_owned(),
            )
        };
        state.contexts[id]
            .iter()
            .map(|(path, e)| (path.clone(), text(e)))
            .collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// The request's line and its body.
fn request(reader: &mut BufReader<UnixStream>) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return None;
    }
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_lowercase();
        if let Some(n) = line.strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        chunked |= line.starts_with("transfer-encoding:");
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        body.extend(&chunk[..size]);
        chunked = size > 0;
    }
    Some((first, body))
}

fn serve(stream: UnixStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some((first, body)) = request(&mut reader) {
        let target = first.split(' ').nth(1).unwrap();
        let path = match target.strip_prefix("/v").and_then(|t| t.split_once('/')) {
            Some((_, path)) => format!("/{path}"),
            None => target.to_owned(),
        };
        let mut state_now = state.lock().unwrap();
        let (status, answer) = match path.as_str() {
            "/_ping" => (200, json!("OK")),
            "/version" => (200, json!({"Version": "1", "Os": "linux", "Arch": "amd64"})),
            "/wharf/build/context" => update(&mut state_now, &body),
            "/wharf/build/content" => content(&mut state_now, &body),
            "/wharf/build/records" => (
                200,
                json!([{"ID": "rec", "Type": "regular", "Size": 1000, "CreatedAt": "2026-01-01T00:00:00Z"}]),
            ),
            path if path.starts_with("/build/prune") => {
                state_now.prunes.push(path.to_owned());
                (
                    200,
                    json!({"CachesDeleted": ["rec"], "SpaceReclaimed": 1000}),
                )
            }
            "/wharf/build" => {
                state_now
                    .builds
                    .push(serde_json::from_slice(&body).unwrap());
                let (lines, archive) = (state_now.lines.clone(), state_now.archive.clone());
                let hangs = state_now.hangs;
                drop(state_now);
                build(&mut writer, &lines, &archive);
                if hangs {
                    let _ = reader.read_to_end(&mut Vec::new());
                    state.lock().unwrap().gone += 1;
                }
                return;
            }
            _ => (404, json!({"message": "page not found"})),
        };
        drop(state_now);
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\nApi-Version: 1.51\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = writer.write_all(head.as_bytes());
    }
}

fn update(state: &mut State, body: &[u8]) -> (u16, Value) {
    let update: Value = serde_json::from_slice(body).unwrap();
    let mut all = match update["base"].as_str() {
        None => BTreeMap::new(),
        Some(base) => match state.contexts.get(base) {
            Some(known) => known.clone(),
            None => return (404, json!({"message": "no such context"})),
        },
    };
    for (path, entry) in update["entries"].as_object().unwrap() {
        all.insert(path.clone(), entry.clone());
    }
    for path in update["removed"].as_array().into_iter().flatten() {
        all.remove(path.as_str().unwrap()).unwrap();
    }
    let missing: Vec<&str> = all
        .values()
        .filter_map(|e| e["digest"].as_str())
        .filter(|digest| !state.contents.contains_key(*digest))
        .collect();
    let id = hex(json!(all).to_string().as_bytes());
    let answer = json!({"id": id, "missing": missing});
    state.contexts.insert(id, all);
    state.updates.push(update);
    (200, answer)
}

fn content(state: &mut State, mut body: &[u8]) -> (u16, Value) {
    while !body.is_empty() {
        let digest = std::str::from_utf8(&body[..64]).unwrap().to_owned();
        let length = std::str::from_utf8(&body[64..80]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        assert_eq!(body[80], b'\n');
        let content = body[81..81 + length].to_vec();
        assert_eq!(hex(&content), digest, "what is sent is what was promised");
        state.travelled.push(content.clone());
        state.contents.insert(digest, content);
        body = &body[81 + length..];
    }
    (200, Value::Null)
}

fn build(writer: &mut UnixStream, lines: &[Value], archive: &[u8]) {
    let head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let _ = writer.write_all(head);
    let mut frame = |stream: u8, bytes: &[u8]| {
        let mut out = vec![stream, 0, 0, 0];
        out.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        out.extend(bytes);
        let _ = writer.write_all(&out);
    };
    if !archive.is_empty() {
        frame(2, archive);
    }
    for line in lines {
        frame(1, format!("{line}\n").as_bytes());
    }
}
