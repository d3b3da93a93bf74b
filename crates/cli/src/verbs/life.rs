//! `pause`, `unpause`, `rename`.

use super::{Context, container::each};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::Matches,
    format::output,
};

/// `docker pause`.
pub(crate) async fn pause(context: &Context, m: Matches) -> Result {
    each(context, &m.args, |name| {
        Request::post(&format!("/containers/{name}/pause"))
    })
    .await
}

/// `docker unpause`.
pub(crate) async fn unpause(context: &Context, m: Matches) -> Result {
    each(context, &m.args, |name| {
        Request::post(&format!("/containers/{name}/unpause"))
    })
    .await
}

/// `docker rename`.
pub(crate) async fn rename(context: &Context, m: Matches) -> Result {
    let name = |n: usize| m.args.get(n).map_or("", |a| a.trim());
    let (old, new) = (name(0), name(1));
    if old.is_empty() || new.is_empty() {
        return Err(Error::msg("Error: Neither old nor new names may be empty"));
    }
    let renamed = Request::post(&format!("/containers/{old}/rename"))
        .query("name", new)
        .done(&context.client)
        .await;
    renamed.map_err(|error| {
        output::complain(&error.to_string());
        Error::msg(format!("Error: failed to rename container named {old}"))
    })
}
