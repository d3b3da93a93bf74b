//! All containers of the daemon, found by identifier, by name, or by how an identifier begins.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use types::id;

use crate::{
    container::Container,
    error::{Error, Result},
};

/// All containers.
#[derive(Default)]
pub(crate) struct Index {
    by_id: BTreeMap<String, Arc<Container>>,
    by_name: HashMap<String, String>,
}

impl Index {
    /// The container that `name` means.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Container>> {
        if let Some(found) = self.by_id.get(name) {
            return Ok(Arc::clone(found));
        }
        let plain = name.strip_prefix('/').unwrap_or(name);
        if let Some(found) = self.by_name.get(plain).and_then(|id| self.by_id.get(id)) {
            return Ok(Arc::clone(found));
        }
        if let Some(found) = plain
            .split_once('/')
            .and_then(|(parent, alias)| self.linked(parent, alias))
        {
            return Ok(found);
        }
        if id::is_prefix(name) {
            let mut matches = self
                .by_id
                .range(name.to_owned()..)
                .take_while(|(id, _)| id.starts_with(name));
            match (matches.next(), matches.next()) {
                (Some((_, found)), None) => return Ok(Arc::clone(found)),
                (Some(_), Some(_)) => return Err(Error::AmbiguousPrefix(name.into())),
                (None, _) => {}
            }
        }
        Err(Error::NoSuchContainer(name.into()))
    }

    /// What the container `parent` calls `alias` by one of its links.
    fn linked(&self, parent: &str, alias: &str) -> Option<Arc<Container>> {
        let parent = self.by_id.get(self.by_name.get(parent)?)?;
        let id = parent.with_record(|r| {
            let link = r.links.iter().find(|l| l.alias == alias)?;
            Some(link.id.clone())
        })?;
        self.by_id.get(&id).cloned()
    }

    /// Keeps `name` for `id`.
    pub(crate) fn reserve(&mut self, name: &str, id: &str) -> Result<()> {
        if let Some(other) = self.by_name.get(name) {
            return Err(Error::NameInUse {
                name: name.into(),
                id: other.clone(),
            });
        }
        self.by_name.insert(name.into(), id.into());
        Ok(())
    }

    /// Gives up a reserved name.
    pub(crate) fn release(&mut self, name: &str, id: &str) {
        // Only if nobody else has taken it meanwhile.
        if self.by_name.get(name).is_some_and(|owner| owner == id) {
            self.by_name.remove(name);
        }
    }

    /// Adds a container whose name is reserved.
    pub(crate) fn add(&mut self, container: &Arc<Container>) {
        self.by_id
            .insert(container.id.clone(), Arc::clone(container));
    }

    /// Takes a container and its name away.
    pub(crate) fn remove(&mut self, container: &Container) {
        self.by_id.remove(&container.id);
        self.by_name.remove(&container.name());
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.by_id.values().cloned().collect()
    }
}
