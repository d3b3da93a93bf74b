//! Mirrors of Docker Hub: asked before it, trusted less than it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::scripted::{Answer, Request, Server};
use crate::common::*;
use image::{
    Access, CancellationToken, Digest, Error, Options, Pulled, Reference, RegistryAuth, Store,
};

fn small(text: &str) -> TestImage {
    TestImage::new(vec![Tar::new().file("which", text).layer()])
}

/// A registry that has `image` under every name.
fn with(image: &TestImage) -> Server {
    let image = image.clone();
    Server::start(move |request| content(&image, request))
}

fn url(server: &Server) -> String {
    format!("http://127.0.0.1:{}", server.port)
}

/// A store whose Docker Hub is `hub`.
fn store(root: &Path, hub: &Server, mirrors: &[String]) -> Store {
    let options = Options {
        registry_mirrors: mirrors.to_vec(),
        elsewhere: BTreeMap::from([("docker.io".to_owned(), url(hub))]),
        ..Options::default()
    };
    Store::open(root, options).unwrap()
}

fn auth() -> RegistryAuth {
    RegistryAuth {
        username: "captain".into(),
        password: "secret".into(),
        ..RegistryAuth::default()
    }
}

async fn pull_as(store: &Store, name: &str) -> Result<Pulled, Error> {
    let reference = Reference::parse(name).unwrap();
    let cancel = CancellationToken::new();
    store
        .pull(&reference, None, Some(&auth()), &|_| (), cancel)
        .await
}

