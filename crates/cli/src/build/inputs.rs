//! Which files and which Dockerfile a build is given: a directory, standard input, a URL.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use types::build::{ContextSource, Dockerfile};

use super::{
    context::{Directory, Ignore, archive::Archive, ignore_files},
    kinds::{is_archive, is_remote, is_url},
    layout,
};
use crate::{
    client::Client,
    error::{Error, Result},
    flags::Matches,
    format::names::Reference,
    progress::build::Board,
    tty,
};

/// A longer Dockerfile is none.
const LONGEST: u64 = 16 << 20;
/// What a Dockerfile is called.
const USUAL: &str = "Dockerfile";

/// Where files come from.
enum Source {
    Directory(Directory),
    Archive(Box<Archive>),
    /// An image in a directory.
    Layout(Directory, layout::Found),
    /// Nothing is to be sent for it.
    Elsewhere(ContextSource),
}

/// Everything that a build is given.
pub(crate) struct Inputs {
    context: Source,
    named: Vec<(String, Source)>,
    /// Which Dockerfile.
    pub(super) dockerfile: Dockerfile,
    /// Its text, where it is here.
    pub(super) text: Option<String>,
}

/// The files, as the daemon knows them.
pub(crate) struct Given {
    pub(super) context: ContextSource,
    pub(super) named: BTreeMap<String, ContextSource>,
}

impl Inputs {
    /// From the operand and `-f` and `--build-context`. Reads standard input where that is meant.
    pub(crate) fn of(m: &Matches) -> Result<Self> {
        let operand = m.args.first().map(String::as_str).unwrap_or_default();
        let file = m.text("file");
        if operand == "-" && file == "-" {
            return Err(Error::msg(
                "ERROR: invalid argument: can't use stdin for both build context and dockerfile",
            ));
        }
        let mut inputs = if operand == "-" {
            Self::from_stdin(&file)?
        } else if is_remote(operand) {
            let source = ContextSource::Remote(operand.to_owned());
            let (dockerfile, text) = match file.as_str() {
                "-" => from_text("-", &stdin_text()?)?,
                "" => (Dockerfile::Path(USUAL.to_owned()), None),
                url if is_url(url) => (Dockerfile::Url(url.to_owned()), None),
                path => (Dockerfile::Path(path.to_owned()), None),
            };
            Self {
                context: Source::Elsewhere(source),
                named: Vec::new(),
                dockerfile,
                text,
            }
        } else {
            Self::from_directory(operand, &file)?
        };
        for text in m.all("build-context") {
            inputs.named.push(named(&text)?);
        }
        Ok(inputs)
    }

