//! Building images: Docker's `/build`, and the endpoints of our own for contexts that travel as
//! differences.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode};
use futures_util::FutureExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use types::{
    build::{
        BuildRequest, CacheTarget, ContextSource, Dockerfile, Output, OutputKind, PruneRequest,
    },
    image::RegistryAuth,
};

use crate::{
    answer::{Answer, empty, json, to_its_end, typed},
    auth, body,
    detach::Escape,
    dispatch::Call,
    error::Refusal,
    fields,
    hijack::Takeover,
    image_work::parts,
    logs, prune as pruning,
    query::Query,
    stream,
};

/// What a parameter is written as in JSON; its default where it is not there.
fn of_json<T: DeserializeOwned + Default>(query: &Query, name: &str) -> Result<T, Refusal> {
    match query.text(name) {
        "" | "null" => Ok(T::default()),
        text => serde_json::from_str(text)
            .map_err(|e| Refusal::bad(format!("invalid value for {name}: {e}"))),
    }
}

/// `POST /build`.
pub(crate) async fn build(call: Call) -> Answer {
    let request = request(&call.query, &call.headers)?;
    let quiet = call.query.bool("q");
    let archive = body::stream(call.body);
    let progress = call.server.builds.build(request, archive, quiet).await?;
    let body = stream::progress(progress, &call.closing);
    Ok(typed(StatusCode::OK, "application/json", body))
}

fn request(query: &Query, headers: &HeaderMap) -> Result<BuildRequest, Refusal> {
    match query.text("version") {
        "" | "1" => {}
        "2" => {
            return Err(fields::unsupported(
                "BuildKit's protocol (version=2): use DOCKER_BUILDKIT=0 or wharf build",
            )
            .into());
        }
        other => return Err(Refusal::bad(format!("invalid version {other}"))),
    }
    if query.bool("squash") {
        return Err(fields::unsupported("squash").into());
    }
    let isolation = query.text("isolation");
    if !matches!(isolation, "" | "default") {
        return Err(Refusal::bad(format!(
            "Unsupported isolation: \"{isolation}\""
        )));
    }
    for name in ["outputs", "session"] {
        if !matches!(query.text(name), "" | "[]" | "null") {
            return Err(fields::unsupported(&format!("the parameter {name} of a build")).into());
        }
    }
    if let Some(option) = query.all("securityopt").next() {
        return Err(fields::unsupported(&format!("the security option {option} in builds")).into());
    }
    let number = |name: &str| Ok::<i64, Refusal>(query.number(name)?.unwrap_or(0));
    // An argument that is null has no value: it is as if nothing was said.
    let args: BTreeMap<String, Option<String>> = of_json(query, "buildargs")?;
    let platform = match query.text("platform") {
        text if text.starts_with('{') => parts(text)?,
        text => text.to_owned(),
    };
    let hosts = query.all("extrahosts").flat_map(|h| h.split(','));
    Ok(BuildRequest {
        id: query.text("buildid").to_owned(),
        context: match query.text("remote") {
            "" | "client-session" => ContextSource::Empty,
            remote => ContextSource::Remote(remote.to_owned()),
        },
        dockerfile: Dockerfile::Path(query.text("dockerfile").to_owned()),
        target: query.text("target").to_owned(),
        build_args: args
            .into_iter()
            .filter_map(|(n, v)| Some((n, v?)))
            .collect(),
        labels: of_json(query, "labels")?,
        tags: query
            .all("t")
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
            .collect(),
        cache_from: of_json::<Vec<String>>(query, "cachefrom")?
            .into_iter()
            .map(|name| CacheTarget {
                kind: "image".to_owned(),
                attributes: BTreeMap::from([("ref".to_owned(), name)]),
            })
            .collect(),
        no_cache: query.bool("nocache"),
        pull: query.bool("pull"),
        platform,
        extra_hosts: hosts.filter(|h| !h.is_empty()).map(str::to_owned).collect(),
        network: query.text("networkmode").to_owned(),
        shm_size: number("shmsize")?,
        ulimits: of_json(query, "ulimits")?,
        cgroup_parent: query.text("cgroupparent").to_owned(),
        memory: number("memory")?,
        memory_swap: number("memswap")?,
        cpu_shares: number("cpushares")?,
        cpu_quota: number("cpuquota")?,
        cpu_period: number("cpuperiod")?,
        cpuset_cpus: query.text("cpusetcpus").to_owned(),
        cpuset_mems: query.text("cpusetmems").to_owned(),
        outputs: vec![Output {
            kind: OutputKind::Image,
            names: Vec::new(),
            push: false,
        }],
        auths: configured(headers)?,
        ..BuildRequest::default()
    })
}

