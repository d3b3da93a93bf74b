//! dockerd's configuration file.

use std::{fs, io, path::Path};

use serde_json::{Map, Value};

/// Reads `path`; a file that is not there is empty unless it was `asked` for, and so is an empty
/// one (`/dev/null`).
pub(crate) fn read(path: &Path, asked: bool) -> Result<Map<String, Value>, String> {
    let unable = |why: String| {
        format!(
            "unable to configure the Docker daemon with file {}: {why}",
            path.display()
        )
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound && !asked => return Ok(Map::new()),
        Err(e) => return Err(unable(e.to_string())),
    };
    // As dockerd: editors of other systems leave a mark in front.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|e| unable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_no_file() {
        assert!(read(Path::new("/dev/null"), true).is_ok());
        assert!(read(Path::new("/nowhere/daemon.json"), false).is_ok());
        let error = read(Path::new("/nowhere/daemon.json"), true).unwrap_err();
        assert!(error.contains("/nowhere"), "{error}");
    }
}