    fn from_directory(operand: &str, file: &str) -> Result<Self> {
        let root = PathBuf::from(operand);
        let missing = || {
            Error::msg(format!(
                "ERROR: unable to prepare context: path \"{operand}\" not found"
            ))
        };
        let meta = std::fs::metadata(&root).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => missing(),
            _ => Error::file("stat", operand, &e),
        })?;
        if !meta.is_dir() {
            return Err(Error::msg(format!(
                "ERROR: unable to prepare context: path \"{operand}\" is no directory"
            )));
        }
        let own: Option<PathBuf> = match file {
            "-" => None,
            // Who fetches it is the daemon.
            url if is_url(url) => None,
            "" => Some(usual(&root)),
            path => Some(PathBuf::from(path)),
        };
        let (dockerfile, text) = match &own {
            None if is_url(file) => (Dockerfile::Url(file.to_owned()), None),
            None => from_text("-", &stdin_text()?)?,
            Some(path) => {
                let name = if file.is_empty() {
                    path.file_name().map(|n| n.to_string_lossy().into_owned())
                } else {
                    Some(file.to_owned())
                };
                from_text(&name.unwrap_or_default(), &read(path)?)?
            }
        };
        let files = ignore_files(&root, own.as_deref());
        let ignore = Ignore::of(&files)?;
        Ok(Self {
            context: Source::Directory(Directory {
                purpose: files
                    .first()
                    .map(|f| f.display().to_string())
                    .unwrap_or_default(),
                path: root,
                ignore,
                title: "load build context".to_owned(),
            }),
            named: Vec::new(),
            dockerfile,
            text,
        })
    }

    /// A Dockerfile, or an archive with one.
    fn from_stdin(file: &str) -> Result<Self> {
        if tty::is_terminal(io::stdin()) {
            // Said on the way, as whoever types wants to know what is waited for.
            crate::format::output::complain(
                "reading a Dockerfile or an archive from standard input",
            );
        }
        let failed = |e: &io::Error| Error::file("read", "/dev/stdin", e);
        let mut stdin = BufReader::with_capacity(64 << 10, io::stdin().lock());
        let first = loop {
            match stdin.fill_buf() {
                Ok(first) => break first,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(&e)),
            }
        };
        if first.is_empty() {
            return Err(Error::msg(
                "ERROR: failed to read the build context: standard input is empty",
            ));
        }
        // A pipe may have given less than a header yet.
        let mut head = first.to_vec();
        let length = head.len();
        stdin.consume(length);
        if length < 512 {
            let rest = (&mut stdin)
                .take(512 - length as u64)
                .read_to_end(&mut head);
            rest.map_err(|e| failed(&e))?;
        }
        let archive = is_archive(&head);
        let whole = BufReader::new(io::Cursor::new(head).chain(stdin));
        if !archive {
            let mut text = Vec::new();
            let read = whole.take(LONGEST).read_to_end(&mut text);
            read.map_err(|e| failed(&e))?;
            let (dockerfile, text) = from_text("-", &text)?;
            if !file.is_empty() {
                return Err(Error::msg(
                    "ERROR: ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles",
                ));
            }
            return Ok(Self {
                context: Source::Elsewhere(ContextSource::Empty),
                named: Vec::new(),
                dockerfile,
                text,
            });
        }
        let mut archive = Archive::read(whole)?;
        let name = if file.is_empty() || is_url(file) {
            USUAL
        } else {
            file
        };
        let (dockerfile, text) = if is_url(file) {
            (Dockerfile::Url(file.to_owned()), None)
        } else {
            let text = archive.text(name, LONGEST)?.ok_or_else(|| {
                Error::msg(format!(
                    "ERROR: failed to solve: failed to read dockerfile: open {name}: no such file or directory"
                ))
            })?;
            from_text(name, &text)?
        };
        let own = format!("{name}.dockerignore");
        for ignore in [own.as_str(), ".dockerignore"] {
            if let Some(text) = archive.text(ignore, LONGEST)? {
                archive.leave_out(&Ignore::parse(ignore, &text)?);
                break;
            }
        }
        Ok(Self {
            context: Source::Archive(Box::new(archive)),
            named: Vec::new(),
            dockerfile,
            text,
        })
    }

    /// Makes everything known to the daemon.
    pub(crate) async fn give(
        self,
        client: &Client,
        board: &mut Board,
    ) -> Result<(Given, Dockerfile)> {
        let context = self.context.give(client, board).await?;
        let mut named = BTreeMap::new();
        for (name, source) in self.named {
            named.insert(name, source.give(client, board).await?);
        }
        Ok((Given { context, named }, self.dockerfile))
    }

    /// The images that named contexts are.
    pub(super) fn images(&self) -> impl Iterator<Item = &str> {
        self.named.iter().filter_map(|(_, source)| match source {
            Source::Elsewhere(ContextSource::Image(name)) => Some(name.as_str()),
            _ => None,
        })
    }
}

impl Source {
    async fn give(self, client: &Client, board: &mut Board) -> Result<ContextSource> {
        Ok(match self {
            Self::Directory(directory) => ContextSource::Sent(directory.give(client, board).await?),
            Self::Archive(archive) => ContextSource::Sent(archive.give(client, board).await?),
            Self::Layout(directory, found) => {
                ContextSource::Layout(found.with(directory.give(client, board).await?))
            }
            Self::Elsewhere(source) => source,
        })
    }
}

