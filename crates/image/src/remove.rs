//! Removing names and images, by Docker's rules and in its words.

use std::collections::HashSet;

use types::reference::Reference;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::index::drop_name;
use crate::lookup::find;
use crate::manifest::Descriptor;
use crate::store::{State, Store};

/// One thing that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// A name, as people know it.
    Untagged(String),
    /// An image's id, or the chain id of a layer.
    Deleted(String),
}

/// How a container uses an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It runs.
    Running,
    /// It does not run. It keeps its layers when the image goes.
    Stopped,
    /// It does not run, and has it mounted: it could not start again without it.
    Mounted,
}

/// Who uses an image: containers' ids, and how they do.
pub type InUse<'a> = &'a dyn Fn(&str) -> Vec<(String, Use)>;

/// What is to be done, decided before anything is.
struct Plan {
    names: Vec<Reference>,
    /// The image itself, when it goes.
    image: Option<Digest>,
    /// It was asked to go itself, not only its name.
    by_id: bool,
}

fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

fn conflict(image: &Image, hard: bool, why: &str) -> Error {
    let force = if hard {
        "cannot be forced"
    } else {
        "must be forced"
    };
    Error::Conflict(format!(
        "conflict: unable to delete {} ({force}) - {why}",
        image.id.short()
    ))
}

/// Whether all names are of one repository and at most one of them is a tag.
fn is_single(names: &[Reference]) -> bool {
    if names.len() <= 1 {
        return true;
    }
    let mut tags = names.iter().filter(|name| name.digest().is_none());
    let single = tags.next();
    if tags.next().is_some() {
        return false;
    }
    let digests: HashSet<_> = names
        .iter()
        .filter(|name| name.digest().is_some())
        .map(Reference::name)
        .collect();
    let repository = single.or(names.first()).map(Reference::name);
    digests.len() == 1 && repository.is_some_and(|name| digests.contains(&name))
}

fn names_of(image: &Image) -> Vec<Reference> {
    image.tags.iter().chain(&image.digests).cloned().collect()
}

fn check_containers(image: &Image, users: &[(String, Use)], force: bool) -> Result<()> {
    for (needs, word) in [
        (Use::Running, "used by running"),
        (Use::Mounted, "mounted into"),
    ] {
        if let Some((id, _)) = users.iter().find(|(_, how)| *how == needs) {
            let why = format!("image is being {word} container {}", short(id));
            return Err(conflict(image, true, &why));
        }
    }
    match users.first() {
        Some((id, _)) if !force => {
            let why = format!("image is being used by stopped container {}", short(id));
            Err(conflict(image, false, &why))
        }
        _ => Ok(()),
    }
}

fn plan(state: &State, given: &str, force: bool, users: &[(String, Use)]) -> Result<Plan> {
    let image = find(state, given)?;
    let mut names = names_of(&image);
    let by_id = image.id.hex().starts_with(given) || image.id.to_string().starts_with(given);
    if by_id {
        if !is_single(&names) && !force {
            return Err(conflict(
                &image,
                false,
                "image is referenced in multiple repositories",
            ));
        }
        check_containers(&image, users, force)?;
        return Ok(Plan {
            names,
            image: Some(image.id.clone()),
            by_id,
        });
    }
    if !force
        && is_single(&names)
        && let Some((container, _)) = users.first()
    {
        return Err(Error::Conflict(format!(
            "conflict: unable to remove repository reference \"{given}\" (must force) - \
             container {} is using its referenced image {}",
            short(container),
            image.id.short()
        )));
    }
    let reference = Reference::parse(given)?;
    let reference = match reference.digest() {
        Some(digest) => reference.with_digest(digest)?,
        None => reference.with_default_tag(),
    };
    names.retain(|name| *name != reference);
    let mut removed = vec![reference.clone()];
    // Digests are only kept beside a tag of the same repository.
    let same = |name: &Reference| name.name() == reference.name();
    if reference.digest().is_none() && !names.iter().any(|n| n.digest().is_none() && same(n)) {
        removed.extend(names.extract_if(.., |name| same(name)));
    }
    if !names.is_empty() {
        return Ok(Plan {
            names: removed,
            image: None,
            by_id,
        });
    }
    match check_containers(&image, users, force) {
        // The name goes all the same; the image stays for its container.
        Err(error) if force => {
            tracing::debug!(%error, image = %image.id, "image loses its name but stays");
            Ok(Plan {
                names: removed,
                image: None,
                by_id,
            })
        }
        Err(error) => Err(error),
        Ok(()) => Ok(Plan {
            names: removed,
            image: Some(image.id.clone()),
            by_id,
        }),
    }
}

