//! `context export`, `import`.

use std::{fs::File, io::Write, os::unix::fs::OpenOptionsExt};

use super::{Context, check_new, get, store};
use crate::{
    error::{Error, Result},
    flags::Matches,
    format::{output, quote},
    tty,
};

/// `docker context export`.
pub(crate) async fn export(context: &Context, m: Matches) -> Result {
    let name = &m.args[0];
    let usual = format!("{name}.dockercontext");
    let path = m.args.get(1).unwrap_or(&usual);
    let (meta, material) = get(context, name)?;
    let archive = store(context).export(&meta, &material)?;
    if path == "-" {
        if tty::is_terminal(std::io::stdout()) {
            return Err(Error::msg(
                "cowardly refusing to export to a terminal, specify a file path",
            ));
        }
        let mut out = std::io::stdout().lock();
        return out
            .write_all(&archive)
            .and_then(|()| out.flush())
            .map_err(|e| Error::stdio(&e));
    }
    // It may hold a key.
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| Error::file("open", path, &e))?;
    file.write_all(&archive)
        .map_err(|e| Error::file("write", path, &e))?;
    output::complain(&format!("Written file {}", quote(path)));
    Ok(())
}

/// `docker context import`.
pub(crate) async fn import(context: &Context, m: Matches) -> Result {
    let (name, path) = (&m.args[0], &m.args[1]);
    let store = store(context);
    check_new(&store, name)?;
    if path == "-" {
        store.import(name, std::io::stdin().lock())?;
    } else {
        let file = File::open(path).map_err(|e| Error::file("open", path, &e))?;
        store.import(name, file)?;
    }
    output::line(name)?;
    output::complain(&format!("Successfully imported context {}", quote(name)));
    Ok(())
}
