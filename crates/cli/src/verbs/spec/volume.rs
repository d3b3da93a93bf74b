//! `-v source:target[:options]`.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// What a `-v` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// A bind mount or a named volume, as the daemon reads it.
    Bind(String),
    /// An anonymous volume at this path.
    Anonymous(String),
}

/// `path` without `.`, `..` and doubled slashes, by its text alone.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Reads one `-v`. A source that begins with `.` is a path from here.
pub(crate) fn parse(text: &str, here: &Path) -> Result<Volume> {
    if text.is_empty() {
        return Err(Error::msg("invalid empty volume spec"));
    }
    let Some((source, rest)) = text.split_once(':') else {
        return Ok(Volume::Anonymous(text.to_owned()));
    };
    if source.is_empty() {
        return Err(Error::msg(format!(
            "invalid spec: {text}: empty section between colons"
        )));
    }
    if source == "." || source == ".." || source.starts_with("./") || source.starts_with("../") {
        let path = clean(&here.join(source));
        return Ok(Volume::Bind(format!("{}:{rest}", path.display())));
    }
    Ok(Volume::Bind(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_sources_become_absolute() {
        let here = Path::new("/home/me");
        assert_eq!(
            parse("./x:/y:ro", here).unwrap(),
            Volume::Bind("/home/me/x:/y:ro".into())
        );
        assert_eq!(
            parse("../x:/y", here).unwrap(),
            Volume::Bind("/home/x:/y".into())
        );
        assert_eq!(
            parse("name:/y", here).unwrap(),
            Volume::Bind("name:/y".into())
        );
        assert_eq!(parse("/y", here).unwrap(), Volume::Anonymous("/y".into()));
        assert!(parse("", here).is_err() && parse(":/y", here).is_err());
    }
}