impl Store {
    /// Removes a name, and with its last one the image; or an image by its id with all names.
    /// Content without a further user is freed.
    ///
    /// Images pulled or loaded have no parents, so `_noprune`, which would keep untagged
    /// parents, has nothing to do yet.
    ///
    /// # Errors
    /// When there is no such image or something uses it, in Docker's words.
    pub fn remove(
        &self,
        name_or_id: &str,
        force: bool,
        _noprune: bool,
        in_use: InUse<'_>,
    ) -> Result<Vec<Deleted>> {
        let mut gone = Vec::new();
        {
            let _only = self.committing();
            // Asked without the state's lock: the answer may itself need the store.
            let users = in_use(&self.get(name_or_id)?.id.to_string());
            let mut chains = None;
            // The other images of an index go with its name, unless containers are of them.
            let containers: HashSet<Digest> = {
                let state = self.state();
                state.containers.values().map(|c| c.image.clone()).collect()
            };
            self.change_entries_locked(|state| {
                let plan = plan(state, name_or_id, force, &users)?;
                let mut entries = state.entries.clone();
                let kept = |manifest: &Descriptor| {
                    let image = state.manifests.get(&manifest.digest);
                    image.is_some_and(|m| containers.contains(&m.config.digest))
                };
                for name in &plan.names {
                    drop_name(&mut entries, name);
                    gone.push(Deleted::Untagged(name.familiar()));
                }
                // Another name's index may count on it: then it goes with that name.
                let goes = plan
                    .image
                    .as_ref()
                    .filter(|id| plan.by_id || !self.keep_for_indexes(state, &mut entries, id));
                if let Some(id) = goes {
                    entries.retain(|entry| {
                        let manifest = state.manifests.get(&entry.manifest.digest);
                        manifest.is_none_or(|manifest| manifest.config.digest != *id)
                    });
                    gone.push(Deleted::Deleted(id.to_string()));
                    chains = state.images.get(id).map(|image| image.chain_ids());
                }
                crate::indexes::drop_rest(&state.entries, &mut entries, kept);
                Ok(entries)
            })?;
            gone.extend(self.unused_chains(chains.unwrap_or_default()));
        }
        self.gc_later();
        Ok(gone)
    }

    /// Which of these chains no image and no container needs any more, topmost first.
    fn unused_chains(&self, chains: Vec<Digest>) -> Vec<Deleted> {
        let state = self.state();
        let mut used: HashSet<Digest> = state
            .images
            .values()
            .flat_map(|image| image.chain_ids())
            .collect();
        used.extend(
            state
                .containers
                .values()
                .flat_map(|container| container.chain_ids()),
        );
        let unused = chains
            .into_iter()
            .rev()
            .filter(|chain| !used.contains(chain));
        unused
            .map(|chain| Deleted::Deleted(chain.to_string()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<Reference> {
        texts
            .iter()
            .map(|text| Reference::parse(text).unwrap())
            .collect()
    }

    #[test]
    fn single_means_one_tag_and_its_own_digests() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        let other = format!("b@sha256:{}", "0".repeat(64));
        assert!(is_single(&[]));
        assert!(is_single(&names(&["a:1"])));
        assert!(is_single(&names(&["a:1", &digest])));
        assert!(!is_single(&names(&["a:1", "a:2"])));
        assert!(!is_single(&names(&["a:1", &other])));
        assert!(!is_single(&names(&["a:1", &digest, &other])));
    }
}
