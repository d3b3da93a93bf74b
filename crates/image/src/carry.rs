//! Carrying a blob from one repository to another that does not take it by itself.

use crate::blob::{Blob, BlobWriter};
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::pull::blocking;
use crate::registry::{Retry, Session, back_off};
use crate::store::Store;

impl Store {
    /// Fetches a blob into a file that is gone with what is answered. Where the connection breaks, the
    /// rest is asked for.
    pub(crate) async fn carry(&self, from: &Session, blob: &Descriptor) -> Result<Blob> {
        let what = format!("blob {}", blob.digest);
        let temp = self.0.temp.clone();
        let mut carried = Carried {
            writer: Some(blocking(move || BlobWriter::new(&temp)).await?),
            received: 0,
        };
        let mut failures = 0;
        while let Err(failed) = carried.go_on(from, blob).await {
            if !failed.again || failures >= 4 {
                return Err(failed.error);
            }
            let pause = failed.after;
            let pause = pause.unwrap_or(back_off(failures));
            tokio::time::sleep(pause).await;
            failures += 1;
        }
        let writer = carried.writer.take().ok_or(Error::Cancelled("the copy"))?;
        let whole = blocking(move || writer.finish()).await?;
        whole.check(&what, &blob.digest, blob.size)?;
        Ok(whole)
    }
}

/// A blob on its way into a file.
struct Carried {
    /// Gone where the file could not be written.
    writer: Option<BlobWriter>,
    received: u64,
}

impl Carried {
    async fn go_on(&mut self, from: &Session, blob: &Descriptor) -> Result<(), Retry> {
        let last = |error| Retry {
            error,
            again: false,
            after: None,
        };
        let mut stream = from.blob(&blob.digest, self.received).await?;
        while let Some(chunk) = stream.next().await? {
            self.received += chunk.len() as u64;
            if self.received > blob.size {
                return Err(last(Error::Size {
                    what: format!("blob {}", blob.digest),
                    expected: blob.size,
                    actual: self.received,
                }));
            }
            let writer = self.writer.take();
            let mut writer = writer.ok_or_else(|| last(Error::Cancelled("the copy")))?;
            let write = move || writer.write(&chunk).map(|()| writer);
            self.writer = Some(blocking(write).await.map_err(last)?);
        }
        Ok(())
    }
}
