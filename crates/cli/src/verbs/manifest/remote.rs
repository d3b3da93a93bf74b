//! Manifests that are in registries, asked for through the daemon.

use serde_json::Value;
use types::registry::RemoteManifest;

use super::document::{Descriptor, Draft, Platform, decode};
use crate::{
    client::{Error as ClientError, Request},
    config,
    error::{Error, Result},
    format::names::Reference,
    verbs::Context,
};

/// What a name stands for.
pub(super) enum Found {
    Image(Box<Draft>),
    List(Vec<Draft>),
}

/// Adds to a request about `name` what its registry wants to know.
pub(crate) fn access(
    context: &Context,
    request: Request,
    name: &Reference,
    insecure: bool,
) -> Result<Request> {
    let server = config::server(&name.domain);
    let auth = context.config.credentials().get(server)?;
    Ok(request
        .query_on("insecure", insecure)
        .registry_auth(auth.as_ref()))
}

/// The answer, or where the registry has nothing of that name, `missing`.
pub(crate) fn found_or<T>(
    answer: std::result::Result<T, ClientError>,
    missing: impl FnOnce() -> String,
) -> Result<T> {
    match answer {
        Err(ClientError::Daemon {
            status: 404,
            message,
        }) => Err(Error::msg(if message.contains("page not found") {
            "this needs a daemon of wharf: others do not ask registries for clients".to_owned()
        } else {
            missing()
        })),
        answer => Ok(answer?),
    }
}

async fn ask(
    context: &Context,
    name: &Reference,
    insecure: bool,
    deep: bool,
) -> Result<RemoteManifest> {
    let request = Request::get(&format!("/wharf/manifests/{}", name.full()));
    let request = access(context, request, name, insecure)?.query_on("deep", deep);
    let answer = request.decode(&context.client).await;
    found_or(answer, || format!("no such manifest: {}", name.full()))
}

fn is_list(found: &RemoteManifest) -> bool {
    found.manifests.is_some()
        || found.descriptor.media_type.contains("index")
        || found.descriptor.media_type.contains("manifest.list")
}

/// The draft of a manifest; its platform is what its configuration says.
fn draft(reference: String, found: &RemoteManifest) -> Result<Draft> {
    let config = decode(&reference, &found.config)?;
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    let descriptor = Descriptor {
        media_type: found.descriptor.media_type.clone(),
        digest: found.descriptor.digest.clone(),
        size: found.descriptor.size,
        platform: Platform::of(&config),
    };
    let bytes = decode(&reference, &found.raw)?;
    Ok(Draft::new(reference, descriptor, &bytes))
}

/// The image of a name.
pub(super) async fn image(context: &Context, name: &Reference, insecure: bool) -> Result<Draft> {
    let found = ask(context, name, insecure, false).await?;
    if is_list(&found) {
        return Err(Error::msg(format!("{} is a manifest list", name.full())));
    }
    draft(name.full(), &found)
}

/// The image or the list of a name.
pub(super) async fn either(context: &Context, name: &Reference, insecure: bool) -> Result<Found> {
    let found = ask(context, name, insecure, true).await?;
    if !is_list(&found) {
        return Ok(Found::Image(Box::new(draft(name.full(), &found)?)));
    }
    let bytes = decode(&name.full(), &found.raw)?;
    let index: Value = serde_json::from_slice(&bytes)
        .map_err(|e| Error::msg(format!("{} cannot be read: {e}", name.full())))?;
    let mut all = Vec::new();
    for (at, part) in found.manifests.iter().flatten().enumerate() {
        let digest = &part.descriptor.digest;
        let mut reference = name.full();
        if name.digest.is_none() {
            reference.push_str(&format!("@{digest}"));
        } else {
            reference = format!("{}@{digest}", name.full_name());
        }
        let mut one = draft(reference, part)?;
        // What the index says of it counts.
        let said = index.pointer(&format!("/manifests/{at}/platform"));
        one.descriptor.platform = said.and_then(Platform::of);
        all.push(one);
    }
    Ok(Found::List(all))
}
