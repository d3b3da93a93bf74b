//! Pushing: to a real registry, and to ones that are busy, break off or forget.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::scripted::{Answer, Request, Server};
use crate::common::*;
use image::{CancellationToken, Digest, Error, Pushed, Reference, RegistryAuth, Store};

async fn push(store: &Store, reference: &Reference, log: &Log) -> Result<Vec<Pushed>, Error> {
    let report = |p| log.add(p);
    let cancel = CancellationToken::new();
    store.push(reference, None, None, &report, cancel).await
}

/// Two layers, the second one larger than what is packed in one piece.
fn add(store: &Store, name: &Reference) -> Digest {
    let noise: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let layers = [
        Tar::new().file("a", "1").build(),
        Tar::new().bytes("noise", &noise).build(),
    ];
    let layers: Vec<_> = layers.iter().map(Vec::as_slice).collect();
    let config = image::ImageConfig {
        os: "linux".into(),
        ..Default::default()
    };
    store.add_image(name, config, &layers).unwrap().id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_comes_back() {
    let registry = Registry::start();
    let (dir, other) = (temp(), temp());
    let store = open(dir.path());
    let name = registry.reference("team/box:1");
    let id = add(&store, &name);
    let log = Log::default();
    let pushed = push(&store, &name, &log).await.unwrap();
    assert_eq!(pushed.len(), 1);
    let statuses = log.statuses();
    assert_eq!(
        statuses[0],
        format!("The push refers to repository [{}]", name.name())
    );
    assert_eq!(statuses.iter().filter(|s| *s == "Preparing").count(), 2);
    assert_eq!(statuses.iter().filter(|s| *s == "Pushed").count(), 2);
    let digest = &pushed[0].digest;
    let last = statuses.last().unwrap();
    assert!(
        last.starts_with(&format!("1: digest: {digest} size: ")),
        "{last}"
    );
    let there = pull(&open(other.path()), &name).await.unwrap();
    assert_eq!((&there.image.id, &there.digest), (&id, digest));
    // The image is known by that digest here, too.
    let by_digest = name.with_digest(digest).unwrap().familiar();
    assert_eq!(store.get(&by_digest).unwrap().id, id);

    let again = Log::default();
    let same = push(&store, &name, &again).await.unwrap();
    assert_eq!(same, pushed, "packed the same way");
    let there = |s: &&String| *s == "Layer already exists";
    assert_eq!(again.statuses().iter().filter(there).count(), 2);

    // From another repository of the registry nothing is sent.
    let second = registry.reference("team/second:x");
    store.tag(&name.familiar(), &second).unwrap();
    let mounts = Log::default();
    push(&store, &second, &mounts).await.unwrap();
    let from = |s: &&String| *s == "Mounted from team/box";
    assert_eq!(mounts.statuses().iter().filter(from).count(), 2);

    // All tags of a repository; what it pulled goes back as it came.
    let pulled = open(other.path());
    store
        .tag(&name.familiar(), &registry.reference("team/box:2"))
        .unwrap();
    let bare = registry.reference("team/box");
    let both = push(&store, &bare, &Log::default()).await.unwrap();
    let tags: Vec<_> = both.iter().map(|p| p.reference.tag().unwrap()).collect();
    assert_eq!(tags, ["1", "2"]);
    pulled
        .tag(&name.familiar(), &registry.reference("third:1"))
        .unwrap();
    let third = push(&pulled, &registry.reference("third:1"), &Log::default()).await;
    assert_eq!(third.unwrap()[0].digest, *digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_here_is_not_pushed() {
    let dir = temp();
    let store = open(dir.path());
    let name = Reference::parse("127.0.0.1:1/r/i:1").unwrap();
    let error = push(&store, &name, &Log::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "An image does not exist locally with the tag: 127.0.0.1:1/r/i"
    );
    add(&store, &name);
    let other = Reference::parse("127.0.0.1:1/r/i:2").unwrap();
    let error = push(&store, &other, &Log::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "tag does not exist: 127.0.0.1:1/r/i:2");
    let other = name.with_digest(&Digest::of(b"").to_string()).unwrap();
    assert!(push(&store, &other, &Log::default()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_needed_where_the_registry_asks() {
    let registry = Registry::start_with(true);
    let dir = temp();
    let store = open(dir.path());
    let name = registry.reference("team/box:1");
    add(&store, &name);
    let error = push(&store, &name, &Log::default()).await.unwrap_err();
    assert_eq!(
        error.to_string().split(": ").last(),
        Some("no basic auth credentials")
    );
    let auth = RegistryAuth {
        username: USER.into(),
        password: PASSWORD.into(),
        serveraddress: name.domain().into(),
        ..RegistryAuth::default()
    };
    assert_eq!(store.login(&auth).await.unwrap(), None);
    let wrong = RegistryAuth {
        password: "no".into(),
        ..auth.clone()
    };
    let error = store.login(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), types::ErrorKind::Unauthorized, "{error}");
    let cancel = CancellationToken::new();
    let pushed = store.push(&name, None, Some(&auth), &|_| (), cancel).await;
    assert_eq!(pushed.unwrap().len(), 1);
}

/// A registry in memory, which a test breaks at will.
#[derive(Default)]
struct Memory {
    blobs: BTreeMap<String, usize>,
    begun: u32,
    /// Bytes of the uploads by their numbers.
    open: BTreeMap<String, usize>,
    manifests: Vec<String>,
}

impl Memory {
    fn answer(&mut self, request: &Request) -> Answer {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let upload = path.rsplit('/').next().unwrap_or_default().to_owned();
        let at = |n: &str| format!("/v2/r/i/blobs/uploads/{n}");
        match request.method.as_str() {
            "HEAD" if self.blobs.contains_key(&upload) => Answer::new(200, ""),
            "POST" => {
                self.begun += 1;
                let number = self.begun.to_string();
                self.open.insert(number.clone(), 0);
                Answer::new(202, "").with("Location", at(&number))
            }
            "GET" if self.open.contains_key(&upload) => Answer::new(204, "")
                .with(
                    "Range",
                    format!("0-{}", self.open[&upload].saturating_sub(1)),
                )
                .with("Location", at(&upload)),
            "PATCH" if self.open.contains_key(&upload) => {
                let length: usize = request.header("content-length").unwrap().parse().unwrap();
                *self.open.get_mut(&upload).unwrap() += length;
                Answer::new(202, "").with("Location", at(&upload))
            }
            "PUT" if path.contains("/manifests/") => {
                self.manifests.push(upload);
                Answer::new(201, "")
            }
            "PUT" if self.open.contains_key(&upload) => {
                let digest = query.trim_start_matches("digest=").replace("%3A", ":");
                let size = self.open.remove(&upload).unwrap();
                self.blobs.insert(digest, size);
                Answer::new(201, "")
            }
            "DELETE" => {
                self.open.remove(&upload);
                Answer::new(204, "")
            }
            _ => Answer::new(404, r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#),
        }
    }
}

fn memory(
    fault: impl Fn(&Request, &mut Memory) -> Option<Answer> + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Memory>>) {
    let memory = Arc::new(Mutex::new(Memory::default()));
    let serving = memory.clone();
    let server = Server::start(move |request| {
        let mut memory = serving.lock().unwrap();
        fault(request, &mut memory).unwrap_or_else(|| memory.answer(request))
    });
    (server, memory)
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_and_forgetful_registries_are_asked_again() {
    let (busy, forgot) = (AtomicU32::new(0), AtomicU32::new(0));
    let (server, memory) = memory(move |request, memory| {
        if busy.fetch_add(1, Ordering::SeqCst) < 2 {
            return Some(Answer::new(429, "").with("Retry-After", "0"));
        }
        if request.method == "PATCH" && forgot.fetch_add(1, Ordering::SeqCst) == 0 {
            memory.open.clear();
            return Some(Answer::new(503, ""));
        }
        None
    });
    let dir = temp();
    let store = open(dir.path());
    let name = Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap();
    add(&store, &name);
    push(&store, &name, &Log::default()).await.unwrap();
    let memory = memory.lock().unwrap();
    assert_eq!(memory.manifests, ["1"]);
    assert_eq!((memory.blobs.len(), memory.open.len()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_layer_ends_the_push_and_what_was_begun() {
    let (server, memory) = memory(|request, _| {
        let first = request.method == "PATCH" && request.path.ends_with("/1");
        first.then(|| {
            Answer::new(
                403,
                r#"{"errors":[{"code":"DENIED","message":"read only"}]}"#,
            )
        })
    });
    let dir = temp();
    let store = open(dir.path());
    let name = Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap();
    add(&store, &name);
    let error = push(&store, &name, &Log::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "denied: read only");
    assert_eq!(error.kind(), types::ErrorKind::Forbidden);
    let memory = memory.lock().unwrap();
    assert!(
        memory.manifests.is_empty(),
        "nothing is named that is not whole"
    );
    assert!(memory.open.is_empty(), "{:?}", memory.open);
}

/// Also where its layers are not packed, which they are by all who make images.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_out_of_an_index_goes_back_as_it_came() {
    let registry = Registry::start();
    let image = TestImage::new(vec![TestLayer::plain(Tar::new().file("a", "1").build())]);
    let part = registry.push("parts", "1", &image);
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{part}","size":{},"platform":{{"os":"linux","architecture":"{}"}}}}]}}"#,
        image.manifest().len(),
        image.arch
    );
    let whole = registry.push_manifest("parts", "all", OCI_INDEX, &index);
    let dir = temp();
    for again in [false, true] {
        // Also after a restart.
        let store = open(dir.path());
        let name = registry.reference("parts:all");
        if !again {
            let pulled = pull(&store, &name).await.unwrap();
            assert_eq!(pulled.digest, whole.to_string());
        }
        let other = registry.reference(&format!("other:{again}"));
        store.tag(&name.familiar(), &other).unwrap();
        let pushed = push(&store, &other, &Log::default()).await.unwrap();
        assert_eq!(pushed[0].digest, part.to_string());
    }
}
