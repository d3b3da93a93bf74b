//! Where the API's backends meet those who do the work.

mod builds;
mod containers;
mod files;
mod filters;
mod gc;
mod image_work;
mod images;
mod life;
mod live;
mod networks;
mod registries;
mod registry_work;
mod system;
mod volumes;
mod web;

pub(crate) use builds::Builds;
pub(crate) use containers::Containers;
pub(crate) use gc::ImagePolicy;
pub(crate) use images::Images;
pub(crate) use system::System;

use types::Failure;

/// What a client is told whose work has no thread, or lost it.
fn no_thread(error: std::io::Error) -> Failure {
    Failure::system(format!("a thread for the client's images: {error}"))
}

/// Runs `work` to its end even when the client that asked for it goes away.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = engine::Result<T>> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Failure::system(format!(
            "a task of the daemon failed: {error}"
        ))),
    }
}