fn authorizations(server: &Server) -> usize {
    let all = server.requests();
    all.iter()
        .filter(|r| r.header("authorization").is_some())
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_asked_first_and_gets_nobodys_credentials() {
    let image = small("both");
    let (hub, mirror) = (with(&image), with(&image));
    let dir = temp();
    let store = store(dir.path(), &hub, &[url(&mirror)]);
    let pulled = pull_as(&store, "box:1").await.unwrap();
    assert_eq!(pulled.reference.familiar(), "box:1");
    assert_eq!(pulled.image.repo_tags(), ["box:1"]);
    let asked: Vec<_> = mirror.requests().into_iter().map(|r| r.path).collect();
    assert_eq!(asked[0], "/v2/library/box/manifests/1");
    assert_eq!(asked.len(), 3);
    assert!(hub.requests().is_empty(), "{:?}", hub.requests());

    let name = Reference::parse("box:1").unwrap();
    let told = store.distribution(&name, Some(&auth())).await.unwrap();
    assert_eq!(told.digest, pulled.digest);
    assert!(hub.requests().is_empty(), "{:?}", hub.requests());
    assert_eq!(authorizations(&mirror), 0);

    // Where it wants credentials, those for the Hub are none of its business.
    let served = image.clone();
    let curious = Server::start(|_| Answer::new(401, "").with("WWW-Authenticate", "Basic realm=x"));
    let hub = Server::start(move |request| {
        if request.header("authorization").is_none() {
            return Answer::new(401, "").with("WWW-Authenticate", "Basic realm=hub");
        }
        content(&served, request)
    });
    let dir = temp();
    let store = self::store(dir.path(), &hub, &[url(&curious)]);
    pull_as(&store, "team/box").await.unwrap();
    assert!(!curious.requests().is_empty());
    assert_eq!(authorizations(&curious), 0);
    assert!(authorizations(&hub) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_mirror_has_nothing_the_next_one_and_then_the_hub_is_asked() {
    let image = small("hub");
    let hub = with(&image);
    let empty = Server::start(|_| {
        Answer::new(
            404,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}"#,
        )
    });
    let broken = Server::start(|_| Answer::new(418, "tea"));
    let gone = {
        let server = Server::start(|_| Answer::new(200, ""));
        url(&server)
    };
    let dir = temp();
    let store = store(dir.path(), &hub, &[url(&empty), gone, url(&broken)]);
    let pulled = pull_as(&store, "box:1").await.unwrap();
    assert_eq!(pulled.image.id, image.id());
    assert_eq!(empty.requests().len(), 1);
    assert_eq!(broken.requests().len(), 1);
    // What nobody has is told in the Hub's words.
    let hub = Server::start(|_| {
        Answer::new(
            404,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not at the hub"}]}"#,
        )
    });
    let dir = temp();
    let store = self::store(dir.path(), &hub, &[url(&empty)]);
    let error = pull_as(&store, "box:2").await.unwrap_err();
    assert!(error.to_string().contains("not at the hub"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_a_mirror_that_lies_is_passed_over_and_nothing_of_it_is_kept() {
    let image = small("right");
    let evil = small("evil");
    let layer = image.layers[0].digest().to_string();
    let digest = Digest::of(image.manifest().as_bytes());
    type Lie = fn(Answer, &TestImage, &Request) -> Answer;
    let manifest: Lie = |answer, evil, request| {
        if request.path.contains("/manifests/") {
            return Answer::new(200, evil.manifest()).with("Content-Type", OCI_MANIFEST);
        }
        answer
    };
    let layer_of_another: Lie = |answer, evil, request| {
        let config = request.path.ends_with(&evil.id().to_string());
        let blob = request.path.contains("/blobs/") && !config && answer.body[0] == 0x1f;
        if blob {
            Answer::new(200, evil.layers[0].packed.clone())
        } else {
            answer
        }
    };
    let shorter: Lie = |mut answer, _, request| {
        if request.path.contains("/blobs/") {
            answer.body.pop();
        }
        answer
    };
    let longer: Lie = |mut answer, _, request| {
        if request.path.contains("/blobs/") {
            answer.body.push(b'x');
        }
        answer
    };
    for lie in [manifest, layer_of_another, shorter, longer] {
        let (serving, other) = (image.clone(), evil.clone());
        let mirror = Server::start(move |request| lie(content(&serving, request), &other, request));
        let hub = with(&image);
        let dir = temp();
        let store = store(dir.path(), &hub, &[url(&mirror)]);
        let pulled = pull_as(&store, &format!("box@{digest}")).await.unwrap();
        assert_eq!(pulled.image.id, image.id());
        assert!(!mirror.requests().is_empty() && !hub.requests().is_empty());
        let mut blobs = names(&store, "blobs/sha256");
        let mut wanted = vec![
            digest.hex().to_owned(),
            image.id().hex().to_owned(),
            layer.trim_start_matches("sha256:").to_owned(),
        ];
        blobs.sort();
        wanted.sort();
        assert_eq!(blobs, wanted, "nothing else is here");
        nothing_left(&store);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_are_for_pulls_from_the_hub_only_and_can_change() {
    let image = small("other");
    let (hub, mirror, registry) = (with(&image), with(&image), with(&image));
    let dir = temp();
    let store = store(dir.path(), &hub, &[url(&mirror)]);
    let elsewhere = format!("127.0.0.1:{}/team/box:1", registry.port);
    let pulled = pull_as(&store, &elsewhere).await.unwrap();
    // A push goes to the Hub itself.
    let name = Reference::parse("team/box:1").unwrap();
    store.tag(&pulled.image.id.to_string(), &name).unwrap();
    let cancel = CancellationToken::new();
    store
        .push(&name, None, None, &|_| (), cancel)
        .await
        .unwrap();
    assert!(!hub.requests().is_empty() && mirror.requests().is_empty());

    assert!(
        store
            .change_registries(&[], &["ftp://x".to_owned()])
            .is_err()
    );
    pull_as(&store, "one").await.unwrap();
    assert!(!mirror.requests().is_empty(), "a bad change is none");
    store.change_registries(&[], &[]).unwrap();
    let before = mirror.requests().len();
    pull_as(&store, "two").await.unwrap();
    assert_eq!(mirror.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_looked_at_comes_from_a_mirror_too() {
    let image = small("both");
    let served = image.clone();
    let mirror = Server::start(move |request| {
        if request.path.contains("/tags/list") {
            return Answer::new(200, r#"{"tags":["b","a"]}"#);
        }
        content(&served, request)
    });
    let hub = with(&image);
    let dir = temp();
    let store = store(dir.path(), &hub, &[url(&mirror)]);
    let name = Reference::parse("box:1").unwrap();
    let auth = auth();
    let access = Access {
        auth: Some(&auth),
        insecure: false,
    };
    let told = store.remote(&name, access, true).await.unwrap();
    assert_eq!(told.bytes, image.manifest().into_bytes());
    assert_eq!(store.tags(&name, access).await.unwrap(), ["a", "b"]);
    assert!(hub.requests().is_empty(), "{:?}", hub.requests());
    assert_eq!(authorizations(&mirror), 0);

    // A mirror that lies or has nothing is passed over.
    let lying = Server::start(|request| {
        if request.path.contains("/manifests/") {
            return Answer::new(200, r#"{"schemaVersion":9}"#);
        }
        Answer::new(404, "")
    });
    let dir = temp();
    let store = self::store(dir.path(), &hub, &[url(&lying)]);
    let told = store.remote(&name, access, true).await.unwrap();
    assert_eq!(told.bytes, image.manifest().into_bytes());
    assert!(
        store.tags(&name, access).await.is_err(),
        "the hub has no tags here"
    );
    assert!(hub.requests().iter().any(|r| r.path.contains("/tags/list")));

    // What writes goes to the Hub alone.
    let before = mirror.requests().len();
    let dir = temp();
    let store = self::store(dir.path(), &hub, &[url(&mirror)]);
    store.remove_remote(&name, access, true).await.unwrap();
    assert_eq!(mirror.requests().len(), before);
}