/// `X-Registry-Config`: credentials by registry, as base64 of JSON.
fn configured(headers: &HeaderMap) -> Result<BTreeMap<String, RegistryAuth>, Refusal> {
    // The value is a secret: no message repeats it.
    let bad = || {
        Refusal::bad(
            "invalid X-Registry-Config header: it must be the base64url encoding of a JSON object",
        )
    };
    let Some(header) = headers.get("x-registry-config") else {
        return Ok(BTreeMap::new());
    };
    match auth::decoded(header).map_err(|()| bad())? {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(all)) => all
            .into_iter()
            .map(|(registry, value)| Ok((registry, auth::credentials(value).map_err(|()| bad())?)))
            .collect(),
        Some(_) => Err(bad()),
    }
}

/// `POST /build/cancel`.
pub(crate) async fn cancel(call: Call) -> Answer {
    let id = call.query.text("id");
    if id.is_empty() {
        return Err(Refusal::bad("build ID not provided"));
    }
    call.server.builds.cancel(id).await?;
    Ok(empty(StatusCode::OK))
}

/// `POST /wharf/build/context`.
pub(crate) async fn context(call: Call) -> Answer {
    let update = body::stream(call.body);
    let answer = call.server.builds.context(update).await?;
    json(StatusCode::OK, &answer)
}

/// `POST /wharf/build/content`.
pub(crate) async fn contents(call: Call) -> Answer {
    let contents = body::stream(call.body);
    call.server.builds.contents(contents).await?;
    Ok(empty(StatusCode::OK))
}

/// Bytes of a build's request: the Dockerfile and all secrets are in it.
pub(crate) const MAX_REQUEST: usize = 16 << 20;

fn requested(bytes: &[u8]) -> Result<BuildRequest, Refusal> {
    serde_json::from_slice(bytes).map_err(|e| Refusal::bad(format!("invalid JSON of a build: {e}")))
}

/// What a build's request asks for, without what it knows: of secrets and credentials the names stay.
pub(crate) fn shown(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut request = requested(bytes)?;
    for secret in &mut request.secrets {
        secret.value.clear();
    }
    for auth in request.auths.values_mut() {
        *auth = RegistryAuth {
            username: std::mem::take(&mut auth.username),
            serveraddress: std::mem::take(&mut auth.serveraddress),
            ..RegistryAuth::default()
        };
    }
    for (name, value) in &mut request.build_args {
        if name.to_ascii_lowercase().ends_with("_proxy") {
            *value = without_password(value);
        }
    }
    serde_json::to_vec(&request).map_err(|e| Refusal::bad(e.to_string()))
}

/// A proxy's URL without who logs in there.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}xxxxx:xxxxx@{host}"),
        None => url.to_owned(),
    }
}

/// `POST /wharf/build`.
pub(crate) async fn session(mut call: Call) -> Answer {
    let sent = std::mem::take(&mut call.body);
    let request = requested(&body::read_up_to(sent, MAX_REQUEST).await?)?;
    logs::connected(&call)?;
    let builds = call.server.builds.clone();
    let attachment = async move { Ok(builds.session(request).await?) };
    let takeover = Takeover::new(&call, false, attachment.boxed(), Escape::new("")?);
    logs::take_over(call, takeover).await
}

