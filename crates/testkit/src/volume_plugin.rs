//! A driver of volumes that a test holds in its hand: it keeps them as directories of its folder,
//! notes every call, and can be told to say nothing, or nonsense.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::read_head;

/// How it answers calls of one method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Not at all.
    Silent,
    /// With these bytes.
    Garbage(&'static str),
    /// With an error of its own.
    Error(&'static str),
    /// As it should, but not before it is told another manner.
    Later,
}

#[derive(Default)]
struct Inner {
    manners: Mutex<BTreeMap<String, Manner>>,
    calls: Mutex<Vec<(String, Value)>>,
    stop: AtomicBool,
    /// Clients that get no answer.
    held: Mutex<Vec<UnixStream>>,
}

impl Inner {
    fn manner(&self, method: &str) -> Option<Manner> {
        self.manners.lock().expect("manners").get(method).cloned()
    }
}

/// The plugin, until it is dropped.
pub struct VolumePlugin {
    inner: Arc<Inner>,
    socket: PathBuf,
    folder: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl VolumePlugin {
    /// One called `name`, with its socket in `sockets` and its volumes in `folder`.
    pub fn start(name: &str, sockets: &Path, folder: &Path) -> Self {
        let socket = sockets.join(format!("{name}.sock"));
        let listener = UnixListener::bind(&socket).expect("a socket for the plugin");
        let inner = Arc::<Inner>::default();
        let (kept, place) = (inner.clone(), folder.to_owned());
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if kept.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (kept, place) = (kept.clone(), place.clone());
                std::thread::spawn(move || serve(client, &kept, &place));
            }
        });
        Self {
            inner,
            socket,
            folder: folder.to_owned(),
            thread: Some(thread),
        }
    }

    /// From now on it answers `method` like that; as it should, if none.
    pub fn manner(&self, method: &str, manner: Option<Manner>) {
        let mut manners = self.inner.manners.lock().expect("manners");
        match manner {
            Some(manner) => _ = manners.insert(method.to_owned(), manner),
            None => _ = manners.remove(method),
        }
        self.inner.held.lock().expect("held").clear();
    }

    /// The calls of `method` until now.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.inner.calls.lock().expect("calls");
        let of = calls.iter().filter(|(name, _)| name == method);
        of.map(|(_, body)| body.clone()).collect()
    }

    /// Where a volume's files are.
    pub fn place(&self, volume: &str) -> PathBuf {
        self.folder.join(volume)
    }
}

impl Drop for VolumePlugin {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::Relaxed);
        let woken = UnixStream::connect(&self.socket).is_ok();
        let _ = fs::remove_file(&self.socket);
        self.inner.held.lock().expect("held").clear();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn serve(client: UnixStream, inner: &Inner, folder: &Path) {
    let mut reader = BufReader::new(client);
    let Ok((_, headers)) = read_head(&mut reader) else {
        return;
    };
    let of = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    let line = of(":line").cloned().unwrap_or_default();
    let length = of("content-length").and_then(|v| v.parse().ok());
    let mut body = Vec::new();
    let _ = (&mut reader as &mut dyn BufRead)
        .take(length.unwrap_or(0))
        .read_to_end(&mut body);
    let path = line.split(' ').find(|word| word.starts_with('/'));
    let method = path.unwrap_or_default().trim_start_matches('/').to_owned();
    let method = method.trim_start_matches("VolumeDriver.").to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    inner
        .calls
        .lock()
        .expect("calls")
        .push((method.clone(), body.clone()));
    let mut manner = inner.manner(&method);
    while manner == Some(Manner::Later) && !inner.stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(2));
        manner = inner.manner(&method);
    }
    let answer = match manner {
        Some(Manner::Silent) => {
            inner.held.lock().expect("held").push(reader.into_inner());
            return;
        }
        Some(Manner::Garbage(text)) => {
            let _ = reader.get_mut().write_all(text.as_bytes());
            return;
        }
        Some(Manner::Error(text)) => json!({ "Err": text }),
        None | Some(Manner::Later) => answer(&method, &body, folder),
    };
    let text = answer.to_string();
    let _ = write!(
        reader.get_mut(),
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.plugins.v1.1+json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
}

fn answer(method: &str, body: &Value, folder: &Path) -> Value {
    let name = body["Name"].as_str().unwrap_or_default();
    let place = folder.join(name);
    let told = |name: &str| {
        let place = folder.join(name);
        json!({"Name": name, "Mountpoint": place, "Status": {"kept": "well"}})
    };
    match method {
        "Plugin.Activate" => json!({"Implements": ["VolumeDriver"]}),
        "Capabilities" => json!({"Capabilities": {"Scope": "local"}}),
        "Create" => match fs::create_dir_all(&place) {
            Ok(()) => json!({"Err": ""}),
            Err(e) => json!({"Err": e.to_string()}),
        },
        "Remove" => match fs::remove_dir_all(&place) {
            Ok(()) => json!({"Err": ""}),
            Err(e) => json!({"Err": e.to_string()}),
        },
        "Mount" | "Path" => json!({"Mountpoint": place, "Err": ""}),
        "Unmount" => json!({"Err": ""}),
        "Get" if place.is_dir() => json!({"Volume": told(name), "Err": ""}),
        "Get" => json!({"Err": format!("no volume {name}")}),
        "List" => {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.filter_map(|e| e.file_name().into_string().ok());
            let all: Vec<Value> = names.map(|name| told(&name)).collect();
            json!({"Volumes": all, "Err": ""})
        }
        other => json!({"Err": format!("unknown method {other}")}),
    }
}
