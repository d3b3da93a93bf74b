//! The store: everything about images below one directory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::reference::Reference;

use crate::blob::{Blobs, Temp, TempPath};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::index::{self, Entry, give_name};
use crate::layer::Layers;
use crate::layout::{make_dir, set_aside_leftovers};
use crate::manifest::{self, Descriptor, Document, MAX_CONFIG, MAX_MANIFEST, Manifest};
use crate::registry::Registries;
use crate::snapshot::ContainerMeta;
use crate::unpack::Limits;

/// How a store behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Registries (`host[:port]` or a network `10.0.0.0/8`) that may be spoken to without
    /// verified TLS. Loopback addresses always may.
    pub insecure_registries: Vec<String>,
    /// Where to look first for what Docker Hub has: addresses with a scheme.
    pub registry_mirrors: Vec<String>,
    /// Where registries are that are not where their names say, by those names. For tests, which
    /// have a Docker Hub of their own; no setting of the daemon leads here.
    pub elsewhere: BTreeMap<String, String>,
    /// Where certificates for single registries are, `<dir>/<host[:port]>/*.crt`.
    pub certs_dir: Option<PathBuf>,
    /// Layers fetched at the same time.
    pub max_concurrent_downloads: usize,
    /// Layers sent at the same time.
    pub max_concurrent_uploads: usize,
    /// How often a broken download is tried in all.
    pub max_download_attempts: u32,
    /// What a layer may ask for.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            insecure_registries: Vec::new(),
            registry_mirrors: Vec::new(),
            elsewhere: BTreeMap::new(),
            certs_dir: None,
            max_concurrent_downloads: 3,
            max_concurrent_uploads: 5,
            max_download_attempts: 5,
            limits: Limits::default(),
        }
    }
}

/// Content, unpacked layers, references and containers' writable layers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) options: Options,
    pub(crate) temp: Arc<Temp>,
    pub(crate) blobs: Blobs,
    pub(crate) layers: Arc<Layers>,
    pub(crate) registries: Registries,
    /// Held while the table changes, so that slow writes do not keep readers out.
    commit: Mutex<()>,
    /// Held while files of the build cache's records change.
    pub(crate) cache_files: Mutex<()>,
    state: Mutex<State>,
    pub(crate) busy: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    /// Layers of which it was seen that a blob unpacks to them, each with its blob.
    pub(crate) verified: Mutex<HashSet<(Digest, Digest)>>,
    pub(crate) downloads: tokio::sync::Semaphore,
    pub(crate) uploads: tokio::sync::Semaphore,
}

/// What is known in memory; always to be had again from the disk.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) entries: Vec<Entry>,
    /// Lines of the table whose documents could not be read, though they may be whole: they stay in
    /// it, and nothing is collected, because nobody knows what they need.
    pub(crate) unread: Vec<Entry>,
    pub(crate) manifests: HashMap<Digest, Arc<Manifest>>,
    pub(crate) images: BTreeMap<Digest, Arc<Image>>,
    pub(crate) containers: HashMap<String, ContainerMeta>,
    /// What builds remember.
    pub(crate) cache: crate::cache::Records,
    /// Blobs and layers that an operation under way relies on.
    pub(crate) pins: HashMap<Digest, usize>,
}

