//! The token services of Docker Hub, GitHub's and Amazon's registries, each played by a server of
//! the test: which forms they are asked in, and what becomes of what they say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::scripted::{Answer, Request, Server};
use crate::common::*;
use base64::Engine as _;
use image::{CancellationToken, Error, Options, Pulled, Reference, RegistryAuth, Store};

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// A store for which the registry `domain` is this server.
fn store(root: &Path, domain: &str, server: &Server) -> Store {
    let at = format!("http://127.0.0.1:{}", server.port);
    let options = Options {
        elsewhere: BTreeMap::from([(domain.to_owned(), at)]),
        ..Options::default()
    };
    Store::open(root, options).unwrap()
}

fn auth(user: &str, password: &str) -> RegistryAuth {
    RegistryAuth {
        username: user.into(),
        password: password.into(),
        ..RegistryAuth::default()
    }
}

fn basic(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

async fn pull_as(store: &Store, name: &str, who: Option<&RegistryAuth>) -> Result<Pulled, Error> {
    let reference = Reference::parse(name).unwrap();
    let cancel = CancellationToken::new();
    store.pull(&reference, None, who, &|_| (), cancel).await
}

async fn push_as(store: &Store, name: &str, who: &RegistryAuth) -> Result<(), Error> {
    let reference = Reference::parse(name).unwrap();
    let cancel = CancellationToken::new();
    let pushed = store.push(&reference, None, Some(who), &|_| (), cancel);
    pushed.await.map(drop)
}

fn add(store: &Store, name: &str) {
    let config = image::ImageConfig {
        os: "linux".into(),
        ..Default::default()
    };
    let layer = Tar::new().file("a", "1").build();
    let name = Reference::parse(name).unwrap();
    store.add_image(&name, config, &[&layer]).unwrap();
}

/// The pairs of a query or form, decoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(out).unwrap()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(k, v)| (decode(k), decode(v))).collect()
}

/// What a registry answers that takes everything that is pushed.
fn taking(request: &Request) -> Option<Answer> {
    let path = request.path.as_str();
    Some(match request.method.as_str() {
        "HEAD" => Answer::new(404, ""),
        "POST" if path.contains("mount=") => Answer::new(201, ""),
        "POST" => Answer::new(202, "").with("Location", format!("{path}1")),
        "PATCH" => Answer::new(202, "").with("Location", path),
        "PUT" => Answer::new(201, ""),
        "DELETE" => Answer::new(202, ""),
        _ => return None,
    })
}

/// Of each request for a token its method, and who asked for which scopes.
type Asked = Vec<(String, String, Vec<String>)>;

/// A token service and the registry behind it. A token's text says what it is for.
struct Service {
    server: Server,
    /// Which of its tokens are still good: those with this number and later ones.
    good_from: Arc<AtomicU32>,
    /// What tokens were asked for.
    asked: Arc<Mutex<Asked>>,
}

/// How a service differs.
#[derive(Clone)]
struct Kind {
    service: &'static str,
    /// What `/v2/` wants.
    any: Option<&'static str>,
    user: &'static str,
    password: &'static str,
    refused: fn() -> Answer,
    /// Repositories that anybody may pull begin so.
    public: &'static str,
}

