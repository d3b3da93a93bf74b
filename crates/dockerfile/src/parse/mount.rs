//! `RUN --mount=type=…,target=…`.

use super::{numbers, words};
use crate::text::{Fault, Text};
use crate::{Mount, MountKind, Sharing, Variables};

/// Keys, also for what may have been meant.
const KEYS: [&str; 18] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
];
const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];
const SHARINGS: [(&str, Sharing); 3] = [
    ("shared", Sharing::Shared),
    ("private", Sharing::Private),
    ("locked", Sharing::Locked),
];

/// `key` or `key=value`, the key in small letters.
type Field = (String, Option<String>);

/// What is wrong with which field; without one, with all together.
struct Wrong {
    field: Option<usize>,
    message: String,
    hint: Option<String>,
}

impl Wrong {
    fn all(message: impl Into<String>) -> Self {
        Self {
            field: None,
            message: message.into(),
            hint: None,
        }
    }

    fn at(field: usize, message: impl Into<String>) -> Self {
        Self {
            field: Some(field),
            ..Self::all(message)
        }
    }

    fn meant(mut self, written: &str, names: &[&str]) -> Self {
        self.hint = Some(match crate::suggest::nearest(written, names) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("known are {}", names.join(", ")),
        });
        self
    }
}

/// Reads the value of a flag. Fields that are no text and have variables in them wait for
/// [`Mount::expanded`].
pub(super) fn parse(value: &str, place: Text<'_>, escape: char) -> Result<Mount, Fault> {
    let Some(written) = csv(value) else {
        return Err(Fault::new(place, "failed to parse csv mounts")
            .hint("a field with a comma or a quote in it is written as \"a,b\""));
    };
    let fields: Vec<Field> = written
        .iter()
        .map(|field| match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
            None => (field.to_lowercase(), None),
        })
        .collect();
    let fault = |wrong: Wrong| {
        let field = wrong.field.and_then(|at| written.get(at));
        let at = field.and_then(|field| place.text.find(field).map(|at| (at, field.len())));
        let place = at.map_or(place, |(at, length)| place.part(at, at + length));
        let mut fault = Fault::new(place, wrong.message);
        fault.hint = wrong.hint;
        fault
    };
    for (at, (key, value)) in fields.iter().enumerate() {
        let value = value.as_deref().unwrap_or_default();
        if key == "from" && value.contains('$') && !value.ends_with('$') {
            return Err(fault(Wrong::at(
                at,
                "'from' doesn't support variable expansion, define alias stage instead",
            )));
        }
        crate::expand::syntax(value, escape).map_err(|why| {
            let quoted = words::expand_quote(value);
            fault(Wrong::at(at, format!("failed to process {quoted}: {why}")))
        })?;
    }
    build(&fields, true).map_err(fault)
}

impl Mount {
    /// The mount with its words expanded, those of numbers and kinds included; the only way to
    /// know a mount whole that has variables in it. `from` takes none.
    ///
    /// # Errors
    /// What a word comes to is no value for its key.
    pub fn expanded(&self, escape: char, variables: &dyn Variables) -> Result<Self, String> {
        let mut fields = self.fields.clone();
        for (key, value) in &mut fields {
            if let Some(text) = value
                && key != "from"
            {
                *text = crate::expand(text, escape, variables)?.text;
            }
        }
        build(&fields, false).map_err(|wrong| wrong.message)
    }

    /// Whether something other than text waits for the values of variables.
    #[must_use]
    pub fn has_variables(&self) -> bool {
        self.fields
            .iter()
            .any(|(_, value)| value.as_deref().is_some_and(|value| value.contains('$')))
    }
}