impl Store {
    /// Opens the store below `root` (the daemon's data root), making what is missing and
    /// removing what an earlier end left half-done.
    ///
    /// # Errors
    /// When a directory cannot be made or the reference table cannot be read.
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        let root = root.join("image");
        make_dir(&root)?;
        for part in [
            "blobs",
            "blobs/sha256",
            "layers",
            "containers",
            "tmp",
            "empty",
            "packed",
            "cache",
        ] {
            make_dir(&root.join(part))?;
        }
        let temp = Arc::new(Temp::new(root.join("tmp")));
        let mut trash = set_aside_leftovers(&temp)?;
        let layout = root.join("oci-layout");
        if !layout.exists() {
            index::replace(&layout, &temp, b"{\"imageLayoutVersion\":\"1.0.0\"}")?;
        }
        let layers = Arc::new(Layers::open(root.join("layers"), &temp, &mut trash)?);
        let containers = crate::snapshot::read_all(&root.join("containers"), &temp)?;
        let cache = crate::cache::read_all(&root.join("cache"), &layers)?;
        let inner = Inner {
            blobs: Blobs::new(root.join("blobs/sha256")),
            layers,
            registries: Registries::new(&options)?,
            commit: Mutex::new(()),
            cache_files: Mutex::default(),
            state: Mutex::new(State {
                containers,
                cache,
                ..State::default()
            }),
            busy: Mutex::new(HashMap::new()),
            verified: Mutex::default(),
            downloads: tokio::sync::Semaphore::new(options.max_concurrent_downloads.max(1)),
            uploads: tokio::sync::Semaphore::new(options.max_concurrent_uploads.max(1)),
            temp,
            options,
            root,
        };
        let store = Self(Arc::new(inner));
        store.load_entries()?;
        trash.extend(store.gc()?);
        store.remove_later(trash);
        store.0.layers.sync_later(&store.0.temp);
        Ok(store)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn committing(&self) -> MutexGuard<'_, ()> {
        self.0.commit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the table. An entry whose documents are damaged is left out and named: the other
    /// images must stay usable. So is one that cannot be read now, but that one is not forgotten.
    fn load_entries(&self) -> Result<()> {
        let entries = index::read(&self.0.root.join("index.json"))?;
        let mut state = self.state();
        for entry in entries {
            match self.load_image(&mut state, &entry.manifest) {
                Ok(()) => state.entries.push(entry),
                Err(error) => {
                    let name = entry
                        .name
                        .as_ref()
                        .map_or("<none>".to_owned(), Reference::familiar);
                    if is_lost(&error) {
                        tracing::error!(%error, image = name, "image is damaged and left out; pull it again");
                    } else {
                        tracing::error!(%error, image = name, "image cannot be read and is left out; \
                            until it can, or is pulled again, no unused image content is removed");
                        state.unread.push(entry);
                    }
                }
            }
        }
        self.name_images(&mut state);
        Ok(())
    }

    fn load_image(&self, state: &mut State, descriptor: &Descriptor) -> Result<()> {
        if state.manifests.contains_key(&descriptor.digest) {
            return Ok(());
        }
        let what = format!("manifest {}", descriptor.digest);
        let bytes = self.0.blobs.read(&descriptor.digest, MAX_MANIFEST)?;
        let Document::Manifest(manifest) = manifest::parse(&what, &bytes, None)? else {
            return Err(Error::bad_manifest(what, "it is an index"));
        };
        if !state.images.contains_key(&manifest.config.digest) {
            let bytes = self.0.blobs.read(&manifest.config.digest, MAX_CONFIG)?;
            let config = parse_config(&manifest.config.digest, &bytes)?;
            let image = new_image(&manifest, &descriptor.digest, Arc::new(config));
            state.images.insert(image.id.clone(), Arc::new(image));
        }
        state
            .manifests
            .insert(descriptor.digest.clone(), Arc::new(manifest));
        Ok(())
    }

    /// Brings the images' names up to date with the entries, and forgets images without any.
    pub(crate) fn name_images(&self, state: &mut State) {
        let State {
            entries,
            manifests,
            images,
            ..
        } = state;
        manifests.retain(|digest, _| entries.iter().any(|e| e.manifest.digest == *digest));
        let mut named: BTreeMap<Digest, Arc<Image>> = BTreeMap::new();
        for entry in entries.iter() {
            let Some(id) = manifests
                .get(&entry.manifest.digest)
                .map(|m| m.config.digest.clone())
            else {
                continue;
            };
            let Some(old) = images.get(&id) else { continue };
            let image = named.entry(id).or_insert_with(|| {
                let mut image = Image::clone(old);
                image.tags.clear();
                image.digests.clear();
                image.manifest = entry.manifest.digest.clone();
                image.last_tag_time = None;
                image.size = self.image_size(&image.config);
                Arc::new(image)
            });
            let image = Arc::make_mut(image);
            match &entry.name {
                Some(name) if name.digest().is_some() => image.digests.push(name.clone()),
                Some(name) => image.tags.push(name.clone()),
                None => {}
            }
            image.last_tag_time = entry.tagged.clone().max(image.last_tag_time.take());
        }
        *images = named;
    }

    fn image_size(&self, config: &ImageConfig) -> u64 {
        let sizes = config
            .rootfs
            .diff_ids
            .iter()
            .filter_map(|id| self.0.layers.get(id));
        sizes.map(|meta| meta.size).sum()
    }

    /// Puts an image into the table. Its blobs and layers are all in the store already.
    /// The names are taken from whatever image had them; one that thereby loses its last stays
    /// without a name, as Docker's do.
    pub(crate) fn commit_image(
        &self,
        descriptor: Descriptor,
        manifest: &Manifest,
        config: ImageConfig,
        names: &[Reference],
    ) -> Result<Arc<Image>> {
        self.0.blobs.sync()?;
        self.commit_synced(descriptor, manifest, config, names)
    }

