//! Work in registries themselves, with registries that can less, or mean ill.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::scripted::{Answer, Request, Server};
use crate::common::*;
use image::{Access, Digest, Error, Part, Reference};

fn reference(server: &Server, name: &str) -> Reference {
    Reference::parse(&format!("127.0.0.1:{}/{name}", server.port)).unwrap()
}

fn index_of(images: &[&TestImage]) -> String {
    let entries: Vec<_> = images
        .iter()
        .map(|image| {
            format!(
                r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{}","size":{},"platform":{{"os":"linux","architecture":"{}"}}}}"#,
                Digest::of(image.manifest().as_bytes()),
                image.manifest().len(),
                image.arch
            )
        })
        .collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#,
        entries.join(",")
    )
}

fn small(text: &str) -> TestImage {
    TestImage::new(vec![Tar::new().file("which", text).layer()])
}

/// Takes uploads and mounts nothing. What it has in the repository `from` it may damage.
fn mounts_nothing(image: &TestImage, damaged: bool) -> (Server, Arc<Mutex<Vec<String>>>) {
    let broken = AtomicBool::new(false);
    let (image, done) = (image.clone(), Arc::new(Mutex::new(Vec::new())));
    let log = done.clone();
    let server = Server::start(move |request: &Request| {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        match request.method.as_str() {
            "HEAD" => Answer::new(404, ""),
            "POST" => Answer::new(202, "").with("Location", format!("{path}1")),
            "PATCH" => Answer::new(202, "").with("Location", path),
            "PUT" | "DELETE" => {
                let text = format!("{} {path} {query}", request.method);
                log.lock().unwrap().push(text);
                Answer::new(201, "")
            }
            _ => {
                assert!(path.starts_with("/v2/from/"), "{path}");
                let mut answer = content(&image, request);
                if damaged {
                    answer.body[3] ^= 1;
                }
                // The first one breaks off half-way; the rest is asked for.
                if !broken.swap(true, Ordering::SeqCst) {
                    answer.length = Some(answer.body.len());
                    answer.body.truncate(10);
                }
                answer
            }
        }
    });
    (server, done)
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_carried_where_a_registry_does_not_mount() {
    let image = small("part");
    let part = Part {
        repository: "from".into(),
        media_type: OCI_MANIFEST.into(),
        bytes: image.manifest().into_bytes(),
    };
    let index = index_of(&[&image]);
    for damaged in [false, true] {
        let (server, done) = mounts_nothing(&image, damaged);
        let dir = temp();
        let store = open(dir.path());
        let to = reference(&server, "to:1");
        let parts = [part.clone()];
        let put = store.put_remote(&to, OCI_INDEX, index.as_bytes(), &parts, Access::default());
        let put = put.await;
        let done = done.lock().unwrap().clone();
        let puts: Vec<_> = done.iter().filter(|d| d.starts_with("PUT ")).collect();
        if damaged {
            assert!(matches!(put, Err(Error::Digest { .. })), "{put:?}");
            assert!(puts.is_empty(), "{done:?}");
            assert_eq!(done, ["DELETE /v2/to/blobs/uploads/1 "], "what was begun");
        } else {
            let part = Digest::of(image.manifest().as_bytes()).to_string();
            let put = put.unwrap();
            assert_eq!(put.parts, std::slice::from_ref(&part));
            assert_eq!(put.digest, Digest::of(index.as_bytes()).to_string());
            assert_eq!(puts.len(), 4, "{done:?}");
            let requests = server.requests();
            let ranges = requests.iter().filter_map(|r| r.header("range"));
            assert_eq!(ranges.collect::<Vec<_>>(), ["bytes=10-"]);
            assert_eq!(puts[2].as_str(), format!("PUT /v2/to/manifests/{part} "));
            assert_eq!(puts[3], "PUT /v2/to/manifests/1 ");
        }
        nothing_left(&store);
        assert!(
            names(&store, "blobs/sha256").is_empty(),
            "nothing is kept here"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_indexes_of_manifests_are_put_up() {
    let server = Server::start(|_| Answer::new(500, ""));
    let dir = temp();
    let store = open(dir.path());
    let to = reference(&server, "to:1");
    let image = small("x");
    let manifest = image.manifest();
    let index = index_of(&[&image]);
    let part = |text: &str, kind: &str, repository: &str| Part {
        repository: repository.into(),
        media_type: kind.into(),
        bytes: text.as_bytes().to_vec(),
    };
    for (kind, text, parts) in [
        (OCI_MANIFEST, manifest.as_str(), vec![]),
        (OCI_INDEX, "{}", vec![]),
        (OCI_INDEX, "no JSON", vec![]),
        (OCI_MANIFEST, index.as_str(), vec![]),
        (
            OCI_INDEX,
            index.as_str(),
            vec![part(&manifest, OCI_MANIFEST, "from"); 201],
        ),
    ] {
        let put = store.put_remote(&to, kind, text.as_bytes(), &parts, Access::default());
        assert!(put.await.is_err(), "{kind} {text}");
    }
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    for part in [
        part(&index, OCI_INDEX, "from"),
        part(&manifest, OCI_MANIFEST, "From/../x"),
        part(&manifest, OCI_MANIFEST, "x?y=z"),
    ] {
        let parts = [part];
        let put = store.put_remote(&to, OCI_INDEX, index.as_bytes(), &parts, Access::default());
        assert!(put.await.is_err());
    }
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_come_in_pages_from_the_registry_alone() {
    let thief = Server::start(|_| Answer::new(200, r#"{"tags":["stolen"]}"#));
    let elsewhere = format!("<http://127.0.0.1:{}/next>; rel=\"next\"", thief.port);
    let server = Server::start(move |request| {
        let page = |tags: &str, next: Option<&str>| {
            let answer = Answer::new(200, format!(r#"{{"name":"r","tags":{tags}}}"#));
            match next {
                Some(next) => answer.with("Link", next),
                None => answer,
            }
        };
        match request.path.as_str() {
            "/v2/team/r/tags/list?n=1000" => page(
                r#"["b","c"]"#,
                Some("</v2/team/r/tags/list?n=1000&last=c>; rel=\"next\""),
            ),
            "/v2/team/r/tags/list?n=1000&last=c" => page(r#"["a"]"#, None),
            "/v2/lured/tags/list?n=1000" => page(r#"["own"]"#, Some(&elsewhere)),
            // Where it leads is asked of the registry itself.
            "/next" => page(r#"["more"]"#, Some("</next>; rel=\"next\"")),
            "/v2/empty/tags/list?n=1000" => page("null", None),
            _ => Answer::new(
                404,
                r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#,
            ),
        }
    });
    let dir = temp();
    let store = open(dir.path());
    let tags = async |name: &str| {
        store
            .tags(&reference(&server, name), Access::default())
            .await
    };
    assert_eq!(tags("team/r").await.unwrap(), ["a", "b", "c"]);
    assert_eq!(tags("lured").await.unwrap(), ["more", "own"]);
    assert!(tags("empty").await.unwrap().is_empty());
    assert!(thief.requests().is_empty());
    let error = tags("none").await.unwrap_err();
    assert!(matches!(error, Error::RepositoryUnknown { .. }), "{error}");
}

/// The answer to the first removal is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_at_the_second_asking_was_removed_by_the_first() {
    let image = small("x");
    let serving = image.clone();
    let gone = std::sync::atomic::AtomicBool::new(false);
    let server = Server::start(move |request| {
        let was = gone.load(std::sync::atomic::Ordering::SeqCst);
        match request.method.as_str() {
            "DELETE" if was => Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
            "DELETE" => {
                gone.store(true, std::sync::atomic::Ordering::SeqCst);
                Answer::new(502, "")
            }
            _ => content(&serving, request),
        }
    });
    let dir = temp();
    let store = open(dir.path());
    let name = reference(&server, "r:1");
    let removed = store.remove_remote(&name, Access::default(), false).await;
    assert_eq!(removed.unwrap(), name.familiar());
    let again = store.remove_remote(&name, Access::default(), false).await;
    assert!(again.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_goes_alone_or_not_unasked() {
    let image = small("x");
    let digest = Digest::of(image.manifest().as_bytes()).to_string();
    for (alone, status) in [(true, 202), (false, 405), (false, 400)] {
        let (serving, of) = (image.clone(), digest.clone());
        let server = Server::start(move |request| {
            let by_digest = request.path.ends_with(&of);
            match request.method.as_str() {
                "DELETE" if by_digest => Answer::new(202, ""),
                "DELETE" => Answer::new(
                    status,
                    r#"{"errors":[{"code":"UNSUPPORTED","message":"not here"}]}"#,
                ),
                _ => content(&serving, request),
            }
        });
        let dir = temp();
        let store = open(dir.path());
        let name = reference(&server, "r:1");
        let deleted = |server: &Server| {
            let all = server.requests().into_iter();
            let all = all.filter(|r| r.method == "DELETE").map(|r| r.path);
            all.collect::<Vec<_>>()
        };
        let removed = store.remove_remote(&name, Access::default(), false).await;
        assert_eq!(deleted(&server), ["/v2/r/manifests/1"]);
        if alone {
            assert_eq!(removed.unwrap(), name.familiar());
            continue;
        }
        let error = removed.unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error}");
        assert!(error.to_string().contains(&digest), "{error}");
        let removed = store.remove_remote(&name, Access::default(), true).await;
        assert_eq!(
            removed.unwrap(),
            name.with_digest(&digest).unwrap().familiar()
        );
        assert_eq!(deleted(&server)[2], format!("/v2/r/manifests/{digest}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_is_shown_and_what_is_too_much_is_not() {
    let image = small("x");
    let helm = image.manifest().replace(
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.cncf.helm.config.v1+json",
    );
    let many: Vec<_> = std::iter::repeat_n(&image, 201).collect();
    let many = index_of(&many);
    let within = index_of(&[&image]);
    let nested = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_INDEX}","digest":"{}","size":{}}}]}}"#,
        Digest::of(within.as_bytes()),
        within.len()
    );
    let (serving, chart) = (image.clone(), helm.clone());
    let server = Server::start(move |request| {
        let index = |text: &str| Answer::new(200, text).with("Content-Type", OCI_INDEX);
        if request.path.ends_with("/manifests/chart") {
            return Answer::new(200, chart.clone()).with("Content-Type", OCI_MANIFEST);
        }
        if request.path.ends_with("/manifests/many") {
            return index(&many);
        }
        if request.path.ends_with("/manifests/nested") {
            return index(&nested);
        }
        if request
            .path
            .ends_with(&Digest::of(within.as_bytes()).to_string())
        {
            return index(&within);
        }
        content(&serving, request)
    });
    let dir = temp();
    let store = open(dir.path());
    let look = async |tag: &str| {
        let name = reference(&server, &format!("r:{tag}"));
        store.remote(&name, Access::default(), true).await
    };
    let chart = look("chart").await.unwrap();
    assert_eq!((chart.bytes, chart.config), (helm.into_bytes(), None));
    let error = look("many").await.unwrap_err();
    assert!(error.to_string().contains("201 manifests"), "{error}");
    let nested = look("nested").await.unwrap().parts.unwrap();
    assert_eq!(
        (nested[0].config.as_ref(), nested[0].parts.as_ref()),
        (None, None)
    );
    let plain = look("1").await.unwrap();
    assert_eq!(plain.config.unwrap(), image.config().into_bytes());
}
