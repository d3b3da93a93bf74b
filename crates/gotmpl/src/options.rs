//! The choices of those who render a template.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

/// What a field that the data do not have is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingKey {
    /// No value, printed as `<no value>`.
    #[default]
    Default,
    /// The zero of the map's elements.
    Zero,
    /// An error.
    Error,
}

/// The Go type docker holds a field in, where it differs from what its JSON shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// What its JSON is.
    Any,
    /// `map[string]string`: keys it does not have are empty strings, null is an empty map.
    StringMap,
    /// A slice: null is an empty list.
    List,
}

/// What a [`Method`] does: from the object and the arguments to a text, or to what is wrong.
pub type MethodFn = dyn Fn(&Map<String, Value>, &[String]) -> Result<String, String> + Send + Sync;

/// A method that all objects have in a template, as `.Label "name"` of docker's rows.
#[derive(Clone)]
pub struct Method {
    /// Its name; it hides fields called the same.
    pub name: String,
    /// How many arguments it has, all strings.
    pub args: usize,
    /// What it does.
    pub run: Arc<MethodFn>,
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.args)
    }
}

/// How to render a template.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What to do about missing fields.
    pub missing_key: MissingKey,
    /// The types of fields, by name.
    pub field_type: Option<fn(&str) -> FieldType>,
    /// Methods of all objects.
    pub methods: Vec<Method>,
}

impl Options {
    /// What `docker inspect --format` does: it tries the template on its structs, and where
    /// that fails on the JSON with missing fields as errors.
    ///
    /// Together that makes missing fields errors, except in maps of strings, which say
    /// `<no value>` (`.Config.Labels.x`) or nothing (`index .Config.Labels "x"`).
    pub fn inspect() -> Self {
        Self {
            missing_key: MissingKey::Error,
            field_type: Some(engine_type),
            methods: Vec::new(),
        }
    }
}

/// The types of the Engine API's fields that JSON does not show. A name suffices, as it only
/// decides what null is and whether objects that hold nothing but strings are maps of strings.
fn engine_type(name: &str) -> FieldType {
    match name {
        "Annotations" | "Config" | "Data" | "DriverOpts" | "Labels" | "Options" | "StorageOpt"
        | "Sysctls" | "Tmpfs" => FieldType::StringMap,
        "Aliases" | "Args" | "Binds" | "CapAdd" | "CapDrop" | "Cmd" | "DNSNames"
        | "DeviceCgroupRules" | "DeviceRequests" | "Devices" | "Dns" | "DnsOptions"
        | "DnsSearch" | "Entrypoint" | "Env" | "ExecIDs" | "ExtraHosts" | "GroupAdd" | "Layers"
        | "Links" | "MaskedPaths" | "Mounts" | "OnBuild" | "ReadonlyPaths" | "RepoDigests"
        | "RepoTags" | "SecurityOpt" | "Shell" | "Ulimits" | "VolumesFrom" => FieldType::List,
        _ => FieldType::Any,
    }
}
