//! Pushing: to a real registry, and to ones that are busy, break off or forget.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::scripted::{Answer, Request, Server};
use crate::common::*;
use image::{CancellationToken, Digest, Error, Platform, Pushed, Reference, RegistryAuth, Store};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_taken_from_elsewhere_is_sent() {
    for status in [401_u16, 403, 404] {
        let (server, memory) = memory(move |request, _| {
            let second = request.path.starts_with("/v2/second/");
            if second && request.method == "HEAD" {
                return Some(Answer::new(404, ""));
            }
            let mount = request.path.contains("mount=");
            mount.then(|| Answer::new(status, ""))
        });
        let dir = temp();
        let store = open(dir.path());
        let at =
            |name: &str| Reference::parse(&format!("127.0.0.1:{}/{name}:1", server.port)).unwrap();
        add(&store, &at("r/i"));
        push(&store, &at("r/i"), &Log::default()).await.unwrap();
        store.tag(&at("r/i").familiar(), &at("second")).unwrap();
        let log = Log::default();
        push(&store, &at("second"), &log).await.unwrap();
        let sent = log.statuses().iter().filter(|s| *s == "Pushed").count();
        assert_eq!(sent, 2, "{status}");
        let asked = server.requests();
        assert!(asked.iter().any(|r| r.path.contains("mount=")));
        assert_eq!(memory.lock().unwrap().manifests.len(), 2);
    }
}

