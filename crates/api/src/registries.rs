//! What is asked of registries: push, search, distribution, and whether they know a user.

use axum::http::StatusCode;
use types::image::RegistryAuth;

use crate::{
    answer::{Answer, json, typed},
    auth, body,
    dispatch::Call,
    error::Refusal,
    image_work::platform,
    stream,
};

/// How many results a search has where nothing is said.
const RESULTS: usize = 25;
/// The most that may be asked for.
const MOST_RESULTS: usize = 100;

pub(crate) async fn push(call: Call) -> Answer {
    let platform = platform(&call)?;
    let auth = auth::registry(&call.headers)?;
    let tag = call.query.text("tag");
    let name = if tag.is_empty() {
        call.name.clone()
    } else {
        if call.name.contains('@') {
            return Err(Refusal::bad("cannot push a digest reference"));
        }
        // The parameter counts where the name has a tag of its own, too.
        let last = call.name.rfind('/').map_or(0, |at| at + 1);
        let end = call.name[last..].find(':').map(|at| last + at);
        format!("{}:{tag}", &call.name[..end.unwrap_or(call.name.len())])
    };
    let progress = call.server.image_work.push(&name, platform, auth).await?;
    let body = stream::progress(progress, &call.closing);
    Ok(typed(StatusCode::OK, "application/json", body))
}

pub(crate) async fn search(call: Call) -> Answer {
    let term = call.query.text("term");
    let limit = match call.query.number::<i64>("limit")? {
        None | Some(0) => RESULTS,
        Some(given) => usize::try_from(given)
            .ok()
            .filter(|given| *given <= MOST_RESULTS)
            .ok_or_else(|| {
                Refusal::bad(format!(
                    "limit {given} is outside the range of [1, {MOST_RESULTS}]"
                ))
            })?,
    };
    let filters = call
        .query
        .filters(&["is-automated", "is-official", "stars"])?;
    let auth = auth::registry(&call.headers)?;
    let work = &call.server.image_work;
    let found = work.search(term, limit, filters, auth).await?;
    json(StatusCode::OK, &found)
}

pub(crate) async fn distribution(call: Call) -> Answer {
    let auth = auth::registry(&call.headers)?;
    let work = &call.server.image_work;
    let found = work.distribution(&call.name, auth).await?;
    json(StatusCode::OK, &found)
}

pub(crate) async fn auth(call: Call) -> Answer {
    let given: Option<RegistryAuth> = body::json(&call.headers, call.body).await?;
    let given = given.ok_or_else(body::missing)?;
    let answer = call.server.image_work.login(given).await?;
    json(StatusCode::OK, &answer)
}
