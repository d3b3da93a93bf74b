//! `version`.

use serde_json::{Map, Value, json};
use types::version::ApiVersion;

use super::Context;
use crate::{
    client::Request,
    error::Result,
    flags::{FORMAT, Flag, Matches},
    format::{
        output,
        template::{Document, alias},
    },
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[FORMAT];

/// Go's names of this platform, which docker shows.
pub(crate) fn platform() -> (&'static str, &'static str) {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    (std::env::consts::OS, arch)
}

/// This program's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

fn client(context: &Context) -> Value {
    let (os, arch) = platform();
    json!({
        "Version": VERSION,
        "ApiVersion": context.client.version().to_string(),
        "DefaultAPIVersion": ApiVersion::MAX.to_string(),
        "Os": os,
        "Arch": arch,
        "Context": "default",
    })
}

/// `docker version`. What is known of the client is shown even if the daemon is not there.
pub(crate) async fn version(context: &Context, m: Matches) -> Result {
    let format = m.text("format");
    let document = if format.is_empty() {
        None
    } else {
        Some(Document::parse("version", &format)?)
    };
    let answer: std::result::Result<Value, _> =
        Request::get("/version").decode(&context.client).await;
    let (server, error) = match answer {
        Ok(server) => (server, None),
        Err(e) => (Value::Null, Some(e)),
    };
    let (mut client, mut server) = (client(context), server);
    for side in [&mut client, &mut server] {
        alias(side, &format, "ApiVersion", "APIVersion");
    }
    let text = match &document {
        Some(document) => {
            match (
                document.render(&json!({"Client": client, "Server": server})),
                &error,
            ) {
                (Ok(line), _) => format!("{line}\n"),
                // What the template misses is the daemon; that is the better complaint.
                (Err(_), Some(_)) => "\n".to_owned(),
                (Err(e), None) => return Err(e),
            }
        }
        None => show(&client, &server),
    };
    output::print(&text)?;
    error.map_or(Ok(()), |e| Err(e.into()))
}

fn show(client: &Value, server: &Value) -> String {
    let mut out = String::from("Client:\n");
    let mut line = |indent: usize, name: &str, value: &str| {
        let left = format!("{}{name}:", " ".repeat(indent));
        out.push_str(&format!("{left:<19} {value}\n"));
    };
    let text = |v: &Value, name: &str| {
        v.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (spoken, ours) = (
        text(client, "ApiVersion"),
        text(client, "DefaultAPIVersion"),
    );
    let api = if spoken == ours {
        spoken
    } else {
        format!("{spoken} (downgraded from {ours})")
    };
    line(1, "Version", &text(client, "Version"));
    line(1, "API version", &api);
    line(
        1,
        "OS/Arch",
        &format!("{}/{}", text(client, "Os"), text(client, "Arch")),
    );
    line(1, "Context", &text(client, "Context"));
    if server.is_null() {
        return out;
    }
    out.push_str("\nServer:");
    if let Some(name) = server
        .pointer("/Platform/Name")
        .and_then(Value::as_str)
        .filter(|n| !n.is_empty())
    {
        out.push_str(&format!(" {name}"));
    }
    out.push('\n');
    let empty = Vec::new();
    let components = server
        .get("Components")
        .and_then(Value::as_array)
        .unwrap_or(&empty);
    for component in components {
        out.push_str(&format!(" {}:\n", text(component, "Name")));
        let none = Map::new();
        let details = component
            .get("Details")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        let detail = |name: &str| {
            details
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mut line = |name: &str, value: &str| {
            let left = format!("  {name}:");
            out.push_str(&format!("{left:<19} {value}\n"));
        };
        line("Version", &text(component, "Version"));
        if text(component, "Name") == "Engine" {
            let (api, min) = (detail("ApiVersion"), detail("MinAPIVersion"));
            line("API version", &format!("{api} (minimum version {min})"));
            for (name, key) in [
                ("Go version", "GoVersion"),
                ("Git commit", "GitCommit"),
                ("Built", "BuildTime"),
            ] {
                // A daemon that was not built by Go has nothing to say here.
                if details.contains_key(key) && !detail(key).is_empty() {
                    line(name, &detail(key));
                }
            }
            line("OS/Arch", &format!("{}/{}", detail("Os"), detail("Arch")));
            line("Experimental", &detail("Experimental"));
        } else {
            let mut names: Vec<&String> = details.keys().collect();
            names.sort_unstable();
            for name in names {
                line(name, &detail(name));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_dockers() {
        let client = json!({"Version": "1", "ApiVersion": "1.41", "DefaultAPIVersion": "1.51",
            "Os": "linux", "Arch": "amd64", "Context": "default"});
        let server = json!({"Platform": {"Name": ""}, "Components": [
            {"Name": "Engine", "Version": "20", "Details": {"ApiVersion": "1.41", "MinAPIVersion": "1.12",
                "Os": "linux", "Arch": "amd64", "Experimental": "false"}},
            {"Name": "runc", "Version": "1.1", "Details": {"GitCommit": "abc"}}]});
        assert_eq!(
            show(&client, &server),
            "Client:\n Version:           1\n API version:       1.41 (downgraded from 1.51)\n OS/Arch:           linux/amd64\n Context:           default\n\nServer:\n Engine:\n  Version:          20\n  API version:      1.41 (minimum version 1.12)\n  OS/Arch:          linux/amd64\n  Experimental:     false\n runc:\n  Version:          1.1\n  GitCommit:        abc\n"
        );
    }
}
