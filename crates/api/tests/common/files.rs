//! Files in containers, and what is made of them.

use api::backend::{Body, CommitOptions, Files, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use types::{
    Failure,
    container::{FilesystemChange, PathStat},
    options::PlaceOptions,
};

use super::{Fake, backends::known};

fn body(text: &'static str) -> Body {
    stream::once(async move { Ok(Bytes::from_static(text.as_bytes())) }).boxed()
}

fn stat(path: &str) -> PathStat {
    PathStat {
        name: path.to_owned(),
        size: 5,
        mode: 0o120_777,
        mtime: (1, 500_000_000),
        link_target: "/there".to_owned(),
    }
}

#[async_trait]
impl Files for Fake {
    async fn path_stat(&self, name: &str, path: &str) -> Result<PathStat> {
        self.note(format!("path {name} {path}"));
        known(name)?;
        Ok(stat(path))
    }
    async fn read_archive(&self, name: &str, path: &str) -> Result<(PathStat, Body)> {
        self.note(format!("read {name} {path}"));
        known(name)?;
        Ok((stat(path), body("archive")))
    }
    async fn write_archive(
        &self,
        name: &str,
        path: &str,
        options: PlaceOptions,
        archive: Body,
    ) -> Result<()> {
        known(name)?;
        let whole = archive.try_fold(0, |sum, part| async move { Ok(sum + part.len()) });
        let bytes = whole.await.map_err(|e| Failure::system(e.to_string()))?;
        let PlaceOptions {
            keep_kinds,
            to_user,
        } = options;
        self.note(format!(
            "write {name} {path} {keep_kinds} {to_user} {bytes}"
        ));
        Ok(())
    }
    async fn export(&self, name: &str) -> Result<Body> {
        self.note(format!("export {name}"));
        known(name)?;
        Ok(body("everything"))
    }
    async fn changes(&self, name: &str) -> Result<Vec<FilesystemChange>> {
        self.note(format!("changes {name}"));
        known(name)?;
        Ok(Vec::new())
    }
    async fn commit(&self, name: &str, options: CommitOptions) -> Result<String> {
        self.note(format!("commit {name} {options:?}"));
        known(name)?;
        Ok("sha256:made".to_owned())
    }
}