/// Makes a mount of its fields; `early` leaves out what has variables in it and is no text.
fn build(fields: &[Field], early: bool) -> Result<Mount, Wrong> {
    let waits = |value: &str| early && value.contains('$');
    let kind = fields.iter().rposition(|(key, _)| key == "type");
    let mut mount = Mount::new(fields.to_vec());
    let mut kind_known = true;
    if let Some(at) = kind
        && let Some(value) = &fields[at].1
    {
        kind_known = !waits(value);
        if kind_known {
            mount.kind = chosen(&KINDS, value).ok_or_else(|| {
                let quoted = words::expand_quote(value);
                Wrong::at(at, format!("unsupported mount type {quoted}"))
                    .meant(value, &KINDS.map(|(name, _)| name))
            })?;
        }
    }
    for (at, (key, value)) in fields.iter().enumerate() {
        let foreign = |allowed: &[MountKind]| {
            if !kind_known || allowed.contains(&mount.kind) {
                return Ok(());
            }
            let kind = name(mount.kind);
            Err(Wrong::at(
                at,
                format!("unexpected key '{key}' for mount type '{kind}'"),
            ))
        };
        let Some(value) = value else {
            match key.as_str() {
                "readonly" | "ro" => mount.readonly = Some(true),
                "readwrite" | "rw" => mount.readonly = Some(false),
                "required" => {
                    foreign(&[MountKind::Secret, MountKind::Ssh])?;
                    mount.required = true;
                }
                _ => {
                    return Err(Wrong::at(
                        at,
                        format!("invalid field '{key}' must be a key=value pair"),
                    ));
                }
            }
            continue;
        };
        let bad = || Wrong::at(at, format!("invalid value for {key}: {value}"));
        let number = |radix| {
            u32::from_str_radix(value, radix)
                .ok()
                .filter(|_| !value.starts_with('+'))
                .ok_or_else(|| Wrong::at(at, format!("invalid value {value} for {key}")))
        };
        let text = Some(value.clone()).filter(|text| !text.is_empty());
        match key.as_str() {
            "from" => mount.from = text,
            "source" | "src" => mount.source = text,
            "target" | "dst" | "destination" => mount.target = text,
            "id" => mount.id = text,
            "env" => {
                foreign(&[MountKind::Secret])?;
                mount.env = text;
            }
            "size" => foreign(&[MountKind::Tmpfs])?,
            "required" => foreign(&[MountKind::Secret, MountKind::Ssh])?,
            _ => {}
        }
        if waits(value) && KEYS.contains(&key.as_str()) {
            continue;
        }
        match key.as_str() {
            "readonly" | "ro" => {
                mount.readonly = Some(numbers::boolean(value).ok_or_else(bad)?);
            }
            "readwrite" | "rw" => {
                mount.readonly = Some(!numbers::boolean(value).ok_or_else(bad)?);
            }
            "required" => mount.required = numbers::boolean(value).ok_or_else(bad)?,
            "size" => mount.size = Some(numbers::size(value).ok_or_else(bad)?),
            "sharing" => {
                mount.sharing = Some(chosen(&SHARINGS, value).ok_or_else(|| {
                    let quoted = words::expand_quote(value);
                    Wrong::at(at, format!("unsupported sharing value {quoted}"))
                        .meant(value, &SHARINGS.map(|(name, _)| name))
                })?);
            }
            "mode" => mount.mode = Some(number(8)?),
            "uid" => mount.uid = Some(number(10)?),
            "gid" => mount.gid = Some(number(10)?),
            key if KEYS.contains(&key) => {}
            key => {
                return Err(
                    Wrong::at(at, format!("unexpected key '{key}' in '{key}={value}'"))
                        .meant(key, &KEYS),
                );
            }
        }
    }
    if kind_known {
        consistent(&mount)?;
    }
    Ok(mount)
}

/// What does not go together.
fn consistent(mount: &Mount) -> Result<(), Wrong> {
    let kind = name(mount.kind);
    if matches!(mount.kind, MountKind::Bind | MountKind::Tmpfs) {
        for (key, said) in [
            ("mode", mount.mode.is_some()),
            ("uid", mount.uid.is_some()),
            ("gid", mount.gid.is_some()),
        ] {
            if said {
                return Err(Wrong::all(format!(
                    "{key} not allowed for \"{kind}\" type mounts"
                )));
            }
        }
    }
    if mount.kind == MountKind::Secret {
        if mount.from.is_some() {
            return Err(Wrong::all("secret mount should not have a from"));
        }
        if mount.sharing.is_some() {
            return Err(Wrong::all("secret mount should not define sharing"));
        }
        if mount.source.is_none() && mount.target.is_none() && mount.id.is_none() {
            return Err(Wrong::all(
                "invalid secret mount. one of source, target required",
            ));
        }
        if mount.source.is_some() && mount.id.is_some() {
            return Err(Wrong::all("both source and id can't be set"));
        }
    }
    if mount.sharing.is_some() && mount.kind != MountKind::Cache {
        return Err(Wrong::all(format!(
            "invalid cache sharing set for {kind} mount"
        )));
    }
    Ok(())
}

fn chosen<T: Copy>(all: &[(&str, T)], value: &str) -> Option<T> {
    let value = value.to_lowercase();
    let found = all.iter().find(|(name, _)| *name == value);
    found.map(|(_, chosen)| *chosen)
}

fn name(kind: MountKind) -> &'static str {
    let found = KINDS.iter().find(|(_, known)| *known == kind);
    found.map_or("bind", |(name, _)| name)
}

/// The fields of one line of comma-separated values; nothing if its quotes are wrong.
fn csv(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.len());
            let field = &rest[..end];
            if field.contains('"') {
                return None;
            }
            fields.push(field.to_owned());
            match rest[end..].strip_prefix(',') {
                Some(next) => rest = next,
                None => return Some(fields),
            }
            continue;
        };
        let mut field = String::new();
        let mut inner = quoted;
        loop {
            let end = inner.find('"')?;
            field.push_str(&inner[..end]);
            inner = &inner[end + 1..];
            match inner.strip_prefix('"') {
                Some(next) => {
                    field.push('"');
                    inner = next;
                }
                None => break,
            }
        }
        fields.push(field);
        if inner.is_empty() {
            return Some(fields);
        }
        rest = inner.strip_prefix(',')?;
    }
}
