//! A registry may send its clients elsewhere; what is there may not have its credentials.

use crate::common::scripted::{Answer, Server};
use crate::common::*;
use image::{CancellationToken, Digest, Reference, RegistryAuth};

/// GO-2022-0803: where a registry redirects to asks for a password itself, at once or by a token
/// server of its own.
#[tokio::test(flavor = "multi_thread")]
async fn attack_24_a_redirects_target_cannot_ask_for_credentials() {
    let thief = Server::start(|_| Answer::new(200, r#"{"token":"t"}"#));
    let realm = format!("http://127.0.0.1:{}/token", thief.port);
    for challenge in [
        "Basic realm=x".to_owned(),
        format!(r#"Bearer realm="{realm}",service="x""#),
    ] {
        let elsewhere = Server::start(move |_| {
            Answer::new(401, "").with("WWW-Authenticate", challenge.clone())
        });
        let image = TestImage::new(vec![Tar::new().file("a", "1").layer()]);
        let at = format!("http://127.0.0.1:{}/blob", elsewhere.port);
        let serving = image.clone();
        let registry = Server::start(move |request| {
            if request.header("authorization").is_none() {
                return Answer::new(401, "").with("WWW-Authenticate", "Basic realm=y");
            }
            if request.path.contains("/manifests/") {
                return Answer::new(200, serving.manifest()).with("Content-Type", OCI_MANIFEST);
            }
            if request
                .path
                .ends_with(&Digest::of(serving.config().as_bytes()).to_string())
            {
                return Answer::new(200, serving.config());
            }
            Answer::new(307, "").with("Location", at.clone())
        });
        let dir = temp();
        let auth = RegistryAuth {
            username: "captain".into(),
            password: "secret".into(),
            ..RegistryAuth::default()
        };
        let reference = Reference::parse(&format!("127.0.0.1:{}/r/i:1", registry.port)).unwrap();
        let pulled = open(dir.path())
            .pull(
                &reference,
                None,
                Some(&auth),
                &|_| (),
                CancellationToken::new(),
            )
            .await;
        assert!(pulled.is_err());
        assert!(
            !elsewhere.requests().is_empty(),
            "it was asked for the blob"
        );
        for request in elsewhere.requests().iter().chain(&thief.requests()) {
            assert_eq!(request.header("authorization"), None, "{request:?}");
        }
        assert!(thief.requests().is_empty(), "{:?}", thief.requests());
        let told = |r: &crate::common::scripted::Request| r.header("authorization").is_some();
        assert!(
            registry.requests().iter().any(told),
            "the registry itself is"
        );
    }
}

/// A registry that has an upload go on elsewhere: that place is sent the layer, and no password.
#[tokio::test(flavor = "multi_thread")]
async fn attack_24_an_upload_that_goes_on_elsewhere_takes_no_credentials_along() {
    for asks in [false, true] {
        let elsewhere = Server::start(move |request| match request.method.as_str() {
            _ if asks => Answer::new(401, "").with("WWW-Authenticate", "Basic realm=x"),
            "PATCH" => Answer::new(202, "").with("Location", request.path.clone()),
            _ => Answer::new(201, ""),
        });
        let at = format!("http://127.0.0.1:{}/upload", elsewhere.port);
        let registry = Server::start(move |request| match request.method.as_str() {
            _ if request.header("authorization").is_none() => {
                Answer::new(401, "").with("WWW-Authenticate", "Basic realm=y")
            }
            "HEAD" => Answer::new(404, ""),
            "POST" => Answer::new(202, "").with("Location", at.clone()),
            _ => Answer::new(201, ""),
        });
        let dir = temp();
        let store = open(dir.path());
        let reference = Reference::parse(&format!("127.0.0.1:{}/r/i:1", registry.port)).unwrap();
        let config = image::ImageConfig {
            os: "linux".into(),
            ..Default::default()
        };
        let layer = Tar::new().file("a", "1").build();
        store.add_image(&reference, config, &[&layer]).unwrap();
        let auth = RegistryAuth {
            username: "captain".into(),
            password: "secret".into(),
            ..RegistryAuth::default()
        };
        let cancel = CancellationToken::new();
        let pushed = store
            .push(&reference, None, Some(&auth), &|_| (), cancel)
            .await;
        assert_eq!(pushed.is_ok(), !asks, "{pushed:?}");
        let asked = elsewhere.requests();
        assert!(asked.iter().any(|r| r.method == "PATCH"));
        assert!(
            asked.iter().all(|r| r.header("authorization").is_none()),
            "{asked:?}"
        );
    }
}

/// A token server may send its clients elsewhere, but not with their passwords.
#[tokio::test(flavor = "multi_thread")]
async fn token_servers_may_redirect_but_get_no_password_for_others() {
    let other = Server::start(|_| Answer::new(200, r#"{"token":"t"}"#));
    let next = format!("http://127.0.0.1:{}/token", other.port);
    let first = Server::start(move |_| Answer::new(307, "").with("Location", next.clone()));
    let realm = format!("http://127.0.0.1:{}/token", first.port);
    let registry = Server::start(move |request| {
        if request.header("authorization") == Some("Bearer t") {
            return Answer::new(200, r#"{"tags":["a"]}"#);
        }
        let asked = format!(r#"Bearer realm="{realm}",service="x""#);
        Answer::new(401, "").with("WWW-Authenticate", asked)
    });
    let dir = temp();
    let auth = RegistryAuth {
        username: "captain".into(),
        password: "secret".into(),
        ..RegistryAuth::default()
    };
    let access = image::Access {
        auth: Some(&auth),
        insecure: false,
    };
    let reference = Reference::parse(&format!("127.0.0.1:{}/r/i", registry.port)).unwrap();
    let tags = open(dir.path()).tags(&reference, access).await.unwrap();
    assert_eq!(tags, ["a"]);
    let told = |server: &Server| server.requests()[0].header("authorization").is_some();
    assert!(told(&first) && !told(&other));
}
