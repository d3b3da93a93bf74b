//! Networks.

use axum::http::StatusCode;
use types::{
    Failure,
    network::{NetworkConnect, NetworkCreate, NetworkDisconnect, NetworksPruned},
};

use crate::{
    answer::{Answer, empty, json, to_its_end},
    body,
    dispatch::Call,
    endpoint_settings,
    error::Refusal,
    network_wishes, older, prune as pruning,
};

/// Names that `filters` may have for the list.
const FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// What Docker says where a container's name is missing.
const NO_CONTAINER: &str = "invalid name or ID supplied: \"\"";

pub(crate) async fn list(call: Call) -> Answer {
    let filters = call.query.filters(FILTERS)?;
    let networks = &call.server.networks;
    let mut all = networks.list(filters).await?;
    if !call.since(28) {
        // Their containers were in the list, too.
        for network in &mut all {
            match networks.inspect(&network.id).await {
                Ok(whole) => *network = whole,
                // Gone since: as it was.
                Err(failure) if failure.kind == types::ErrorKind::NotFound => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }
    json(StatusCode::OK, &all)
}

pub(crate) async fn inspect(call: Call) -> Answer {
    let verbose = call.query.text("verbose");
    if !verbose.is_empty() && types::boolean::parse(verbose).is_none() {
        return Err(Refusal::bad(format!(
            "invalid value for verbose: {verbose}: strconv.ParseBool: parsing {verbose:?}: \
             invalid syntax"
        )));
    }
    let scope = call.query.text("scope");
    let network = call.server.networks.inspect(&call.name).await?;
    if !scope.is_empty() && scope != network.scope {
        let message = format!("network {} not found", call.name);
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    }
    // `verbose` adds services, which no local network has.
    json(StatusCode::OK, &network)
}

pub(crate) async fn create(call: Call) -> Answer {
    let knows_ipv4 = call.since(48);
    let networks = call.server.networks;
    // `CheckDuplicate` of old clients is not read: names are never there twice.
    let mut wanted: NetworkCreate = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
    if !knows_ipv4 {
        wanted.enable_ipv4 = None;
    }
    network_wishes::check(&wanted)?;
    let created = to_its_end(async move { networks.create(wanted).await }).await?;
    json(StatusCode::CREATED, &created)
}

pub(crate) async fn remove(call: Call) -> Answer {
    let (networks, name) = (call.server.networks, call.name);
    to_its_end(async move { networks.remove(&name).await }).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn connect(call: Call) -> Answer {
    let (version, networks, name) = (call.version, call.server.networks, call.name);
    let mut wanted: NetworkConnect = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
    named(&wanted.container)?;
    if let Some(settings) = &mut wanted.endpoint_config {
        endpoint_settings::clean(settings);
        older::endpoint(settings, version);
        endpoint_settings::check(&name, settings)?;
    }
    to_its_end(async move { networks.connect(&name, wanted).await }).await?;
    Ok(empty(StatusCode::OK))
}

pub(crate) async fn disconnect(call: Call) -> Answer {
    let (networks, name) = (call.server.networks, call.name);
    let wanted: NetworkDisconnect = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
    named(&wanted.container)?;
    to_its_end(async move { networks.disconnect(&name, wanted).await }).await?;
    Ok(empty(StatusCode::OK))
}

fn named(container: &str) -> Result<(), Failure> {
    if container.is_empty() {
        return Err(Failure::invalid(NO_CONTAINER));
    }
    Ok(())
}

/// `until` goes on as seconds since the epoch, whatever form it came in: a moment does not move
/// while others are being removed.
pub(crate) async fn firewall(call: Call) -> Answer {
    json(StatusCode::OK, &call.server.networks.firewall().await?)
}

pub(crate) async fn prune(call: Call) -> Answer {
    let mut filters = call.query.filters(&["label", "label!", "until"])?;
    let until = pruning::until(&mut filters)?;
    let networks = call.server.networks;
    let networks_deleted = to_its_end(async move { networks.prune(filters, until).await }).await?;
    json(StatusCode::OK, &NetworksPruned { networks_deleted })
}