/// The token server has nothing for the repository that layers could be taken from.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_to_be_had_without_the_repositories_to_mount_from() {
    let port = Arc::new(AtomicU32::new(0));
    let own = port.clone();
    let (server, memory) = memory(move |request, _| {
        if request.path.starts_with("/token") {
            let other = request.path.contains("second") && request.path.contains("r%2Fi");
            return Some(match other {
                true => Answer::new(403, r#"{"errors":[{"code":"DENIED"}]}"#),
                false => Answer::new(200, r#"{"token":"t"}"#),
            });
        }
        if request.path.starts_with("/v2/second/") && request.header("authorization").is_none() {
            let realm = format!("http://127.0.0.1:{}/token", own.load(Ordering::SeqCst));
            let asked = format!("Bearer realm=\"{realm}\",service=\"s\"");
            return Some(Answer::new(401, "").with("WWW-Authenticate", asked));
        }
        let second = request.path.starts_with("/v2/second/") && request.method == "HEAD";
        second.then(|| Answer::new(404, ""))
    });
    port.store(server.port.into(), Ordering::SeqCst);
    let dir = temp();
    let store = open(dir.path());
    let at = |name: &str| Reference::parse(&format!("127.0.0.1:{}/{name}:1", server.port)).unwrap();
    add(&store, &at("r/i"));
    push(&store, &at("r/i"), &Log::default()).await.unwrap();
    store.tag(&at("r/i").familiar(), &at("second")).unwrap();
    push(&store, &at("second"), &Log::default()).await.unwrap();
    assert_eq!(memory.lock().unwrap().manifests.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_uploads_begin_anew_and_those_astray_find_back() {
    for status in [404_u16, 416] {
        let failed = AtomicU32::new(0);
        let (server, memory) = memory(move |request, memory| {
            let fails = request.method == "PATCH" && failed.fetch_add(1, Ordering::SeqCst) == 0;
            if fails && status == 404 {
                memory.open.clear();
            }
            let body = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#;
            fails.then(|| Answer::new(status, body))
        });
        let dir = temp();
        let store = open(dir.path());
        let name = Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap();
        add(&store, &name);
        push(&store, &name, &Log::default()).await.unwrap();
        let memory = memory.lock().unwrap();
        assert_eq!(memory.manifests, ["1"], "{status}");
        assert_eq!((memory.blobs.len(), memory.open.len()), (3, 0), "{status}");
    }
}

/// Also where its layers are not packed, which they are by all who make images.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_out_of_an_index_goes_back_as_it_came() {
    let registry = Registry::start();
    let own = TestImage::new(vec![TestLayer::plain(Tar::new().file("a", "1").build())]);
    let mut other = TestImage::new(vec![TestLayer::plain(Tar::new().file("a", "2").build())]);
    "s390x".clone_into(&mut other.arch);
    let part = registry.push("parts", "1", &own);
    let entries = [&own, &other].map(|image| {
        let digest = registry.push("parts", "2", image);
        let size = image.manifest().len();
        format!(
            r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{}"}}}}"#,
            image.arch
        )
    });
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}],"annotations":{{"kept":"yes"}}}}"#,
        entries.join(",")
    );
    let whole = registry.push_manifest("parts", "all", OCI_INDEX, &index);
    let name = registry.reference("parts:all");
    let host = Platform::host();
    let dir = temp();
    let store = open(dir.path());
    let send = async |store: &Store, tag: &str, platform: Option<&Platform>| {
        let target = registry.reference(&format!("other:{tag}"));
        store.tag(&name.familiar(), &target).unwrap();
        let cancel = CancellationToken::new();
        let pushed = store.push(&target, platform, None, &|_| (), cancel).await;
        pushed.map(|all| all[0].digest.clone())
    };
    let pulled = pull(&store, &name).await.unwrap();
    assert_eq!(pulled.digest, whole.to_string());
    // One platform of it is here, and that one goes.
    assert_eq!(send(&store, "one", None).await.unwrap(), part.to_string());
    let foreign = Platform::parse("linux/s390x").unwrap();
    assert!(send(&store, "none", Some(&foreign)).await.is_err());
    let cancel = CancellationToken::new();
    let second = store.pull(&name, Some(&foreign), None, &|_| (), cancel);
    second.await.unwrap();
    for again in [false, true] {
        // Also after a restart.
        let store = if again {
            open(dir.path())
        } else {
            store.clone()
        };
        let tag = |tag: &str| format!("{tag}-{again}");
        // All of it is here: it goes to the byte.
        assert_eq!(
            send(&store, &tag("all"), None).await.unwrap(),
            whole.to_string()
        );
        let sent = send(&store, &tag("own"), Some(&host)).await.unwrap();
        assert_eq!(sent, part.to_string());
        for (platform, image) in [(&host, &own), (&foreign, &other)] {
            let found = store.get_for(&name.familiar(), Some(platform)).unwrap();
            assert_eq!(found.id, image.id());
        }
    }
    // With its last name all of it goes.
    let store = open(dir.path());
    for tag in [
        "one",
        "none",
        "all-false",
        "own-false",
        "all-true",
        "own-true",
    ] {
        let target = registry.reference(&format!("other:{tag}")).familiar();
        store
            .remove(&target, false, false, &|_| Vec::new())
            .unwrap();
    }
    let name = name.familiar();
    store.remove(&name, false, false, &|_| Vec::new()).unwrap();
    assert!(store.list().is_empty(), "{:?}", store.list());
    assert!(names(&store, "blobs/sha256").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_made_here_go_as_an_index_under_its_name_alone() {
    let registry = Registry::start();
    let (dir, other) = (temp(), temp());
    let store = open(dir.path());
    let foreign = Platform::parse("linux/s390x").unwrap();
    let mut images = Vec::new();
    for (tag, platform) in [("own", Platform::host()), ("foreign", foreign.clone())] {
        let config = image::ImageConfig {
            os: platform.os,
            architecture: platform.architecture,
            variant: platform.variant,
            ..Default::default()
        };
        let layer = Tar::new().file("which", tag).build();
        let name = registry.reference(&format!("made:{tag}"));
        images.push(store.add_image(&name, config, &[&layer]).unwrap());
    }
    let all = registry.reference("made:all");
    let (named, known) = store.index_of(&images, std::slice::from_ref(&all)).unwrap();
    assert_eq!(named.id, images[0].id);
    assert!(store.index_of(&[named.clone(), named], &[]).is_err());
    let own = registry.reference("made:own");
    let single = push(&store, &own, &Log::default()).await.unwrap();
    assert!(single[0].media_type.contains("manifest.v1"), "{single:?}");
    let whole = push(&store, &all, &Log::default()).await.unwrap();
    assert!(whole[0].media_type.contains("index.v1"), "{whole:?}");
    // Its layers are packed there.
    assert_ne!(whole[0].digest, known.digest);
    let elsewhere = open(other.path());
    for (platform, image) in [(Platform::host(), &images[0]), (foreign, &images[1])] {
        let cancel = CancellationToken::new();
        let pulled = elsewhere.pull(&all, Some(&platform), None, &|_| (), cancel);
        let pulled = pulled.await.unwrap();
        assert_eq!(pulled.image.id, image.id);
        assert_eq!(pulled.digest, whole[0].digest);
    }
    // What the index counts on stays without a name of its own.
    let foreign = registry.reference("made:foreign").familiar();
    store
        .remove(&foreign, false, false, &|_| Vec::new())
        .unwrap();
    let still = push(&store, &all, &Log::default()).await.unwrap();
    assert_eq!(still[0].digest, whole[0].digest);
    // What was made goes by its digest, whatever has the name meanwhile.
    let taken = registry.reference("made:taken");
    store.tag(&images[0].id.to_string(), &taken).unwrap();
    for (made, digest) in [
        (&known.digest, &whole[0]),
        (&images[0].manifest.to_string(), &single[0]),
    ] {
        let cancel = CancellationToken::new();
        let pushed = store.push_made(&taken, made, None, &|_| (), cancel);
        assert_eq!(pushed.await.unwrap().unwrap().digest, digest.digest);
    }
    // A name that is given to one of them again stands for that one.
    let id = images[0].id.to_string();
    store.tag(&id, &all).unwrap();
    let again = push(&store, &all, &Log::default()).await.unwrap();
    assert_eq!(again[0].digest, single[0].digest);
}
