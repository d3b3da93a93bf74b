//! `save` and `export`: an archive on standard output or in a file.

use std::{fs::File, io::Write, path::Path};

use super::Context;
use crate::{
    client::{Answer, Request},
    error::{Error, Result},
    flags::{Flag, Matches, text},
    format::output,
    progress::Meter,
    tty,
};

/// Flags of `save`.
pub(crate) const SAVE: &[Flag] = &[
    text("output", "Write to a file, instead of STDOUT").short('o'),
    text(
        "platform",
        "Save only the given platform variant. Formatted as os[/arch[/variant]] (e.g., linux/amd64)",
    ),
];

/// Flags of `export`.
pub(crate) const EXPORT: &[Flag] =
    &[text("output", "Write to a file, instead of STDOUT").short('o')];

/// `docker save`.
pub(crate) async fn save(context: &Context, m: Matches) -> Result {
    let target = target(&m)?;
    let mut request = Request::get("/images/get");
    for name in &m.args {
        request = request.query("names", name);
    }
    if let Some(platform) = m.get("platform") {
        request = request.query_platform(platform);
    }
    write(request.send(&context.client).await?, target).await
}

/// `docker export`.
pub(crate) async fn export(context: &Context, m: Matches) -> Result {
    let target = target(&m)?;
    let request = Request::get(&format!("/containers/{}/export", m.args[0]));
    write(request.send(&context.client).await?, target).await
}

/// `volume export`.
pub(crate) async fn export_volume(context: &Context, m: Matches) -> Result {
    let target = target(&m)?;
    let request = Request::get(&format!("/wharf/volumes/{}/archive", m.args[0]));
    let answer = request.send(&context.client).await?;
    for warning in answer.headers("x-wharf-warning") {
        output::complain(&format!("WARNING: {warning}"));
    }
    write(answer, target).await
}

/// Where it goes; nowhere but a file or a pipe.
fn target(m: &Matches) -> Result<Option<String>> {
    let path = m.text("output");
    if path.is_empty() {
        if tty::is_terminal(std::io::stdout()) {
            return Err(Error::msg(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        return Ok(None);
    }
    let folder = Path::new(&path)
        .parent()
        .filter(|p| !p.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Error::msg(format!(
            "invalid output path: directory \"{}\" does not exist",
            folder.map(|f| f.display().to_string()).unwrap_or_default()
        )));
    }
    file_at(&path).map(Some)
}

/// `path` without links, which stay what they are; nothing but a file may be there, or nothing.
fn file_at(path: &str) -> Result<String> {
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(Error::msg(format!(
            "invalid output path: \"{path}\" must be a file, and is a directory"
        ))),
        Ok(there) if !there.is_file() => Err(Error::msg(format!(
            "invalid output path: \"{path}\" must be a directory or a regular file"
        ))),
        Ok(_) => {
            let real = std::fs::canonicalize(path).map_err(|e| Error::file("open", path, &e))?;
            // A name that is not UTF-8 is kept as it was given.
            Ok(real.to_str().map_or_else(|| path.to_owned(), str::to_owned))
        }
        Err(_) => Ok(path.to_owned()),
    }
}

/// Under a name of its own first: a file that is there holds a whole archive.
async fn write(mut answer: Answer<'_>, target: Option<String>) -> Result {
    let Some(path) = target else {
        let mut out = std::io::stdout().lock();
        while let Some(chunk) = answer.chunk().await? {
            out.write_all(&chunk).map_err(|e| Error::stdio(&e))?;
        }
        return out.flush().map_err(|e| Error::stdio(&e));
    };
    let mut meter = Meter::new("Writing - ", false);
    let mut saved = 0;
    let partial = format!("{path}.{}.partial", std::process::id());
    let failed = |e: &std::io::Error| Error::file("write", &path, e);
    let written = async {
        let mut file = File::create(&partial).map_err(|e| failed(&e))?;
        while let Some(chunk) = answer.chunk().await? {
            file.write_all(&chunk).map_err(|e| failed(&e))?;
            saved += chunk.len() as u64;
            meter.show(saved);
        }
        std::fs::rename(&partial, &path).map_err(|e| failed(&e))
    };
    let written = written.await;
    if written.is_err() {
        // What is not whole is of no use.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_refused_and_links_stay() {
        let error = file_at("/dev/null").unwrap_err().to_string();
        assert!(error.contains("regular file"), "{error}");
        assert!(file_at("/").is_err());
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let real = real.canonicalize().unwrap();
        assert_eq!(
            file_at(link.to_str().unwrap()).unwrap(),
            real.to_str().unwrap()
        );
        let none = dir.path().join("none");
        assert_eq!(
            file_at(none.to_str().unwrap()).unwrap(),
            none.to_str().unwrap()
        );
    }
}
