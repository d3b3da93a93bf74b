//! Removing what nothing uses: volumes, and what requests of that kind share.

use axum::http::StatusCode;
use types::options::yes_or_no;

use crate::{
    answer::{Answer, json as answer, to_its_end},
    backend::Filters,
    dispatch::Call,
    error::Refusal,
    time,
};

/// Takes the moment out of `filters`; nanoseconds since the epoch.
pub(crate) fn until(filters: &mut Filters) -> Result<Option<i64>, Refusal> {
    match filters.remove("until").unwrap_or_default().as_slice() {
        [] => Ok(None),
        [one] => time::parse(one)
            .map(Some)
            .ok_or_else(|| Refusal::bad(format!("invalid filter 'until={one}'"))),
        _ => Err(Refusal::bad("more than one until filter specified")),
    }
}

pub(crate) async fn volumes(call: Call) -> Answer {
    // Before 1.42 named ones went, too.
    let known: &[&str] = if call.since(42) {
        &["all", "label", "label!"]
    } else {
        &["label", "label!"]
    };
    let mut filters = call.query.filters(known)?;
    let all = yes_or_no(&filters, "all")?.unwrap_or(!call.since(42));
    filters.remove("all");
    let live = call.server.live;
    let pruned = to_its_end(async move { live.prune_volumes(all, filters).await }).await?;
    answer(StatusCode::OK, &pruned)
}
