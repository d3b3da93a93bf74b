//! `--mount type=…,source=…,target=…`.

use std::path::Path;

use types::container::{BindOptions, ImageOptions, MountSpec, TmpfsOptions, VolumeOptions};

use super::volume::clean;
use crate::format::size;

/// Whether a `--mount` is well formed.
pub(crate) fn check(text: &str) -> Result<(), String> {
    parse(text, Path::new("/")).map(drop)
}

/// Reads one `--mount`. A bind's source that begins with `.` is a path from `here`.
pub(crate) fn parse(text: &str, here: &Path) -> Result<MountSpec, String> {
    let mut mount = Parsed {
        spec: MountSpec {
            kind: "volume".to_owned(),
            ..MountSpec::default()
        },
        ..Parsed::default()
    };
    for field in fields(text)? {
        mount.field(&field, here)?;
    }
    mount.finish()
}

#[derive(Default)]
struct Parsed {
    spec: MountSpec,
    bind: Option<BindOptions>,
    volume: Option<VolumeOptions>,
    image: Option<ImageOptions>,
    tmpfs: Option<TmpfsOptions>,
    /// `bind-recursive`.
    recursion: String,
}

impl Parsed {
    fn field(&mut self, field: &str, here: &Path) -> Result<(), String> {
        let (name, value) = match field.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (field, None),
        };
        let key = name.to_lowercase();
        let invalid = |value: &str| format!("invalid value for {name}: {value}");
        let on = |value: &str| types::boolean::parse(value).ok_or_else(|| invalid(value));
        let switch = matches!(
            key.as_str(),
            "readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive"
        );
        let value = match value {
            Some(value) => value,
            None if switch => "true",
            None => return Err(format!("invalid field '{field}' must be a key=value pair")),
        };
        match key.as_str() {
            "type" => self.spec.kind = value.to_lowercase(),
            "source" | "src" => {
                self.spec.source = value.to_owned();
                if value == "."
                    || value == ".."
                    || value.starts_with("./")
                    || value.starts_with("../")
                {
                    self.spec.source = clean(&here.join(value)).display().to_string();
                }
            }
            "target" | "dst" | "destination" => self.spec.target = value.to_owned(),
            "readonly" | "ro" => self.spec.read_only = on(value)?,
            "consistency" => self.spec.consistency = value.to_lowercase(),
            "bind-propagation" => {
                self.bind.get_or_insert_default().propagation = value.to_lowercase();
            }
            "bind-nonrecursive" => {
                self.bind.get_or_insert_default().non_recursive = on(value)?;
            }
            "bind-recursive" => self.recursion = value.to_lowercase(),
            "volume-subpath" => {
                self.volume.get_or_insert_default().subpath = value.to_owned();
            }
            "volume-nocopy" => self.volume.get_or_insert_default().no_copy = on(value)?,
            "volume-label" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                let labels = &mut self.volume.get_or_insert_default().labels;
                labels.insert(name.to_owned(), value.to_owned());
            }
            "volume-driver" => {
                let volume = self.volume.get_or_insert_default();
                volume.driver_config.get_or_insert_default().name = value.to_owned();
            }
            "volume-opt" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                let volume = self.volume.get_or_insert_default();
                let driver = volume.driver_config.get_or_insert_default();
                driver.options.insert(name.to_owned(), value.to_owned());
            }
            "image-subpath" => self.image.get_or_insert_default().subpath = value.to_owned(),
            "tmpfs-size" => {
                let bytes = size::parse(value).map_err(|_| invalid(value))?;
                self.tmpfs.get_or_insert_default().size_bytes = bytes;
            }
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8).map_err(|_| invalid(value))?;
                self.tmpfs.get_or_insert_default().mode = mode;
            }
            _ => return Err(format!("unexpected key '{name}' in '{field}'")),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<MountSpec, String> {
        let kind = self.spec.kind.clone();
        if kind.is_empty() {
            return Err("type is required".to_owned());
        }
        if self.spec.target.is_empty() {
            return Err("target is required".to_owned());
        }
        self.recursion(&kind)?;
        for (prefix, given) in [
            ("bind", self.bind.is_some()),
            ("volume", self.volume.is_some()),
            ("image", self.image.is_some()),
            ("tmpfs", self.tmpfs.is_some()),
        ] {
            if given && kind != prefix {
                return Err(format!(
                    "cannot mix '{prefix}-*' options with mount type '{kind}'"
                ));
            }
        }
        Ok(MountSpec {
            bind_options: self.bind,
            volume_options: self.volume,
            image_options: self.image,
            tmpfs_options: self.tmpfs,
            ..self.spec
        })
    }

    fn recursion(&mut self, kind: &str) -> Result<(), String> {
        if !self.recursion.is_empty() && kind != "bind" {
            return Err(format!(
                "cannot mix 'bind-*' options with mount type '{kind}'"
            ));
        }
        let needs = |what: &str| {
            Err(format!(
                "option 'bind-recursive={}' requires '{what}' to be specified in conjunction",
                self.recursion
            ))
        };
        let read_only = self.spec.read_only;
        match self.recursion.as_str() {
            "" | "enabled" => {}
            "disabled" => self.bind.get_or_insert_default().non_recursive = true,
            "writable" | "readonly" if !read_only => return needs("readonly"),
            "writable" => self.bind.get_or_insert_default().read_only_non_recursive = true,
            "readonly"
                if self
                    .bind
                    .as_ref()
                    .is_none_or(|b| b.propagation != "rprivate") =>
            {
                return needs("bind-propagation=rprivate");
            }
            "readonly" => self.bind.get_or_insert_default().read_only_force_recursive = true,
            other => {
                return Err(format!(
                    "invalid value for bind-recursive: {other} (must be \"enabled\", \
                     \"disabled\", \"writable\", or \"readonly\")"
                ));
            }
        }
        Ok(())
    }
}

