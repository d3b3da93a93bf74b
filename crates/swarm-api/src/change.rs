//! Changes of the store: what its log is made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::object::{Cluster, Config, Meta, Node, Secret, Service, Task};

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Cluster,
    Node,
    Service,
    Task,
    Secret,
    Config,
}

impl Kind {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Node => "node",
            Self::Service => "service",
            Self::Task => "task",
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its identifier.
    pub id: Id,
}

/// Any object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Object {
    Cluster(Arc<Cluster>),
    Node(Arc<Node>),
    Service(Arc<Service>),
    Task(Arc<Task>),
    Secret(Arc<Secret>),
    Config(Arc<Config>),
}

macro_rules! for_each {
    ($object:expr, $it:ident => $does:expr) => {
        match $object {
            Object::Cluster($it) => $does,
            Object::Node($it) => $does,
            Object::Service($it) => $does,
            Object::Task($it) => $does,
            Object::Secret($it) => $does,
            Object::Config($it) => $does,
        }
    };
}

macro_rules! from {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Object {
            fn from(it: $kind) -> Self {
                Self::$kind(Arc::new(it))
            }
        }
    )*};
}

from!(Cluster, Node, Service, Task, Secret, Config);

impl Object {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Cluster(_) => Kind::Cluster,
            Self::Node(_) => Kind::Node,
            Self::Service(_) => Kind::Service,
            Self::Task(_) => Kind::Task,
            Self::Secret(_) => Kind::Secret,
            Self::Config(_) => Kind::Config,
        }
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &Id {
        for_each!(self, it => &it.id)
    }

    /// What every object has.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        for_each!(self, it => &it.meta)
    }

    /// The same, to be changed: a copy is made where others hold the object.
    pub fn meta_mut(&mut self) -> &mut Meta {
        for_each!(self, it => &mut Arc::make_mut(it).meta)
    }

    /// Which it is.
    #[must_use]
    pub fn key(&self) -> Key {
        Key {
            kind: self.kind(),
            id: self.id().clone(),
        }
    }
}

/// One change. The version that it was made from is in the object's `meta.version`: 0 makes a new
/// one, and any other must be that of the stored one, or the change is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The object as it is to be.
    Put(Object),
    /// It is to be gone.
    Remove {
        /// Which.
        key: Key,
        /// The version that whoever decided this saw.
        version: u64,
    },
}

impl Change {
    /// The object's new state.
    pub fn put(object: impl Into<Object>) -> Self {
        Self::Put(object.into())
    }

    /// The object is to be gone.
    #[must_use]
    pub fn remove(object: &Object) -> Self {
        Self::Remove {
            key: object.key(),
            version: object.meta().version,
        }
    }

    /// What is changed.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Put(object) => object.key(),
            Self::Remove { key, .. } => key.clone(),
        }
    }

    /// The version that it was made from.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Put(object) => object.meta().version,
            Self::Remove { version, .. } => *version,
        }
    }
}
