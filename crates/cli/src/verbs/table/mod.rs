//! Which verbs there are.

mod building;
mod containers;
mod files;
mod image_work;
mod images;
mod life;
mod live;
mod manifests;
mod networks;
mod settings;
mod system;
mod volumes;

use super::Verb;

/// Verbs that only hold others.
pub(crate) const GROUPS: &[(&str, &str)] = &[
    ("builder", "Manage builds"),
    ("buildx", "Manage builds, under the name of Docker's plugin"),
    ("container", "Manage containers"),
    ("context", "Manage contexts"),
    ("image", "Manage images"),
    ("manifest", "Manage image manifests and manifest lists"),
    ("network", "Manage networks"),
    ("registry", "See and remove what is in registries"),
    ("system", "Manage the daemon"),
    ("volume", "Manage volumes"),
];

/// Verbs that no list shows: other programs call them.
pub(crate) const HIDDEN: &[&str] = &["system dial-stdio"];

/// Docker's verbs that wharf does not have yet.
pub(crate) const MISSING: &[&str] = &[
    "buildx bake",
    "buildx create",
    "buildx history",
    "buildx imagetools",
    "buildx rm",
    "buildx stop",
    "buildx use",
    "checkpoint",
    "compose",
    "config",
    "node",
    "plugin",
    "secret",
    "service",
    "stack",
    "swarm",
    "trust",
];

const SECTIONS: &[&[Verb]] = &[
    building::VERBS,
    containers::VERBS,
    files::VERBS,
    life::VERBS,
    live::VERBS,
    images::VERBS,
    image_work::VERBS,
    manifests::VERBS,
    networks::VERBS,
    system::VERBS,
    settings::VERBS,
    volumes::VERBS,
];

/// All verbs.
pub(crate) fn all() -> impl Iterator<Item = &'static Verb> {
    SECTIONS.iter().copied().flatten()
}
