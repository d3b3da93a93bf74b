//! Pushing what a build has just made: by what it is, since its name may be another's by then.

use tokio_util::sync::CancellationToken;
use types::image::RegistryAuth;
use types::reference::Reference;

use crate::error::{Error, Result};
use crate::index::{Entry, OUT_OF};
use crate::mountable::repositories;
use crate::progress::Progress;
use crate::pull::OnProgress;
use crate::push::Pushed;
use crate::store::Store;

impl Store {
    /// Pushes what was made just now, a manifest or an index, under a name, whatever has that name
    /// here meanwhile.
    ///
    /// # Errors
    /// As [`Self::push`], also when it is gone.
    pub async fn push_made(
        &self,
        reference: &Reference,
        digest: &str,
        auth: Option<&RegistryAuth>,
        progress: OnProgress<'_>,
        cancel: CancellationToken,
    ) -> Result<Option<Pushed>> {
        let name = reference.name();
        progress(Progress::Status(format!(
            "The push refers to repository [{name}]"
        )));
        let gone = || Error::NoSuchImage(digest.to_owned());
        let (entry, from) = {
            let state = self.state();
            let index = |e: &&Entry| {
                e.manifest
                    .annotations
                    .get(OUT_OF)
                    .is_some_and(|i| i == digest)
            };
            let own = |e: &&Entry| e.manifest.digest.to_string() == digest;
            let single = state.entries.iter().find(own).cloned();
            let entry = match single {
                Some(mut entry) => {
                    entry.manifest.annotations.remove(OUT_OF);
                    entry
                }
                None => {
                    // The one that has a name, rather than another platform's.
                    let mut of_it = state.entries.iter().filter(index);
                    let named = of_it.clone().find(|e| e.name.is_some());
                    let any = named.or_else(|| of_it.next());
                    any.cloned().ok_or_else(gone)?
                }
            };
            let from = repositories(&state.entries, reference, &state.manifests);
            (entry, from)
        };
        let entry = Entry {
            name: Some(reference.clone()),
            ..entry
        };
        if entry.manifest.annotations.contains_key(OUT_OF) && self.whole_index(&entry).is_none() {
            return Err(gone());
        }
        let entries = std::slice::from_ref(&entry);
        let pushed = self.push_entries(reference, entries, &from, (None, auth), progress, &cancel);
        Ok(pushed.await?.pop())
    }
}
