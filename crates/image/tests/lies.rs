//! Registries that lie or hang up: whatever they say, nothing changes here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use crate::common::scripted::{Answer, Request, Server};
use crate::common::*;
use image::{Digest, Error, Options, Reference, Store};

/// Every file of the store with its content, but for what is on its way and what is locked.
fn all(store: &Store) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if name == "tmp" {
                // A thread that is called off may still come and go there.
                continue;
            }
            let kind = std::fs::symlink_metadata(&path).unwrap();
            if kind.is_dir() {
                found.insert(name, Vec::new());
                walk(root, &path, found);
            } else if name.ends_with("/meta.json") {
                // It comes to say that the layer is durable.
                found.insert(name, Vec::new());
            } else if kind.is_file() {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    nothing_left(store);
    let mut found = BTreeMap::new();
    walk(store.root(), store.root(), &mut found);
    found
}

fn options() -> Options {
    Options {
        // They lie each time; once more is enough.
        max_download_attempts: 2,
        ..Options::default()
    }
}

fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..300_000).map(|_| next()).collect()
}

type Lie = fn(&Request, Answer, &TestImage) -> Answer;

fn is_layer(request: &Request, image: &TestImage) -> bool {
    let layer = image.layers[0].digest().to_string();
    request.path.ends_with(&layer)
}

fn is_config(request: &Request, image: &TestImage) -> bool {
    request.path.ends_with(&image.id().to_string())
}

fn is_manifest(request: &Request) -> bool {
    request.path.contains("/manifests/")
}

/// Another manifest than `text` was, sent as one.
fn sent(text: String) -> Answer {
    Answer::new(200, text).with("Content-Type", OCI_MANIFEST)
}

const LIES: &[(&str, Lie)] = &[
    ("the layer's bytes are others", |r, mut a, i| {
        if is_layer(r, i) {
            let middle = a.body.len() / 2;
            a.body[middle] ^= 1;
        }
        a
    }),
    ("the layer is shorter than announced", |r, mut a, i| {
        if is_layer(r, i) {
            a.body.truncate(a.body.len() / 2);
        }
        a
    }),
    ("the layer is longer than announced", |r, mut a, i| {
        if is_layer(r, i) {
            a.body.extend_from_slice(b"more");
        }
        a
    }),
    ("it hangs up in the middle of the layer", |r, mut a, i| {
        if is_layer(r, i) {
            a.length = Some(a.body.len());
            a.body.truncate(a.body.len() / 3);
        }
        a
    }),
    ("it has no layer", |r, a, i| {
        if is_layer(r, i) {
            let body = r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#;
            return Answer::new(404, body);
        }
        a
    }),
    ("the layer's size is a lie", |r, a, i| {
        if is_manifest(r) {
            let (own, other) = (i.layers[0].packed.len(), i.layers[0].packed.len() - 7);
            return sent(i.manifest().replace(&own.to_string(), &other.to_string()));
        }
        a
    }),
    ("the configuration's bytes are others", |r, mut a, i| {
        if is_config(r, i) {
            let at = a.body.len() - 2;
            a.body[at] = b' ';
        }
        a
    }),
    ("the configuration is cut short", |r, mut a, i| {
        if is_config(r, i) {
            a.body.pop();
        }
        a
    }),
    ("the configuration is longer", |r, mut a, i| {
        if is_config(r, i) {
            a.body.push(b' ');
        }
        a
    }),
    (
        "it hangs up in the middle of the configuration",
        |r, mut a, i| {
            if is_config(r, i) {
                a.length = Some(a.body.len());
                a.body.truncate(10);
            }
            a
        },
    ),
    (
        "it hangs up in the middle of the manifest",
        |r, mut a, _| {
            if is_manifest(r) {
                a.length = Some(a.body.len());
                a.body.truncate(40);
            }
            a
        },
    ),
    ("the manifest names another layer", |r, a, i| {
        if is_manifest(r) {
            let other = Digest::of(b"other").to_string();
            return sent(
                i.manifest()
                    .replace(&i.layers[0].digest().to_string(), &other),
            );
        }
        a
    }),
    ("the manifest has one layer more", |r, a, i| {
        if is_manifest(r) {
            let mut more = i.clone();
            more.layers.push(i.layers[0].clone());
            return sent(more.manifest());
        }
        a
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_whatever_a_registry_says_nothing_changes_here() {
    let kept = TestImage::new(vec![Tar::new().bytes("kept", &noise(1)).layer()]);
    let lying = TestImage::new(vec![Tar::new().bytes("lying", &noise(2)).layer()]);
    for (what, lie) in LIES {
        let dir = temp();
        let store = Store::open(dir.path(), options()).unwrap();
        let honest = kept.clone();
        let turned = Mutex::new(false);
        let (serving, turned) = (lying.clone(), std::sync::Arc::new(turned));
        let now = turned.clone();
        let server = Server::start(move |request| {
            if !*now.lock().unwrap() {
                return content(&honest, request);
            }
            lie(request, content(&serving, request), &serving)
        });
        let name = Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap();
        let before = pull(&store, &name).await.unwrap().image;
        let files = all(&store);
        *turned.lock().unwrap() = true;
        let error = pull(&store, &name).await.unwrap_err();
        assert!(!matches!(error, Error::Io { .. }), "{what}: {error}");
        // The name stands for what it stood for, and that is whole.
        let after = store.get(&name.familiar()).unwrap();
        assert_eq!(after.id, before.id, "{what}: {error}");
        assert_eq!(store.list().len(), 1, "{what}");
        assert_eq!(after.repo_digests(), before.repo_digests(), "{what}");
        let now = all(&store);
        for (path, bytes) in &now {
            assert_eq!(files.get(path), Some(bytes), "{what}: {path} is new");
        }
        assert_eq!(now.len(), files.len(), "{what}");
        nothing_left(&store);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_indexes_that_lie_about_their_parts() {
    let image = TestImage::new(vec![Tar::new().file("a", "1").layer()]);
    let other = TestImage::new(vec![Tar::new().file("a", "2").layer()]);
    let entry = |image: &TestImage, size: usize| {
        format!(
            r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{}","size":{size},"platform":{{"os":"linux","architecture":"{}"}}}}"#,
            Digest::of(image.manifest().as_bytes()),
            image.arch
        )
    };
    let length = image.manifest().len();
    for (what, size, part) in [
        ("another manifest", length, other.manifest()),
        ("a manifest of another length", length + 1, image.manifest()),
        ("a manifest that is longer", length, image.manifest() + " "),
    ] {
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#,
            entry(&image, size)
        );
        let serving = image.clone();
        let server = Server::start(move |request| {
            if request.path.ends_with("/manifests/1") {
                return Answer::new(200, index.clone()).with("Content-Type", OCI_INDEX);
            }
            if is_manifest(request) {
                return sent(part.clone());
            }
            content(&serving, request)
        });
        let dir = temp();
        let store = Store::open(dir.path(), options()).unwrap();
        let files = all(&store);
        let name = Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap();
        let error = pull(&store, &name).await.unwrap_err();
        assert!(
            matches!(error, Error::Digest { .. } | Error::Size { .. }),
            "{what}: {error}"
        );
        assert_eq!(all(&store), files, "{what}");
        // Who only looks is not told lies either.
        let looked = store.remote(&name, image::Access::default(), true).await;
        let error = looked.unwrap_err();
        assert!(
            matches!(error, Error::Digest { .. } | Error::Size { .. }),
            "{what}: {error}"
        );
    }
}
