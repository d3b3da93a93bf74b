//! Builds that only pretend.

use api::backend::{Attachment, Body, Builds, Output, Progress, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use types::{
    build::{BuildRequest, ContextAnswer, PruneAnswer, PruneRequest, Record},
    image::ProgressLine,
    options::StdStream,
};

use super::Fake;

async fn length(mut body: Body) -> usize {
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        length += chunk.map_or(0, |c| c.len());
    }
    length
}

#[async_trait]
impl Builds for Fake {
    async fn context(&self, update: Body) -> Result<ContextAnswer> {
        let length = length(update).await;
        self.note(format!("context {length}"));
        Ok(ContextAnswer::default())
    }
    async fn contents(&self, contents: Body) -> Result<()> {
        let length = length(contents).await;
        self.note(format!("contents {length}"));
        Ok(())
    }
    async fn session(&self, request: BuildRequest) -> Result<Attachment> {
        self.note(format!("session {:?}", request.tags));
        let told = stream::iter([Ok((StdStream::Out, Bytes::from_static(b"{}\n")))]);
        Ok(Attachment {
            output: Output {
                tty: false,
                chunks: told.boxed(),
            },
            input: None,
            detached: Box::new(|| ()),
        })
    }
    async fn build(&self, request: BuildRequest, archive: Body, quiet: bool) -> Result<Progress> {
        let length = length(archive).await;
        self.note(format!("build {quiet} {length} {request:?}"));
        let line = ProgressLine {
            stream: Some("built\n".into()),
            ..ProgressLine::default()
        };
        Ok(stream::iter([line]).boxed())
    }
    async fn cancel(&self, id: &str) -> Result<()> {
        self.note(format!("cancel {id}"));
        Ok(())
    }
    async fn records(&self) -> Result<Vec<Record>> {
        Ok(Vec::new())
    }
    async fn prune(&self, request: PruneRequest) -> Result<PruneAnswer> {
        self.note(format!("prune cache {request:?}"));
        Ok(PruneAnswer::default())
    }
}