/// `GET /wharf/build/records`.
pub(crate) async fn records(call: Call) -> Answer {
    json(StatusCode::OK, &call.server.builds.records().await?)
}

/// `POST /build/prune`.
pub(crate) async fn prune(call: Call) -> Answer {
    const FILTERS: &[&str] = &[
        "description",
        "id",
        "inuse",
        // Sent by `system prune` for the rest; no record of the cache has any.
        "label",
        "label!",
        "parent",
        "private",
        "shared",
        "type",
        "until",
        "unused-for",
    ];
    let mut filters = call.query.filters(FILTERS)?;
    for name in ["description", "inuse", "parent", "private", "shared"] {
        if filters.contains_key(name) {
            return Err(
                fields::unsupported(&format!("the filter {name} of the build cache")).into(),
            );
        }
    }
    let labelled = filters.contains_key("label");
    let old = filters
        .remove("unused-for")
        .and_then(|v| v.first().cloned());
    if let Some(old) = old {
        filters.insert("until".to_owned(), vec![old]);
    }
    let until = pruning::until(&mut filters)?;
    let now = crate::time::now();
    let bytes = |name: &str| Ok::<_, Refusal>(call.query.number::<i64>(name)?.unwrap_or(0));
    let request = PruneRequest {
        all: call.query.bool("all"),
        keep: bytes("keep-storage")?.max(bytes("reserved-space")?),
        max_used: bytes("max-used-space")?,
        min_free: bytes("min-free-space")?,
        unused_for: until.map_or(0, |until| (now - until).max(0) / 1_000_000_000),
        ids: filters.remove("id").unwrap_or_default(),
        kinds: filters.remove("type").unwrap_or_default(),
    };
    if labelled {
        return json(StatusCode::OK, &types::build::PruneAnswer::default());
    }
    let builds = call.server.builds;
    let answer = to_its_end(async move { builds.prune(request).await }).await?;
    json(StatusCode::OK, &answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_go_does() {
        let read = |json: &str| {
            let mut headers = HeaderMap::new();
            let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, json);
            headers.insert("x-registry-config", text.parse().unwrap());
            configured(&headers)
        };
        // As the SDK for Python sends it after a login, and as a program in Go may.
        let all = read(
            r#"{"r.example:5000": {"username": "a", "password": "b", "email": null,
                "serveraddress": "r.example:5000"}, "gone": null,
                "Other": {"Username": "c", "PassWord": "d", "IdentityToken": "e"}}"#,
        )
        .unwrap();
        assert_eq!(all.len(), 2);
        let python = &all["r.example:5000"];
        assert_eq!(
            (python.username.as_str(), python.password.as_str()),
            ("a", "b")
        );
        let go = &all["Other"];
        assert_eq!(
            (
                go.username.as_str(),
                go.password.as_str(),
                go.identitytoken.as_str()
            ),
            ("c", "d", "e")
        );
        assert!(read("null").unwrap().is_empty());
        for bad in ["[]", r#"{"a": []}"#, r#"{"a": {"username": 1}}"#, "x"] {
            assert_eq!(read(bad).unwrap_err().status, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn what_is_shown_has_no_secrets() {
        let sent = r#"{"allow": ["security.insecure"], "network": "host",
            "secrets": [{"id": "a", "value": "hidden1"}],
            "auths": {"r": {"username": "u", "password": "hidden2", "auth": "hidden3",
                "identitytoken": "hidden4", "registrytoken": "hidden5"}},
            "build_args": {"HTTPS_PROXY": "http://me:hidden6@proxy:1", "X": "seen"}}"#;
        let text = String::from_utf8(shown(sent.as_bytes()).unwrap()).unwrap();
        assert!(!text.contains("hidden"), "{text}");
        for word in [
            "security.insecure",
            "host",
            "\"a\"",
            "\"u\"",
            "@proxy:1",
            "seen",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(shown(b"[").is_err());
    }
}
