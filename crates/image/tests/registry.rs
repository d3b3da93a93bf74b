//! What registries do to their clients: tokens, broken connections, busy answers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::common::scripted::{Answer, Server};
use crate::common::*;
use image::{CancellationToken, Error, Reference, RegistryAuth};

fn test_image() -> TestImage {
    // Nothing that can be packed: the tests cut at lengths of packed bytes.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..400_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect();
    TestImage::new(vec![
        Tar::new().bytes("noise", &noise).layer(),
        Tar::new().file("b", "2").layer(),
    ])
}

fn reference(server: &Server) -> Reference {
    Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap()
}

fn token_server(accept: &'static str) -> Server {
    Server::start(move |request| {
        if !accept.is_empty() && request.header("authorization") != Some(accept) {
            return Answer::new(401, r#"{"details":"incorrect username or password"}"#);
        }
        Answer::new(200, r#"{"token":"good","expires_in":300}"#)
    })
}

fn bearer_registry(realm: &str) -> (Server, TestImage) {
    let image = test_image();
    let challenge = format!(r#"Bearer realm="{realm}",service="reg",scope="repository:r/i:pull""#);
    let serving = image.clone();
    let server = Server::start(move |request| {
        if request.header("authorization") != Some("Bearer good") {
            return Answer::new(401, "{}").with("WWW-Authenticate", challenge.clone());
        }
        content(&serving, request)
    });
    (server, image)
}

#[tokio::test(flavor = "multi_thread")]
async fn bearer_token_is_fetched_once_and_used() {
    let tokens = token_server("");
    let (server, image) = bearer_registry(&format!("http://127.0.0.1:{}/token?x=1", tokens.port));
    let dir = temp();
    let store = open(dir.path());
    assert_eq!(
        pull(&store, &reference(&server)).await.unwrap().image.id,
        image.id()
    );
    let asked = tokens.requests();
    let asked: Vec<_> = asked.iter().filter(|r| r.method == "GET").collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        asked[0].path,
        "/token?x=1&service=reg&scope=repository%3Ar%2Fi%3Apull"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bearer_token_with_a_password() {
    let tokens = token_server("Basic dTpw");
    let (server, _) = bearer_registry(&format!("http://127.0.0.1:{}/token", tokens.port));
    let dir = temp();
    let store = open(dir.path());
    let run = async |password: &str| {
        let auth = RegistryAuth {
            username: "u".into(),
            password: password.into(),
            ..Default::default()
        };
        store
            .pull(
                &reference(&server),
                None,
                Some(&auth),
                &|_| (),
                CancellationToken::new(),
            )
            .await
    };
    let error = run("wrong").await.unwrap_err();
    assert_eq!(error.kind(), types::ErrorKind::Unauthorized);
    assert!(
        error
            .to_string()
            .ends_with("unauthorized: incorrect username or password"),
        "{error}"
    );
    // Nobody is told that a repository exists.
    let error = pull(&store, &reference(&server)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("pull access denied for 127.0.0.1"),
        "{error}"
    );
    run("p").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_and_registry_tokens() {
    let tokens = Server::start(|request| {
        let fits = request.method == "POST"
            && request
                .body
                .contains("grant_type=refresh_token&refresh_token=id%2F1&service=reg");
        if fits {
            Answer::new(200, r#"{"access_token":"good"}"#)
        } else {
            Answer::new(401, "")
        }
    });
    let (server, _) = bearer_registry(&format!("http://127.0.0.1:{}/token", tokens.port));
    for auth in [
        RegistryAuth {
            identitytoken: "id/1".into(),
            ..Default::default()
        },
        RegistryAuth {
            registrytoken: "good".into(),
            ..Default::default()
        },
    ] {
        let dir = temp();
        let store = open(dir.path());
        store
            .pull(
                &reference(&server),
                None,
                Some(&auth),
                &|_| (),
                CancellationToken::new(),
            )
            .await
            .unwrap();
    }
    assert_eq!(
        tokens
            .requests()
            .iter()
            .filter(|r| r.method == "POST")
            .count(),
        1
    );
    let dir = temp();
    let auth = RegistryAuth {
        registrytoken: "bad".into(),
        ..Default::default()
    };
    let error = open(dir.path())
        .pull(
            &reference(&server),
            None,
            Some(&auth),
            &|_| (),
            CancellationToken::new(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), types::ErrorKind::Unauthorized, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_fetched_at_the_same_time() {
    let layers = ["one", "two"].map(|text| Tar::new().file(text, text).layer());
    let image = TestImage::new(layers.to_vec());
    // Each layer's answer waits until the other one was asked for: one after the other would
    // never get there.
    let asked = Arc::new((Mutex::new(0), Condvar::new()));
    let (serving, waiting) = (image.clone(), asked.clone());
    let server = Server::start(move |request| {
        let is_layer = serving
            .layers
            .iter()
            .any(|layer| request.path.ends_with(&layer.digest().to_string()));
        if is_layer {
            let (count, changed) = &*waiting;
            let mut count = count.lock().unwrap();
            *count += 1;
            changed.notify_all();
            let limit = Duration::from_secs(30);
            drop(
                changed
                    .wait_timeout_while(count, limit, |n| *n < 2)
                    .unwrap(),
            );
        }
        content(&serving, request)
    });
    let dir = temp();
    let pulled = pull(&open(dir.path()), &reference(&server)).await.unwrap();
    assert_eq!(pulled.image.id, image.id());
    assert_eq!(*asked.0.lock().unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_download_is_resumed_where_it_broke() {
    let image = test_image();
    let layer = image.layers[0].clone();
    let tries = Arc::new(AtomicU32::new(0));
    let (serving, count) = (image.clone(), tries.clone());
    let server = Server::start(move |request| {
        let mut answer = content(&serving, request);
        if request.path.ends_with(&layer.digest().to_string())
            && count.fetch_add(1, Ordering::SeqCst) < 2
        {
            answer.length = Some(answer.body.len());
            answer.body.truncate(100_000);
        }
        answer
    });
    let dir = temp();
    let store = open(dir.path());
    let log = Log::default();
    let done = store
        .pull(
            &reference(&server),
            None,
            None,
            &|p| log.add(p),
            CancellationToken::new(),
        )
        .await
        .unwrap();
    assert_eq!(done.image.id, image.id());
    let ranges: Vec<_> = server
        .requests()
        .iter()
        .filter_map(|r| r.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges, ["bytes=100000-", "bytes=200000-"]);
    assert!(log.statuses().contains(&"Retrying in 1 second".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_that_cannot_resume_begins_anew() {
    let image = test_image();
    let layer = image.layers[0].clone();
    let tries = Arc::new(AtomicU32::new(0));
    let serving = image.clone();
    let server = Server::start(move |request| {
        let mut plain = request.clone();
        plain.headers.clear();
        let mut answer = content(&serving, &plain);
        if request.path.ends_with(&layer.digest().to_string())
            && tries.fetch_add(1, Ordering::SeqCst) == 0
        {
            answer.length = Some(answer.body.len());
            answer.body.truncate(100_000);
        }
        answer
    });
    let dir = temp();
    assert_eq!(
        pull(&open(dir.path()), &reference(&server))
            .await
            .unwrap()
            .image
            .id,
        image.id()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_registry_is_asked_again() {
    let image = test_image();
    let tries = Arc::new(AtomicU32::new(0));
    let serving = image.clone();
    let server = Server::start(move |request| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::new(429, "").with("Retry-After", "0"),
        1 | 4 => Answer::new(503, ""),
        _ => content(&serving, request),
    });
    let dir = temp();
    assert_eq!(
        pull(&open(dir.path()), &reference(&server))
            .await
            .unwrap()
            .image
            .id,
        image.id()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_token_is_renewed() {
    let tokens = Server::start({
        let count = AtomicU32::new(0);
        move |_| {
            let n = count.fetch_add(1, Ordering::SeqCst);
            Answer::new(200, format!(r#"{{"token":"t{n}"}}"#))
        }
    });
    let image = test_image();
    let serving = image.clone();
    let realm = format!("http://127.0.0.1:{}/token", tokens.port);
    let server = Server::start(move |request| {
        // The first token is good for manifests only.
        let wanted = if request.path.contains("/manifests/") {
            "Bearer t0"
        } else {
            "Bearer t1"
        };
        if request.header("authorization") != Some(wanted) {
            let challenge = format!(r#"Bearer realm="{realm}",service="reg""#);
            return Answer::new(401, "").with("WWW-Authenticate", challenge);
        }
        content(&serving, request)
    });
    let dir = temp();
    pull(&open(dir.path()), &reference(&server)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_the_registry_reach_the_user() {
    for (status, body, wanted) in [
        (
            403,
            r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#,
            "pull access denied for REF, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        ),
        (
            404,
            r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#,
            "repository REF not found: name unknown: repository name not known to registry",
        ),
        (
            404,
            "<html>",
            "manifest for REF:1 not found: manifest unknown",
        ),
        (400, "", "received unexpected HTTP status: 400 Bad Request"),
        (
            418,
            r#"{"errors":[{"code":"TOOMANY","message":"tea"}]}"#,
            "toomany: tea",
        ),
    ] {
        let server = Server::start(move |_| Answer::new(status, body));
        let dir = temp();
        let reference = reference(&server);
        let error = pull(&open(dir.path()), &reference)
            .await
            .unwrap_err()
            .to_string();
        let wanted = wanted.replace("REF", &reference.familiar_name());
        assert!(error.ends_with(&wanted), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_1_is_refused_by_name() {
    let server = Server::start(|_| {
        Answer::new(200, r#"{"schemaVersion":1,"fsLayers":[]}"#).with(
            "Content-Type",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
        )
    });
    let dir = temp();
    let error = pull(&open(dir.path()), &reference(&server))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
}
