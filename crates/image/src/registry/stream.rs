//! A blob's bytes as they come.

use bytes::Bytes;
use reqwest::Response;

use super::answer::{Retry, told, without_query};
use crate::error::Error;

/// A blob on its way.
#[derive(Debug)]
pub(crate) struct BlobStream {
    pub(super) response: Response,
    /// Bytes at the beginning that were received before already.
    pub(super) skip: u64,
}

impl BlobStream {
    /// The next bytes; none at the end of the answer, whether that is all or not.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Retry> {
        loop {
            let chunk = self.response.chunk().await.map_err(|e| Retry {
                error: Error::Registry {
                    registry: format!("Get \"{}\"", without_query(self.response.url())),
                    detail: told(&e),
                },
                again: true,
                after: None,
            })?;
            let Some(mut chunk) = chunk else {
                return Ok(None);
            };
            if self.skip >= chunk.len() as u64 {
                self.skip -= chunk.len() as u64;
                continue;
            }
            let skip = usize::try_from(std::mem::take(&mut self.skip)).unwrap_or(usize::MAX);
            return Ok(Some(chunk.split_off(skip)));
        }
    }
}
