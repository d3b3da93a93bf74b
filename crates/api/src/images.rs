//! Images: pull, import, load, list, inspect, tag, remove.

use axum::http::StatusCode;
use types::options::IMAGE_FILTERS;

use crate::{
    answer::{Answer, empty, json, to_its_end, typed},
    auth,
    backend::{ImagesOptions, ImportOptions, Progress},
    body,
    dispatch::Call,
    error::Refusal,
    image_work::platform,
    stream, versions,
};

pub(crate) async fn list(call: Call) -> Answer {
    let mut filters = call.query.filters(IMAGE_FILTERS)?;
    if let Some(reference) = call.query.some("filter").filter(|_| !call.since(41)) {
        filters
            .entry("reference".into())
            .or_default()
            .push(reference);
    }
    let options = ImagesOptions {
        all: call.query.bool("all"),
        manifests: call.query.bool("manifests"),
        shared_size: call.query.bool("shared-size"),
        filters,
    };
    let images = call.server.images.list(options).await?;
    json(StatusCode::OK, &versions::image_list(call.version, images))
}

pub(crate) async fn create(call: Call) -> Answer {
    let from = call.query.text("fromImage");
    let progress = if from.is_empty() {
        import(call.server.clone(), &call.query, call.body).await?
    } else {
        let reference = pull_reference(from, call.query.text("tag"));
        let platform = call.query.some("platform");
        let auth = auth::registry(&call.headers)?;
        call.server.images.pull(&reference, platform, auth).await?
    };
    let body = stream::progress(progress, &call.closing);
    Ok(typed(StatusCode::OK, "application/json", body))
}

/// `image`, with the `tag` (or digest) of its own parameter. One without any stands for all tags.
fn pull_reference(image: &str, tag: &str) -> String {
    let separator = match tag {
        "" => return image.to_owned(),
        digest if digest.contains(':') => '@',
        _ => ':',
    };
    format!("{image}{separator}{tag}")
}

async fn import(
    server: crate::Server,
    query: &crate::query::Query,
    archive: axum::body::Body,
) -> Result<Progress, Refusal> {
    let from = match query.text("fromSrc") {
        "-" => String::new(),
        "" => {
            return Err(Refusal::bad(
                "fromImage or fromSrc must say where the image comes from",
            ));
        }
        url if url.contains("://") => url.to_owned(),
        // As dockerd.
        url => format!("http://{url}"),
    };
    let (repo, tag) = (query.text("repo"), query.text("tag"));
    let options = ImportOptions {
        reference: if tag.is_empty() || repo.is_empty() {
            repo.to_owned()
        } else {
            format!("{repo}:{tag}")
        },
        message: query.text("message").to_owned(),
        changes: query.all("changes").map(str::to_owned).collect(),
        platform: query.some("platform"),
        from,
    };
    Ok(server.images.import(body::stream(archive), options).await?)
}

pub(crate) async fn load(call: Call) -> Answer {
    let platform = platform(&call)?;
    let quiet = call.query.bool_or("quiet", true);
    let progress = call
        .server
        .images
        .load(body::stream(call.body), quiet, platform)
        .await?;
    let body = stream::progress(progress, &call.closing);
    Ok(typed(StatusCode::OK, "application/json", body))
}

pub(crate) async fn inspect(call: Call) -> Answer {
    let (platform, manifests) = (platform(&call)?, call.query.bool("manifests"));
    if manifests && platform.is_some() {
        return Err(Refusal::bad(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let images = &call.server.images;
    let image = images.inspect(&call.name, platform, manifests).await?;
    let mut shown = versions::image_inspect(call.version, image)?;
    let agent = call.headers.get("user-agent").and_then(|a| a.to_str().ok());
    if agent.is_some_and(|agent| agent.starts_with("docker-compose/1.")) {
        // It asks for the newest version and falls over what that no longer has.
        let empty = serde_json::json!({});
        shown.entry("ContainerConfig").or_insert(empty);
    }
    json(StatusCode::OK, &shown)
}

pub(crate) async fn tag(call: Call) -> Answer {
    let (repo, tag) = (call.query.text("repo"), call.query.text("tag"));
    if repo.is_empty() {
        return Err(Refusal::bad(
            "invalid reference format: repo must name the new reference",
        ));
    }
    if repo.contains('@') {
        return Err(Refusal::bad(
            "refusing to create a tag with a digest reference",
        ));
    }
    let reference = if tag.is_empty() {
        repo.to_owned()
    } else {
        format!("{repo}:{tag}")
    };
    let (images, name) = (call.server.images, call.name);
    to_its_end(async move { images.tag(&name, &reference).await }).await?;
    Ok(empty(StatusCode::CREATED))
}

pub(crate) async fn remove(call: Call) -> Answer {
    call.query.refuse("platforms")?;
    let (force, noprune) = (call.query.bool("force"), call.query.bool("noprune"));
    let (images, name) = (call.server.images, call.name);
    let deleted = to_its_end(async move { images.remove(&name, force, noprune).await }).await?;
    json(StatusCode::OK, &deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests_complete_a_reference() {
        let complete = pull_reference;
        assert_eq!(complete("a/b", "c"), "a/b:c");
        assert_eq!(complete("a:5/b", "sha256:00"), "a:5/b@sha256:00");
        assert_eq!(complete("a:5/b:c", ""), "a:5/b:c");
        assert_eq!(complete("a@sha256:00", ""), "a@sha256:00");
        assert_eq!(complete("a:5/b", ""), "a:5/b");
    }
}