/// Reads `name=path`, `name=url`, `name=docker-image://…`.
fn named(text: &str) -> Result<(String, Source)> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        Error::msg(format!(
            "ERROR: invalid context value: {text}, expected key=value"
        ))
    })?;
    let refused = |what: &str| {
        Error::msg(format!(
            "ERROR: --build-context {name}={what}… is not supported by wharf yet"
        ))
    };
    if let Some(image) = value.strip_prefix("docker-image://") {
        let reference = Reference::parse(image)
            .map_err(|e| Error::msg(format!("ERROR: invalid context value: {text}: {e}")))?;
        let source = ContextSource::Image(reference.familiar());
        return Ok((name.to_owned(), Source::Elsewhere(source)));
    }
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        let (path, found) = layout::find(layout)
            .map_err(|why| Error::msg(format!("ERROR: invalid context value: {text}: {why}")))?;
        let directory = Directory {
            ignore: Ignore::of(&[])?,
            path,
            purpose: "oci-layout".to_owned(),
            title: format!("load build context {name}"),
        };
        return Ok((name.to_owned(), Source::Layout(directory, found)));
    }
    for scheme in ["target:", "input:"] {
        if value.starts_with(scheme) {
            return Err(refused(scheme));
        }
    }
    if is_remote(value) {
        let source = ContextSource::Remote(value.to_owned());
        return Ok((name.to_owned(), Source::Elsewhere(source)));
    }
    let path = PathBuf::from(value);
    let meta = std::fs::metadata(&path);
    if !meta.is_ok_and(|meta| meta.is_dir()) {
        return Err(Error::msg(format!(
            "ERROR: failed to get build context {name}: {value} is no directory"
        )));
    }
    let files = ignore_files(&path, None);
    let directory = Directory {
        ignore: Ignore::of(&files)?,
        path,
        purpose: String::new(),
        title: format!("load build context {name}"),
    };
    Ok((name.to_owned(), Source::Directory(directory)))
}

/// The context's Dockerfile; in small letters, where only that is there.
fn usual(root: &Path) -> PathBuf {
    let usual = root.join(USUAL);
    let small = root.join("dockerfile");
    if !usual.exists() && small.exists() {
        small
    } else {
        usual
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |op, e: &io::Error| {
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        Error::msg(format!(
            "ERROR: failed to solve: failed to read dockerfile: {op} {name}: {}",
            crate::error::errno_text(e)
        ))
    };
    let file = File::open(path).map_err(|e| failed("open", &e))?;
    let mut text = Vec::new();
    file.take(LONGEST)
        .read_to_end(&mut text)
        .map_err(|e| failed("read", &e))?;
    Ok(text)
}

fn stdin_text() -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = io::stdin().lock().take(LONGEST).read_to_end(&mut text);
    read.map_err(|e| Error::file("read", "/dev/stdin", &e))?;
    Ok(text)
}

/// Sent as text, a Dockerfile need not be a part of the context, where ignore files may take it out.
fn from_text(name: &str, text: &[u8]) -> Result<(Dockerfile, Option<String>)> {
    let name = if name == "-" { USUAL } else { name };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = String::from_utf8(text.to_vec())
        .map_err(|_| Error::msg(format!("ERROR: {name} is not a text in UTF-8")))?;
    let dockerfile = Dockerfile::Text {
        name: name.to_owned(),
        text: text.clone(),
    };
    Ok((dockerfile, Some(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_contexts_are_directories_images_or_elsewhere() {
        let kind = |text: &str| match named(text) {
            Ok((_, Source::Elsewhere(source))) => format!("{source:?}"),
            Ok((_, Source::Directory(dir))) => dir.title,
            Ok((_, Source::Archive(_) | Source::Layout(..))) => String::new(),
            Err(e) => e.to_string(),
        };
        assert_eq!(kind("a=docker-image://x"), "Image(\"x:latest\")");
        assert_eq!(kind("a=https://x/y.git"), "Remote(\"https://x/y.git\")");
        assert_eq!(kind("a=/etc"), "load build context a");
        assert!(kind("a").contains("expected key=value"));
        assert!(kind("a=oci-layout:///x").contains("index.json"));
    }
}
