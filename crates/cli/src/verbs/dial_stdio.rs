//! `system dial-stdio`: the far end of `ssh://`.

use tokio::io::{AsyncWriteExt, copy};

use super::Context;
use crate::{
    error::{Error, Result},
    flags::Matches,
};

/// Joins standard input and output to the daemon's socket. The end of input is passed on, and
/// what the daemon still says after it is too; its end is ours.
pub(crate) async fn dial_stdio(context: &Context, _: Matches) -> Result {
    let connection = context.client.dial().await?;
    let (mut from, mut to) = tokio::io::split(connection);
    let up = async {
        let sent = copy(&mut tokio::io::stdin(), &mut to).await;
        let _ = to.shutdown().await;
        match sent {
            Ok(_) => std::future::pending().await,
            Err(e) => Err(e),
        }
    };
    let down = async {
        let mut out = tokio::io::stdout();
        copy(&mut from, &mut out).await?;
        out.flush().await
    };
    let end = tokio::select! {
        end = up => end,
        end = down => end,
    };
    end.map_err(|e| Error::stdio(&e))
}
