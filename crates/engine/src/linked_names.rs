//! Names by which others link to a container: `web/database` is what `web` calls `database`.

use std::collections::HashMap;

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    links,
    sync::lock,
};

impl Engine {
    /// What those that link to a container call it, `web/database`; by container.
    pub(crate) fn linked_names(&self) -> HashMap<String, Vec<String>> {
        let parents = lock(&self.containers).all();
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        for parent in parents {
            parent.with_record(|r| {
                for link in &r.links {
                    let name = format!("{}/{}", r.name, link.alias);
                    all.entry(link.id.clone()).or_default().push(name);
                }
            });
        }
        all
    }

    /// Takes a link away, by its name `web/database`: from the definition of `web`, and from its hosts file if
    /// it runs. Its environment is its process's own by then.
    pub(crate) async fn remove_link(&self, name: &str) -> Result<()> {
        let other = self.find(name)?;
        let plain = name.strip_prefix('/').unwrap_or(name);
        let Some((parent, alias)) = plain.split_once('/') else {
            return Err(Error::Conflict(
                "Conflict, cannot remove the default link name of the container".into(),
            ));
        };
        let parent = self.find(parent).map_err(|_| {
            Error::Invalid(format!(
                "Cannot get parent /{parent} for link name /{plain}"
            ))
        })?;
        let _op = parent.op.lock().await;
        let link = parent.with_record(|r| r.links.iter().find(|l| l.alias == alias).cloned());
        let Some(link) = link.filter(|_| !parent.state().removed) else {
            return Err(Error::NoSuchContainer(name.into()));
        };
        self.save(&parent, |r| r.links.retain(|l| l.alias != alias))
            .await?;
        if parent.state().is_running() {
            links::forget(&parent, &other, &link);
        }
        Ok(())
    }

    /// Notes what a container that is about to go was called, for those that cannot start without it.
    pub(crate) async fn note_last_name(&self, container: &Container) -> Result<()> {
        let (id, name) = (&container.id, container.name());
        let parents = lock(&self.containers).all();
        for parent in parents {
            let stale = parent.with_record(|r| {
                let mut ours = r.links.iter().filter(|l| l.id == *id);
                ours.any(|l| l.name != name)
            });
            if stale {
                let note = |r: &mut crate::record::Record| {
                    let ours = r.links.iter_mut().filter(|l| l.id == *id);
                    ours.for_each(|l| l.name.clone_from(&name));
                };
                self.save(&parent, note).await?;
            }
        }
        Ok(())
    }
}