    /// [`Self::commit_image`] where the names of its blobs survive a power cut already.
    pub(crate) fn commit_synced(
        &self,
        descriptor: Descriptor,
        manifest: &Manifest,
        config: ImageConfig,
        names: &[Reference],
    ) -> Result<Arc<Image>> {
        let id = manifest.config.digest.clone();
        // Held from here on, because every change forgets images that no entry names.
        let only = self.committing();
        {
            let mut state = self.state();
            let image = new_image(manifest, &descriptor.digest, Arc::new(config));
            state
                .images
                .entry(id.clone())
                .or_insert_with(|| Arc::new(image));
            state
                .manifests
                .insert(descriptor.digest.clone(), Arc::new(manifest.clone()));
        }
        self.change_entries_locked(|state| {
            let mut entries = state.entries.clone();
            for name in names {
                give_name(&mut entries, name, &descriptor);
            }
            if !entries
                .iter()
                .any(|e| e.manifest.digest == descriptor.digest)
            {
                entries.push(Entry {
                    name: None,
                    manifest: descriptor.clone(),
                    tagged: None,
                });
            }
            Ok(entries)
        })?;
        drop(only);
        self.0.layers.sync_later(&self.0.temp);
        let image = self.state().images.get(&id).cloned();
        image.ok_or_else(|| Error::NoSuchImage(id.to_string()))
    }

    /// Changes the table: computed from the present one, written durably, then seen by readers.
    pub(crate) fn change_entries(
        &self,
        change: impl FnOnce(&State) -> Result<Vec<Entry>>,
    ) -> Result<()> {
        let _only = self.committing();
        self.change_entries_locked(change)
    }

    /// The same for who holds [`Self::committing`].
    pub(crate) fn change_entries_locked(
        &self,
        change: impl FnOnce(&State) -> Result<Vec<Entry>>,
    ) -> Result<()> {
        let (entries, unread) = {
            let state = self.state();
            let entries = change(&state)?;
            if entries == state.entries {
                return Ok(());
            }
            let replaced = |unread: &Entry| {
                entries.iter().any(|e| match &unread.name {
                    Some(_) => e.name == unread.name,
                    None => e.manifest.digest == unread.manifest.digest,
                })
            };
            let mut unread = state.unread.clone();
            unread.retain(|entry| !replaced(entry));
            (entries, unread)
        };
        let table = self.0.root.join("index.json");
        let written = match unread.as_slice() {
            [] => index::write(&table, &self.0.temp, &entries),
            some => index::write(&table, &self.0.temp, &[&entries, some].concat()),
        };
        let mut state = self.state();
        if written.is_ok() {
            state.entries = entries;
            state.unread = unread;
        }
        self.name_images(&mut state);
        written
    }

    /// Keeps content from being collected while an operation relies on it.
    pub(crate) fn pin(&self, digests: impl IntoIterator<Item = Digest>) -> Pins {
        let digests: Vec<_> = digests.into_iter().collect();
        let mut state = self.state();
        for digest in &digests {
            *state.pins.entry(digest.clone()).or_default() += 1;
        }
        Pins {
            store: self.clone(),
            digests,
        }
    }

    /// Removes files without keeping the caller waiting.
    pub(crate) fn remove_later(&self, trash: Vec<TempPath>) {
        if trash.is_empty() {
            return;
        }
        // If no thread can be had, the closure is dropped here and the trash with it.
        let _ = std::thread::Builder::new()
            .name("image-trash".to_owned())
            .spawn(|| drop(trash));
    }

    /// Changes which registries may be spoken to without verified TLS, and Docker Hub's mirrors,
    /// for whatever begins from now on.
    ///
    /// # Errors
    /// When one of them is not valid; nothing has changed then.
    pub fn change_registries(&self, insecure: &[String], mirrors: &[String]) -> Result<()> {
        self.0.registries.change(insecure, mirrors)
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.0.root
    }
}

/// Content kept from being collected, while it lives.
#[derive(Debug)]
pub(crate) struct Pins {
    store: Store,
    digests: Vec<Digest>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut state = self.store.state();
        for digest in &self.digests {
            if let Some(count) = state.pins.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    state.pins.remove(digest);
                }
            }
        }
    }
}

/// Whether what an entry needs is gone or damaged for good.
fn is_lost(error: &Error) -> bool {
    match error {
        Error::Digest { .. } => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

pub(crate) fn parse_config(digest: &Digest, bytes: &[u8]) -> Result<ImageConfig> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::bad_manifest(format!("image configuration {digest}"), e.to_string()))
}

fn new_image(manifest: &Manifest, digest: &Digest, config: Arc<ImageConfig>) -> Image {
    Image {
        id: manifest.config.digest.clone(),
        tags: Vec::new(),
        digests: Vec::new(),
        manifest: digest.clone(),
        config,
        size: 0,
        last_tag_time: None,
    }
}