fn hub() -> Kind {
    Kind {
        service: "registry.docker.io",
        any: None,
        user: "captain",
        password: "secret",
        refused: || Answer::new(401, r#"{"details":"incorrect username or password"}"#),
        public: "library/",
    }
}

fn ghcr() -> Kind {
    Kind {
        service: "ghcr.io",
        any: Some("repository:user/image:pull"),
        user: "captain",
        password: "ghp_token",
        refused: || Answer::new(403, r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#),
        public: "owner/",
    }
}

impl Service {
    fn start(kind: Kind, image: &TestImage) -> Self {
        let good_from = Arc::new(AtomicU32::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (limit, log, image) = (good_from.clone(), asked.clone(), image.clone());
        let given = AtomicU32::new(0);
        let server = Server::start(move |request| {
            if request.path.starts_with("/token") {
                let number = given.fetch_add(1, Ordering::SeqCst);
                return token(&kind, request, number, &mut log.lock().unwrap());
            }
            let host = request.header("host").unwrap();
            let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
            let repository = path.strip_prefix("/v2/").unwrap();
            let end = ["/manifests/", "/blobs/", "/tags/"].iter();
            let end = end.filter_map(|part| repository.find(part)).min();
            let actions = match request.method.as_str() {
                "GET" | "HEAD" => "pull",
                "DELETE" if path.contains("/manifests/") => "delete",
                _ => "pull,push",
            };
            let scope = match end {
                Some(end) => format!("repository:{}:{actions}", &repository[..end]),
                None => kind.any.unwrap_or_default().to_owned(),
            };
            let token = request.header("authorization").and_then(|header| {
                let (number, scopes) = header.strip_prefix("Bearer t")?.split_once('|')?;
                let number: u32 = number.parse().ok()?;
                (number >= limit.load(Ordering::SeqCst)).then(|| scopes.to_owned())
            });
            let covers = |scopes: &str| {
                let (what, actions) = scope.rsplit_once(':').unwrap_or(("", ""));
                scopes.split('~').any(|own| {
                    let own = own.rsplit_once(':').unwrap_or(("", ""));
                    own.0 == what && actions.split(',').all(|a| own.1.split(',').any(|b| a == b))
                })
            };
            if !token.is_some_and(|scopes| end.is_none() || covers(&scopes)) {
                let mut challenge = format!(
                    "Bearer realm=\"http://{host}/token\",service=\"{}\"",
                    kind.service
                );
                if !scope.is_empty() {
                    challenge += &format!(",scope=\"{scope}\"");
                }
                let body =
                    r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
                return Answer::new(401, body).with("WWW-Authenticate", challenge);
            }
            if end.is_none() {
                return Answer::new(200, "{}");
            }
            taking(request).unwrap_or_else(|| content(&image, request))
        });
        Self {
            server,
            good_from,
            asked,
        }
    }

    /// From now on the tokens that it gave are no good.
    fn expire(&self) {
        let given = self.asked.lock().unwrap().len();
        let given = u32::try_from(given).unwrap();
        self.good_from.store(given, Ordering::SeqCst);
    }

    fn asked(&self) -> Asked {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn token(kind: &Kind, request: &Request, number: u32, log: &mut Asked) -> Answer {
    let form = request.method == "POST";
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    let pairs = pairs(if form { &request.body } else { query });
    let all = |name: &str| {
        let of = pairs.iter().filter(|(key, _)| key == name);
        of.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let one = |name: &str| all(name).first().cloned().unwrap_or_default();
    assert_eq!(one("service"), kind.service);
    let given = request.header("authorization");
    let who = if form {
        assert_eq!(one("grant_type"), "refresh_token");
        assert!(!one("client_id").is_empty());
        one("refresh_token")
    } else {
        match given {
            None => "anybody".to_owned(),
            Some(given) if given == basic(kind.user, kind.password) => {
                assert_eq!(one("account"), kind.user);
                kind.user.to_owned()
            }
            Some(_) => "stranger".to_owned(),
        }
    };
    let scopes: Vec<String> = all("scope")
        .iter()
        .flat_map(|s| s.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter(|s| !s.is_empty())
        .collect();
    log.push((request.method.clone(), who.clone(), scopes.clone()));
    let known = who == kind.user || who == "identity";
    let granted: Vec<_> = scopes
        .iter()
        .filter(|scope| known || scope.contains(&format!(":{}", kind.public)))
        .cloned()
        .collect();
    if who == "stranger" || (!known && granted.is_empty() && !scopes.is_empty()) {
        return (kind.refused)();
    }
    let token = format!("t{number}|{}", granted.join("~"));
    let more = if all("offline_token").is_empty() {
        ""
    } else {
        r#","refresh_token":"identity""#
    };
    Answer::new(
        200,
        format!(r#"{{"token":"{token}","access_token":"{token}","expires_in":300{more}}}"#),
    )
}

fn test_image() -> TestImage {
    TestImage::new(vec![Tar::new().file("a", "1").layer()])
}

fn scopes(list: &[&str]) -> Vec<String> {
    list.iter().map(|scope| (*scope).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_is_asked_for_a_token_for_each_scope_once() {
    let service = Service::start(hub(), &test_image());
    let dir = temp();
    let store = store(dir.path(), "docker.io", &service.server);
    let of = |who: &str, scope: &str| ("GET".to_owned(), who.to_owned(), scopes(&[scope]));
    for (name, path) in [
        ("box", "library/box"),
        ("docker.io/box:2", "library/box"),
        ("docker.io/library/box", "library/box"),
        ("index.docker.io/library/other", "library/other"),
    ] {
        pull_as(&store, name, None).await.unwrap();
        let requests = service.server.requests();
        let last = requests.iter().rfind(|r| r.path.contains("/manifests/"));
        assert!(
            last.unwrap()
                .path
                .starts_with(&format!("/v2/{path}/manifests/"))
        );
    }
    // The same scope was asked for once, whatever the name was.
    let expected = [
        of("anybody", "repository:library/box:pull"),
        of("anybody", "repository:library/other:pull"),
    ];
    assert_eq!(service.asked(), expected);
    // Somebody else's token is another one.
    let captain = auth("captain", "secret");
    pull_as(&store, "box", Some(&captain)).await.unwrap();
    pull_as(&store, "box", Some(&captain)).await.unwrap();
    assert_eq!(
        service.asked(),
        [of("captain", "repository:library/box:pull")]
    );
    // One that has expired is replaced, once.
    service.good_from.store(u32::MAX, Ordering::SeqCst);
    assert!(pull_as(&store, "box", Some(&captain)).await.is_err());
    assert_eq!(service.asked().len(), 1, "it is not asked for ever");
    service.good_from.store(4, Ordering::SeqCst);
    pull_as(&store, "box", Some(&captain)).await.unwrap();
    pull_as(&store, "box", Some(&captain)).await.unwrap();
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_expire_in_the_middle_are_replaced() {
    let service = Service::start(hub(), &test_image());
    let dir = temp();
    let store = store(dir.path(), "docker.io", &service.server);
    let captain = auth("captain", "secret");
    add(&store, "team/box:1");
    push_as(&store, "team/box:1", &captain).await.unwrap();
    service.expire();
    add(&store, "team/box:2");
    push_as(&store, "team/box:2", &captain).await.unwrap();
    let asked = service.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0], asked[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_login_gives_an_identity_that_stands_for_the_password() {
    let service = Service::start(hub(), &test_image());
    let dir = temp();
    let store = store(dir.path(), "docker.io", &service.server);
    let mut captain = auth("captain", "secret");
    for server in ["https://index.docker.io/v1/", "", "docker.io"] {
        server.clone_into(&mut captain.serveraddress);
        let token = store.login(&captain).await.unwrap();
        assert_eq!(token.as_deref(), Some("identity"));
    }
    assert_eq!(
        service.asked().len(),
        3,
        "a login is never answered from memory"
    );
    let wrong = auth("captain", "wrong");
    let error = store.login(&wrong).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(
        error.to_string().contains("incorrect username or password"),
        "{error}"
    );
    let error = pull_as(&store, "box", Some(&wrong)).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    service.asked();
    // The form of OAuth2.
    let by_identity = RegistryAuth {
        username: "captain".into(),
        identitytoken: "identity".into(),
        ..RegistryAuth::default()
    };
    pull_as(&store, "team/private", Some(&by_identity))
        .await
        .unwrap();
    let asked = service.asked();
    assert_eq!(
        asked,
        [(
            "POST".to_owned(),
            "identity".to_owned(),
            scopes(&["repository:team/private:pull"])
        )]
    );
    let private = pull_as(&store, "team/private", None).await.unwrap_err();
    assert!(matches!(private, Error::AccessDenied { .. }), "{private}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_mounts_ask_for_just_what_they_need() {
    let service = Service::start(hub(), &test_image());
    let dir = temp();
    let store = store(dir.path(), "docker.io", &service.server);
    let captain = auth("captain", "secret");
    add(&store, "team/first:1");
    push_as(&store, "team/first:1", &captain).await.unwrap();
    let first = scopes(&["repository:team/first:pull,push"]);
    assert_eq!(service.asked()[0].2, first);
    let second = Reference::parse("team/second:1").unwrap();
    store.tag("team/first:1", &second).unwrap();
    push_as(&store, "team/second:1", &captain).await.unwrap();
    let both = scopes(&[
        "repository:team/second:pull,push",
        "repository:team/first:pull",
    ]);
    assert_eq!(service.asked()[0].2, both);
    let requests = service.server.requests();
    assert!(requests.iter().any(|r| r.path.contains("from=team/first")));
    // What is read, and what is removed.
    let access = image::Access {
        auth: Some(&captain),
        insecure: false,
    };
    let name = Reference::parse("team/third:1").unwrap();
    store.remove_remote(&name, access, false).await.unwrap();
    let third = scopes(&["repository:team/third:pull,delete"]);
    assert_eq!(service.asked()[0].2, third);
}

#[tokio::test(flavor = "multi_thread")]
async fn githubs_registry_takes_a_personal_token() {
    let service = Service::start(ghcr(), &test_image());
    let dir = temp();
    let store = store(dir.path(), "ghcr.io", &service.server);
    pull_as(&store, "ghcr.io/owner/box:1", None).await.unwrap();
    let asked = service.asked();
    assert_eq!(asked[0].1, "anybody");
    assert_eq!(asked[0].2, scopes(&["repository:owner/box:pull"]));
    let mut captain = auth("captain", "ghp_token");
    captain.serveraddress = "ghcr.io".into();
    store.login(&captain).await.unwrap();
    assert_eq!(
        service.asked()[0].2,
        scopes(&["repository:user/image:pull"])
    );
    pull_as(&store, "ghcr.io/team/private:1", Some(&captain))
        .await
        .unwrap();
    add(&store, "ghcr.io/team/made:1");
    push_as(&store, "ghcr.io/team/made:1", &captain)
        .await
        .unwrap();

    let mut wrong = auth("captain", "ghp_old");
    wrong.serveraddress = "ghcr.io".into();
    let error = store.login(&wrong).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(error.to_string().ends_with("denied: denied"), "{error}");
    let error = pull_as(&store, "ghcr.io/team/private:1", Some(&wrong))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("denied"), "{error}");
    let error = push_as(&store, "ghcr.io/team/made:1", &wrong)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "denied: denied");
}

/// Amazon's registry: a password that is good for some hours, repositories that must be there
/// before a push, layers that are at a storage service.
fn ecr(image: &TestImage, good: &Arc<Mutex<String>>) -> (Server, Server) {
    let (image, good) = (image.clone(), good.clone());
    let stored = image.clone();
    let storage = Server::start(move |request| {
        // S3 refuses what is both signed and authorized.
        if request.header("authorization").is_some() || !request.path.contains("X-Amz-Signature=") {
            return Answer::new(400, "<Error><Code>InvalidArgument</Code></Error>");
        }
        let (path, _) = request.path.split_once('?').unwrap();
        let plain = Request {
            path: path.to_owned(),
            ..request.clone()
        };
        content(&stored, &plain)
    });
    let at = format!("http://127.0.0.1:{}", storage.port);
    let registry = Server::start(move |request| {
        let said = |status, code: &str, message: &str| {
            let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
            Answer::new(status, body)
                .with("Docker-Distribution-Api-Version", "registry/2.0")
                .with("Content-Type", "application/json; charset=utf-8")
        };
        let good = good.lock().unwrap().clone();
        match request.header("authorization") {
            None => {
                let realm = format!("Basic realm=\"https://{ECR}/\",service=\"ecr.amazonaws.com\"");
                return Answer::new(401, "Not Authorized\n").with("WWW-Authenticate", realm);
            }
            Some(given) if given == basic("AWS", &good) => {}
            Some(given) if given == basic("AWS", "old") => {
                let message = "Your authorization token has expired. Reauthenticate and try again.";
                return said(403, "DENIED", message);
            }
            Some(_) => {
                let realm = format!("Basic realm=\"https://{ECR}/\",service=\"ecr.amazonaws.com\"");
                return Answer::new(401, "Not Authorized\n").with("WWW-Authenticate", realm);
            }
        }
        if request.path == "/v2/" {
            return said(200, "OK", "");
        }
        if request.path.contains("/missing/") && request.method == "POST" {
            let message = "The repository with name 'missing' does not exist in the registry with id '123456789012'";
            return said(404, "NAME_UNKNOWN", message);
        }
        if request.method == "GET" && request.path.contains("/blobs/") {
            let to = format!("{at}{}?X-Amz-Signature=abc", request.path);
            return Answer::new(307, "").with("Location", to);
        }
        // It mounts nothing.
        if request.method == "POST" {
            let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
            return Answer::new(202, "").with("Location", format!("{path}1"));
        }
        taking(request).unwrap_or_else(|| content(&image, request))
    });
    (registry, storage)
}

#[tokio::test(flavor = "multi_thread")]
async fn amazons_registry_takes_a_password_that_expires() {
    let image = test_image();
    let good = Arc::new(Mutex::new("fresh".to_owned()));
    let (registry, storage) = ecr(&image, &good);
    let dir = temp();
    let store = store(dir.path(), ECR, &registry);
    let name = format!("{ECR}/team/box:1");
    let mut aws = auth("AWS", "fresh");
    aws.serveraddress = ECR.into();
    assert_eq!(store.login(&aws).await.unwrap(), None);
    let pulled = pull_as(&store, &name, Some(&aws)).await.unwrap();
    assert_eq!(pulled.image.id, image.id());
    assert!(storage.requests().len() >= 2, "layer and configuration");
    add(&store, &format!("{ECR}/team/made:1"));
    push_as(&store, &format!("{ECR}/team/made:1"), &aws)
        .await
        .unwrap();
    add(&store, &format!("{ECR}/missing:1"));
    let error = push_as(&store, &format!("{ECR}/missing:1"), &aws).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "name unknown: The repository with name 'missing' does not exist in the registry with id '123456789012'"
    );

    let expired = "Your authorization token has expired. Reauthenticate and try again.";
    let mut old = auth("AWS", "old");
    old.serveraddress = ECR.into();
    let error = store.login(&old).await.unwrap_err();
    assert!(error.to_string().contains(expired), "{error}");
    let error = pull_as(&store, &name, Some(&old)).await.unwrap_err();
    assert!(error.to_string().contains(expired), "{error}");
    let error = push_as(&store, &format!("{ECR}/team/made:1"), &old).await;
    assert_eq!(error.unwrap_err().to_string(), format!("denied: {expired}"));
    let wrong = auth("AWS", "wrong");
    let error = pull_as(&store, &name, Some(&wrong)).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    let error = pull_as(&store, &name, None).await.unwrap_err();
    assert!(
        error.to_string().contains("no basic auth credentials"),
        "{error}"
    );
    // One that was renewed is good at once.
    "newer".clone_into(&mut good.lock().unwrap());
    pull_as(
        &store,
        &format!("{ECR}/team/other"),
        Some(&auth("AWS", "newer")),
    )
    .await
    .unwrap();
}
