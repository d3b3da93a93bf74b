//! What is done in registries themselves. These paths are wharf's own: docker's command line
//! speaks to registries by itself, ours has the daemon do it, which knows their certificates.

use axum::http::StatusCode;
use types::registry::IndexPut;

use crate::{
    answer::{Answer, json},
    auth,
    backend::RegistryAccess,
    body,
    dispatch::Call,
    error::Refusal,
};

fn access(call: &Call) -> Result<RegistryAccess, Refusal> {
    Ok(RegistryAccess {
        auth: auth::registry(&call.headers)?,
        insecure: call.query.bool("insecure"),
    })
}

pub(crate) async fn manifest(call: Call) -> Answer {
    let (access, deep) = (access(&call)?, call.query.bool("deep"));
    let work = &call.server.registry_work;
    json(
        StatusCode::OK,
        &work.manifest(&call.name, access, deep).await?,
    )
}

pub(crate) async fn put_index(call: Call) -> Answer {
    let access = access(&call)?;
    let given: Option<IndexPut> = body::json(&call.headers, call.body).await?;
    let index = given.ok_or_else(body::missing)?;
    let work = &call.server.registry_work;
    let put = work.put_index(&call.name, access, index).await?;
    json(StatusCode::CREATED, &put)
}

pub(crate) async fn remove(call: Call) -> Answer {
    let (access, force) = (access(&call)?, call.query.bool("force"));
    let work = &call.server.registry_work;
    let removed = work.remove_manifest(&call.name, access, force).await?;
    json(StatusCode::OK, &removed)
}

pub(crate) async fn tags(call: Call) -> Answer {
    let access = access(&call)?;
    let work = &call.server.registry_work;
    json(StatusCode::OK, &work.tags(&call.name, access).await?)
}
