//! `completion`: what a shell needs to complete command lines.

use super::Context;
use crate::{
    complete,
    error::Result,
    flags::{Flag, Matches, switch},
    format::output,
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[switch("no-descriptions", "Disable completion descriptions")];

/// `docker completion`.
pub(crate) async fn completion(context: &Context, m: Matches) -> Result {
    let program = context.path.split(' ').next().unwrap_or_default();
    let mut text = complete::script(program, &m.args[0])?;
    if m.on("no-descriptions") {
        text = text.replace("__complete ", "__completeNoDesc ");
    }
    output::print(&text)
}
