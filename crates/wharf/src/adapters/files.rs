//! Files in containers, and what is made of them, for the API.

use std::sync::Arc;

use api::backend::{self, Body, CommitOptions, Result};
use async_trait::async_trait;
use engine::Commit;
use types::{
    Failure,
    container::{FilesystemChange, PathStat},
    options::PlaceOptions,
};

use super::{Containers, images::reader, to_the_end};

#[async_trait]
impl backend::Files for Containers {
    async fn path_stat(&self, name: &str, path: &str) -> Result<PathStat> {
        Ok(self.engine.path_stat(name, path).await?)
    }

    async fn read_archive(&self, name: &str, path: &str) -> Result<(PathStat, Body)> {
        Ok(self.engine.read_archive(name, path).await?)
    }

    async fn write_archive(
        &self,
        name: &str,
        path: &str,
        options: PlaceOptions,
        archive: Body,
    ) -> Result<()> {
        let (engine, name) = self.parts(name);
        let (path, source) = (path.to_owned(), reader(archive));
        // To its end when the client goes: then the archive ends, and with it the work.
        to_the_end(async move { engine.write_archive(&name, &path, options, source).await }).await
    }

    async fn export(&self, name: &str) -> Result<Body> {
        Ok(self.engine.export(name).await?)
    }

    async fn changes(&self, name: &str) -> Result<Vec<FilesystemChange>> {
        Ok(self.engine.changes(name).await?)
    }

    async fn commit(&self, name: &str, options: CommitOptions) -> Result<String> {
        let reference = match options.reference.as_str() {
            "" => None,
            text => {
                let reference = image::Reference::parse(text).map_err(Failure::invalid)?;
                if reference.digest().is_some() {
                    return Err(Failure::invalid("cannot commit to digest reference"));
                }
                Some(reference)
            }
        };
        let commit = Commit {
            reference,
            author: options.author,
            comment: options.comment,
            config: options.config,
            changes: options.changes,
            pause: options.pause,
        };
        let engine = Arc::clone(&self.engine);
        let name = name.to_owned();
        // The client's going away ends the work, and what it began is undone.
        let cancel = image::CancellationToken::new();
        let _guard = cancel.clone().drop_guard();
        to_the_end(async move { engine.commit(&name, commit, cancel).await }).await
    }
}
