//! Registries and token servers that are busy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::scripted::{Answer, Server};
use crate::common::*;
use image::{Error, Reference};

const PAST: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

/// Refuses the first two requests for each thing in another way: with seconds, with a date that
/// has passed, and without a word.
fn busy(n: u32) -> Answer {
    match n % 3 {
        0 => Answer::new(429, "").with("Retry-After", "0"),
        1 => Answer::new(503, "").with("Retry-After", PAST),
        _ => Answer::new(500, ""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_blobs_and_tokens_are_asked_for_again() {
    let image = TestImage::new(vec![Tar::new().file("a", "1").layer()]);
    let seen: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let (serving, count, total) = (image.clone(), seen.clone(), AtomicU32::new(0));
    let server = Server::start(move |request| {
        let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let token = path == "/token";
        if !token && request.header("authorization").is_none() {
            let host = request.header("host").unwrap();
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
            return Answer::new(401, "").with("WWW-Authenticate", challenge);
        }
        let mut count = count.lock().unwrap();
        let tries = count.entry(path.to_owned()).or_default();
        *tries += 1;
        if *tries <= 2 {
            return busy(total.fetch_add(1, Ordering::SeqCst));
        }
        if token {
            return Answer::new(200, r#"{"token":"good"}"#);
        }
        content(&serving, request)
    });
    let dir = temp();
    let store = open(dir.path());
    let name = Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap();
    let pulled = pull(&store, &name).await.unwrap();
    assert_eq!(pulled.image.id, image.id());
    let seen = seen.lock().unwrap();
    // The token, the manifest, the configuration and the layer.
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen.values().all(|tries| *tries == 3), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_to_come_back_in_an_hour_is_told_at_once() {
    let server = Server::start(|_| {
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        Answer::new(429, body).with("Retry-After", "3600")
    });
    let dir = temp();
    let store = open(dir.path());
    let name = Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap();
    let error = pull(&store, &name).await.unwrap_err();
    assert!(matches!(error, Error::Registry { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("toomanyrequests: You have reached your pull rate limit.")
            && text.contains("3600 s"),
        "{text}"
    );
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|r| r.method == "GET")
            .count(),
        1
    );
    assert!(store.list().is_empty());
}
