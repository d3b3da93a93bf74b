//! One folder, and writing files in it so that they are there or not, never in between.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{At, Result};

/// Called at each durable step with its name: a test stops the world there, or answers with an error.
pub type Hook = Arc<dyn Fn(&str) -> io::Result<()> + Send + Sync>;

/// What a file is called before it is whole.
pub(super) const UNFINISHED: &str = ".tmp";

/// The folder of one manager's log.
#[derive(Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    hook: Option<Hook>,
}

impl Folder {
    /// The folder at `path`, made where there is none, without what was left unfinished in it.
    pub(crate) fn open(path: &Path, hook: Option<Hook>) -> Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).at(path)?;
        let folder = Self {
            path: path.to_owned(),
            hook,
        };
        for name in folder.names()? {
            if name.ends_with(UNFINISHED) {
                folder.remove(&name)?;
            }
        }
        Ok(folder)
    }

    /// Holds the folder against another process that opens it too, for as long as the file is open.
    pub(crate) fn lock(&self) -> Result<File> {
        let folder = File::open(&self.path).at(&self.path)?;
        let locked = folder.try_lock().map_err(io::Error::from);
        locked.at(&self.path)?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names of all files, in order.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).at(&self.path)? {
            let name = entry.at(&self.path)?.file_name();
            names.extend(name.into_string());
        }
        names.sort();
        Ok(names)
    }

    /// The content of a file; none where there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.file(name);
        match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.at(&path).map(Some),
        }
    }

    /// A durable step that tests can stop at.
    pub(crate) fn step(&self, name: &str) -> Result<()> {
        sys::failpoint!(name);
        match &self.hook {
            Some(hook) => hook(name).at(&self.path),
            None => Ok(()),
        }
    }

    /// Opens a new file for writing; what has the name goes.
    pub(crate) fn create(&self, name: &str) -> Result<File> {
        let path = self.file(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&path).at(&path)
    }

    /// Puts a whole file in the place of what has the name: after a crash one of the two is there.
    /// Steps are `<step>.written` and `<step>.renamed`.
    pub(crate) fn replace(&self, name: &str, content: &[u8], step: &str) -> Result<()> {
        let unfinished = format!("{name}{UNFINISHED}");
        let path = self.file(&unfinished);
        let mut file = self.create(&unfinished)?;
        file.write_all(content).at(&path)?;
        file.sync_all().at(&path)?;
        self.step(&format!("{step}.written"))?;
        std::fs::rename(&path, self.file(name)).at(&path)?;
        self.step(&format!("{step}.renamed"))?;
        self.sync()
    }

    /// Removes a file; one that is not there is as good.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.at(&path),
        }
    }

    /// Makes names durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let folder = File::open(&self.path).at(&self.path)?;
        folder.sync_all().at(&self.path)
    }
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Folder").field(&self.path).finish()
    }
}