/// The fields of one line of comma-separated values, with Go's error texts.
pub(crate) fn fields(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        let column = text.len() - rest.len();
        let wrong = |at: usize, what: &str| {
            Err(format!("parse error on line 1, column {}: {what}", at + 1))
        };
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut inner = quoted;
            loop {
                let Some(end) = inner.find('"') else {
                    return wrong(text.len(), "extraneous or missing \" in quoted-field");
                };
                field.push_str(&inner[..end]);
                inner = &inner[end + 1..];
                match inner.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        inner = more;
                    }
                    None => break,
                }
            }
            all.push(field);
            match inner.strip_prefix(',') {
                Some(more) => rest = more,
                None if inner.is_empty() => return Ok(all),
                None => {
                    let at = text.len() - inner.len() - 1;
                    return wrong(at, "extraneous or missing \" in quoted-field");
                }
            }
            continue;
        }
        let (field, more) = match rest.split_once(',') {
            Some((field, more)) => (field, Some(more)),
            None => (rest, None),
        };
        if let Some(quote) = field.find('"') {
            return wrong(column + quote, "bare \" in non-quoted-field");
        }
        all.push(field.to_owned());
        match more {
            Some(more) => rest = more,
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match parse(text, Path::new("/here")) {
            Ok(spec) => serde_json::to_string(&spec).unwrap(),
            Err(error) => error,
        }
    }

    #[test]
    fn what_the_docker_cli_makes_of_it() {
        for (text, wanted) in [
            (
                "type=bind,src=./a,dst=/b,ro",
                r#"{"Type":"bind","Source":"/here/a","Target":"/b","ReadOnly":true}"#,
            ),
            (
                "type=bind,src=/a,dst=/b,readonly=false,bind-propagation=rslave,bind-nonrecursive",
                r#"{"Type":"bind","Source":"/a","Target":"/b","BindOptions":{"Propagation":"rslave","NonRecursive":true}}"#,
            ),
            (
                "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
                r#"{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rprivate","ReadOnlyForceRecursive":true}}"#,
            ),
            (
                "TYPE=volume,\"src=a,b\",dst=/b,volume-nocopy,volume-label=x=y,volume-opt=foo,volume-subpath=s/t",
                r#"{"Type":"volume","Source":"a,b","Target":"/b","VolumeOptions":{"NoCopy":true,"Labels":{"x":"y"},"Subpath":"s/t","DriverConfig":{"Options":{"foo":""}}}}"#,
            ),
            (
                "type=tmpfs,dst=/b,tmpfs-size=64m,tmpfs-mode=1777,consistency=cached",
                r#"{"Type":"tmpfs","Target":"/b","Consistency":"cached","TmpfsOptions":{"SizeBytes":67108864,"Mode":1023}}"#,
            ),
            ("", "EOF"),
            ("type=bind,src=/a", "target is required"),
            (
                "type=volume,src=\"a",
                "parse error on line 1, column 17: bare \" in non-quoted-field",
            ),
            (
                "type=bind,foo,dst=/a",
                "invalid field 'foo' must be a key=value pair",
            ),
            ("src=a, dst=/b", "unexpected key ' dst' in ' dst=/b'"),
            ("dst=/b,ro=maybe", "invalid value for ro: maybe"),
            (
                "type=bind,src=/a,dst=/b,bind-recursive=writable",
                "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction",
            ),
            (
                "type=bind,src=/a,dst=/b,volume-nocopy",
                "cannot mix 'volume-*' options with mount type 'bind'",
            ),
        ] {
            assert_eq!(json(text), wanted, "{text}");
        }
    }
}
