//! `--output`, `--push`, `--load`: what becomes of the result.

use std::{
    fs::File,
    io::{self, BufReader, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use archive::Placer;
use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::io::{StreamReader, SyncIoBridge};
use types::build::{Output, OutputKind};

use super::{
    attributes::{fields, pairs},
    names,
};
use crate::{
    error::{Error, Result},
    flags::Matches,
    tty,
};

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Its files go below a directory.
    Directory(PathBuf),
    /// It becomes a file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// All outputs of a build.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    /// As the daemon is asked for them.
    pub(super) asked: Vec<Output>,
    /// Where the archive goes, if one comes.
    pub(crate) target: Option<Target>,
}

fn image(names: Vec<String>, push: bool) -> Output {
    Output {
        kind: OutputKind::Image,
        names,
        push,
    }
}

impl Outputs {
    /// From the flags.
    pub(crate) fn of(m: &Matches) -> Result<Self> {
        let mut outputs = Self::default();
        let (push, load) = (m.on("push"), m.on("load"));
        let all = m.all("output");
        for text in &all {
            outputs.add(text)?;
        }
        if push {
            let images = || outputs.asked.iter().any(|o| o.kind == OutputKind::Image);
            if !all.is_empty() && !images() {
                return Err(Error::msg(
                    "ERROR: --push needs an image, and no --output makes one",
                ));
            }
        }
        if (push || load || all.is_empty())
            && !outputs.asked.iter().any(|o| o.kind == OutputKind::Image)
        {
            outputs.asked.push(image(Vec::new(), false));
        }
        if push {
            for output in &mut outputs.asked {
                output.push |= output.kind == OutputKind::Image;
            }
        }
        Ok(outputs)
    }

    fn add(&mut self, text: &str) -> Result {
        let plain = fields(text)?;
        if plain.len() == 1 && plain[0] == text && !text.contains('=') {
            if text == "-" {
                return self.archive(OutputKind::Files, Target::Stdout, Vec::new());
            }
            return self.archive(
                OutputKind::Files,
                Target::Directory(text.into()),
                Vec::new(),
            );
        }
        let (mut kind, mut dest) = (String::new(), String::new());
        let (mut names, mut push) = (Vec::new(), false);
        for (name, value) in pairs("output", text)? {
            let on = |value: &str| types::boolean::parse(value);
            match name.as_str() {
                "type" => kind = value,
                "dest" => dest = value,
                "name" => {
                    for one in value.split(',').filter(|n| !n.is_empty()) {
                        names.push(names::tag(one)?);
                    }
                }
                "push" if on(&value).is_some() => push = on(&value) == Some(true),
                // What is done anyway.
                "tar" | "unpack" | "store" if on(&value) == Some(true) => {}
                "platform-split" if on(&value) == Some(false) => {}
                other => {
                    return Err(Error::msg(format!(
                        "ERROR: --output {other}={value} is not supported by wharf yet"
                    )));
                }
            }
        }
        if kind.is_empty() {
            return Err(Error::msg("ERROR: type is required for output"));
        }
        let console = || {
            Error::msg(format!(
                "ERROR: dest file is required for {kind} exporter. refusing to write to console"
            ))
        };
        let to_file = || {
            if dest.is_empty() || dest == "-" {
                return if tty::is_terminal(io::stdout()) {
                    Err(console())
                } else {
                    Ok(Target::Stdout)
                };
            }
            if Path::new(&dest).is_dir() {
                return Err(Error::msg(format!(
                    "ERROR: destination file is a directory: {dest}"
                )));
            }
            Ok(Target::File(PathBuf::from(&dest)))
        };
        match kind.as_str() {
            "local" if dest.is_empty() => {
                Err(Error::msg("ERROR: dest is required for local exporter"))
            }
            "local" if dest == "-" => Err(Error::msg(
                "ERROR: dest cannot be stdout for local exporter",
            )),
            "local" => {
                let target = Target::Directory(PathBuf::from(&dest));
                self.archive(OutputKind::Files, target, names)
            }
            "tar" => self.archive(OutputKind::Files, to_file()?, names),
            "oci" => self.archive(OutputKind::Oci, to_file()?, names),
            "docker" if !dest.is_empty() => self.archive(OutputKind::Docker, to_file()?, names),
            "docker" | "image" | "registry" if dest.is_empty() => {
                self.asked.push(image(names, push || kind == "registry"));
                Ok(())
            }
            "image" | "registry" => {
                Err(Error::msg(format!("ERROR: output type={kind} has no dest")))
            }
            "cacheonly" => Ok(()),
            other => Err(Error::msg(format!(
                "ERROR: unsupported output type {other}"
            ))),
        }
    }

    fn archive(&mut self, kind: OutputKind, target: Target, names: Vec<String>) -> Result {
        if self.target.is_some() {
            return Err(Error::msg(
                "ERROR: more than one --output that comes here is not supported by wharf yet",
            ));
        }
        if target == Target::Stdout && tty::is_terminal(io::stdout()) {
            return Err(Error::msg(
                "ERROR: dest file is required for tar exporter. refusing to write to console",
            ));
        }
        self.target = Some(target);
        self.asked.push(Output {
            kind,
            names,
            push: false,
        });
        Ok(())
    }
}

/// Takes the archive's bytes.
pub(crate) enum Sink {
    /// No archive is expected.
    Nothing,
    /// Unpacks them.
    Directory {
        sender: mpsc::Sender<Bytes>,
        work: JoinHandle<io::Result<()>>,
        told: String,
    },
    /// Writes them under another name first: a file that is there holds a whole archive.
    File {
        file: File,
        partial: PathBuf,
        path: PathBuf,
    },
    /// Writes them to what is no regular file.
    Device { file: File, told: String },
    /// Passes them on.
    Stdout,
}

impl Sink {
    /// Opens what `target` says.
    pub(crate) fn open(target: Option<Target>) -> Result<Self> {
        match target {
            None => Ok(Self::Nothing),
            Some(Target::Stdout) => Ok(Self::Stdout),
            Some(Target::Directory(path)) => {
                let told = path.display().to_string();
                std::fs::create_dir_all(&path).map_err(|e| Error::file("mkdir", &told, &e))?;
                let root = File::open(&path).map_err(|e| Error::file("open", &told, &e))?;
                let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
                let work = tokio::task::spawn_blocking(move || {
                    let chunks = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
                    let chunks = futures_util::StreamExt::map(chunks, Ok::<_, io::Error>);
                    let source = SyncIoBridge::new(StreamReader::new(chunks));
                    unpack(&root, source)
                });
                Ok(Self::Directory { sender, work, told })
            }
            Some(Target::File(path)) => {
                if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
                    return Self::device(&path);
                }
                // A link stays one: what it leads to is replaced.
                let path = std::fs::canonicalize(&path).unwrap_or(path);
                let mut partial = path.clone().into_os_string();
                partial.push(format!(".{}.partial", std::process::id()));
                let partial = PathBuf::from(partial);
                let told = path.display().to_string();
                let file = File::create(&partial).map_err(|e| Error::file("open", &told, &e))?;
                Ok(Self::File {
                    file,
                    partial,
                    path,
                })
            }
        }
    }

    /// A pipe or a device is written to, and stays one.
    fn device(path: &Path) -> Result<Self> {
        let told = path.display().to_string();
        let opened = File::options().write(true).open(path);
        let file = opened.map_err(|e| Error::file("open", &told, &e))?;
        Ok(Self::Device { file, told })
    }

    /// Takes the next bytes.
    pub(crate) async fn take(&mut self, bytes: Bytes) -> Result {
        match self {
            Self::Nothing => Err(Error::msg(
                "the daemon sent an archive that nobody asked for",
            )),
            Self::Directory { sender, .. } => {
                // Who stopped reading says why at the end.
                let _ = sender.send(bytes).await;
                Ok(())
            }
            Self::File { file, path, .. } => file
                .write_all(&bytes)
                .map_err(|e| Error::file("write", &path.display().to_string(), &e)),
            Self::Device { file, told } => {
                let mut file = file
                    .try_clone()
                    .map_err(|e| Error::file("write", told, &e))?;
                let written = aside(move || file.write_all(&bytes)).await?;
                written.map_err(|e| Error::file("write", told, &e))
            }
            Self::Stdout => {
                let written = aside(move || io::stdout().lock().write_all(&bytes)).await?;
                written.map_err(|e| Error::stdio(&e))
            }
        }
    }

    /// All of it came.
    pub(crate) async fn end(mut self) -> Result {
        match &mut self {
            Self::Nothing => Ok(()),
            Self::Directory { sender, work, told } => {
                // Its end is what the other side waits for.
                let (closed, _) = mpsc::channel(1);
                *sender = closed;
                let done = work.await.map_err(|e| Error::msg(e.to_string()))?;
                done.map_err(|e| Error::file("write", told, &e))
            }
            Self::File { partial, path, .. } => {
                let renamed = std::fs::rename(&*partial, &*path);
                renamed.map_err(|e| Error::file("rename", &path.display().to_string(), &e))
            }
            Self::Device { .. } => Ok(()),
            Self::Stdout => {
                let flushed = aside(|| io::stdout().lock().flush()).await?;
                flushed.map_err(|e| Error::stdio(&e))
            }
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Self::File { partial, .. } = self {
            // What is not whole is of no use; a whole one has its own name by now.
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// What may wait for another program, which an interrupt must not wait for.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::msg(e.to_string()))
}

/// Makes the archive's files below `root`, and nowhere else, as the user's own.
fn unpack(root: &File, source: impl io::Read) -> io::Result<()> {
    let placer = Placer {
        root: root.as_fd(),
        dest: Vec::new(),
        keep_kinds: false,
        ids: None,
        rename: None,
        whole: false,
    };
    placer.place(BufReader::with_capacity(64 << 10, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn outputs(args: &[&str]) -> Result<Outputs> {
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        let m = parse(&[crate::verbs::BUILD_FLAGS], true, &args).unwrap();
        Outputs::of(&m)
    }

    #[test]
    fn an_image_is_made_unless_something_else_is_asked_for() {
        let only = |push| Outputs {
            asked: vec![image(Vec::new(), push)],
            target: None,
        };
        assert_eq!(outputs(&[]).unwrap(), only(false));
        assert_eq!(outputs(&["--load"]).unwrap(), only(false));
        assert_eq!(outputs(&["--push"]).unwrap(), only(true));
        assert_eq!(outputs(&["-o", "type=registry"]).unwrap(), only(true));
        assert_eq!(outputs(&["-o", "type=docker"]).unwrap(), only(false));
        assert_eq!(
            outputs(&["-o", "type=cacheonly"]).unwrap(),
            Outputs::default()
        );
        let named = outputs(&["-o", "type=image,\"name=a,b:1\",push=true"]).unwrap();
        assert_eq!(
            named.asked,
            [image(vec!["a:latest".into(), "b:1".into()], true)]
        );
    }

    #[tokio::test]
    async fn devices_are_written_to_and_links_stay() {
        use std::os::unix::fs::FileTypeExt as _;
        let give = |path: PathBuf| async {
            let mut sink = Sink::open(Some(Target::File(path))).unwrap();
            sink.take(Bytes::from_static(b"some")).await.unwrap();
            sink.end().await.unwrap();
        };
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        give(link.clone()).await;
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"some");
        let device = dir.path().join("device");
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        give(device.clone()).await;
        let kind = std::fs::metadata(&device).unwrap().file_type();
        assert!(kind.is_char_device());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn archives_come_here() {
        let target = |args: &[&str]| outputs(args).map(|o| (o.asked[0].kind, o.target));
        assert_eq!(
            target(&["-o", "out"]).unwrap(),
            (OutputKind::Files, Some(Target::Directory("out".into())))
        );
        assert_eq!(
            target(&["-o", "type=oci,dest=x.tar"]).unwrap(),
            (OutputKind::Oci, Some(Target::File("x.tar".into())))
        );
        assert_eq!(
            target(&["-o", "type=docker,dest=x.tar"]).unwrap(),
            (OutputKind::Docker, Some(Target::File("x.tar".into())))
        );
        for (args, text) in [
            (
                &["-o", "type=local"][..],
                "ERROR: dest is required for local exporter",
            ),
            (&["-o", "dest=x"], "ERROR: type is required for output"),
            (
                &["-o", "type=oci,dest=x,compression=zstd"],
                "ERROR: --output compression=zstd is not supported by wharf yet",
            ),
            (
                &["-o", "a", "-o", "b"],
                "ERROR: more than one --output that comes here is not supported by wharf yet",
            ),
            (
                &["-o", "a", "--push"],
                "ERROR: --push needs an image, and no --output makes one",
            ),
        ] {
            assert_eq!(outputs(args).unwrap_err().to_string(), text);
        }
    }
}
