//! `info`.

use serde_json::{Value, json};
use types::version::ApiVersion;

use super::{
    Context,
    version::{VERSION, platform},
};
use crate::{
    client::Request,
    error::Result,
    flags::{FORMAT, Flag, Matches},
    format::{output, size, template::Document},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[FORMAT];

/// `docker info`.
pub(crate) async fn info(context: &Context, m: Matches) -> Result {
    let format = m.text("format");
    let document = if format.is_empty() {
        None
    } else {
        Some(Document::parse("", &format)?)
    };
    let answer: std::result::Result<Value, _> = Request::get("/info").decode(&context.client).await;
    let (os, arch) = platform();
    let client = json!({
        "Debug": context.debug, "Version": VERSION, "DefaultAPIVersion": ApiVersion::MAX.to_string(),
        "Os": os, "Arch": arch, "Context": "default", "Plugins": [], "Warnings": null,
    });
    if let Some(document) = document {
        let (mut all, error) = match answer {
            Ok(info) => (info, None),
            Err(e) => (json!({}), Some(e)),
        };
        if let Some(all) = all.as_object_mut() {
            all.insert("ClientInfo".to_owned(), client);
        }
        return match (document.render(&all), error) {
            (Ok(line), None) => output::line(&line),
            (Ok(line), Some(e)) => output::line(&line).and(Err(e.into())),
            // What the template misses is the daemon; that is the better complaint.
            (Err(_), Some(e)) => Err(e.into()),
            (Err(e), None) => Err(e),
        };
    }
    let mut out = format!(
        "Client:\n Version:    {VERSION}\n Context:    default\n Debug Mode: {}\n\nServer:\n",
        context.debug
    );
    match answer {
        Ok(info) => {
            out.push_str(&show(&info));
            out.push('\n');
            output::print(&out)?;
            for warning in strings(&info, "/Warnings") {
                output::complain(&warning);
            }
            Ok(())
        }
        Err(e) => {
            output::print(&out)?;
            Err(e.into())
        }
    }
}

fn strings(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}

/// The server's part.
fn show(info: &Value) -> String {
    let mut out = String::new();
    let text = |name: &str| match info.pointer(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let mut line = |indent: usize, name: &str, value: &str| {
        out.push_str(&format!("{}{name}: {value}\n", " ".repeat(indent)));
    };
    for (indent, name, key) in [
        (1, "Containers", "/Containers"),
        (2, "Running", "/ContainersRunning"),
        (2, "Paused", "/ContainersPaused"),
        (2, "Stopped", "/ContainersStopped"),
        (1, "Images", "/Images"),
    ] {
        line(indent, name, &text(key));
    }
    let optional: &[(&str, &str)] = &[
        ("Server Version", "/ServerVersion"),
        ("Storage Driver", "/Driver"),
    ];
    for (name, key) in optional.iter().filter(|(_, key)| !text(key).is_empty()) {
        line(1, name, &text(key));
    }
    let pairs = info.get("DriverStatus").and_then(Value::as_array);
    for pair in pairs.into_iter().flatten() {
        let part = |n: usize| pair.get(n).and_then(Value::as_str).unwrap_or_default();
        line(2, part(0), part(1));
    }
    for (name, key) in [
        ("Logging Driver", "/LoggingDriver"),
        ("Cgroup Driver", "/CgroupDriver"),
        ("Cgroup Version", "/CgroupVersion"),
    ] {
        if !text(key).is_empty() {
            line(1, name, &text(key));
        }
    }
    out.push_str(" Plugins:\n");
    for (name, key) in [
        ("Volume", "/Plugins/Volume"),
        ("Network", "/Plugins/Network"),
        ("Authorization", "/Plugins/Authorization"),
        ("Log", "/Plugins/Log"),
    ] {
        let list = strings(info, key);
        if name != "Authorization" || !list.is_empty() {
            out.push_str(&format!("  {name}: {}\n", list.join(" ")));
        }
    }
    out.push_str(&format!(" Swarm: {}\n", text("/Swarm/LocalNodeState")));
    let runtimes: Vec<String> = match info.get("Runtimes").and_then(Value::as_object) {
        Some(map) => {
            let mut names: Vec<String> = map.keys().cloned().collect();
            names.sort_unstable();
            names
        }
        None => Vec::new(),
    };
    if !runtimes.is_empty() {
        out.push_str(&format!(" Runtimes: {}\n", runtimes.join(" ")));
        out.push_str(&format!(" Default Runtime: {}\n", text("/DefaultRuntime")));
    }
    if text("/OSType") == "linux" {
        for (name, key) in [
            ("Init Binary", "/InitBinary"),
            ("containerd version", "/ContainerdCommit/ID"),
            ("runc version", "/RuncCommit/ID"),
            ("init version", "/InitCommit/ID"),
        ] {
            out.push_str(&format!(" {name}: {}\n", text(key)));
        }
    }
    security(info, &mut out);
    let memory = info.get("MemTotal").and_then(Value::as_i64).unwrap_or(0);
    for (name, value) in [
        ("Kernel Version", text("/KernelVersion")),
        ("Operating System", text("/OperatingSystem")),
        ("OSType", text("/OSType")),
        ("Architecture", text("/Architecture")),
        ("CPUs", text("/NCPU")),
        ("Total Memory", size::binary(memory)),
        ("Name", text("/Name")),
        ("ID", text("/ID")),
        ("Docker Root Dir", text("/DockerRootDir")),
        ("Debug Mode", text("/Debug")),
    ] {
        out.push_str(&format!(" {name}: {value}\n"));
    }
    if text("/Debug") == "true" {
        for (name, key) in [
            ("File Descriptors", "/NFd"),
            ("Goroutines", "/NGoroutines"),
            ("System Time", "/SystemTime"),
            ("EventsListeners", "/NEventsListener"),
        ] {
            out.push_str(&format!("  {name}: {}\n", text(key)));
        }
    }
    for (name, key) in [
        ("HTTP Proxy", "/HttpProxy"),
        ("HTTPS Proxy", "/HttpsProxy"),
        ("No Proxy", "/NoProxy"),
    ] {
        if !text(key).is_empty() {
            out.push_str(&format!(" {name}: {}\n", text(key)));
        }
    }
    listed("Labels", &strings(info, "/Labels"), &mut out);
    out.push_str(&format!(" Experimental: {}\n", text("/ExperimentalBuild")));
    let mut insecure: Vec<String> = Vec::new();
    if let Some(indexes) = info
        .pointer("/RegistryConfig/IndexConfigs")
        .and_then(Value::as_object)
    {
        let open = |v: &Value| v.get("Secure") == Some(&Value::Bool(false));
        insecure.extend(
            indexes
                .iter()
                .filter(|(_, v)| open(v))
                .map(|(name, _)| name.clone()),
        );
    }
    insecure.extend(strings(info, "/RegistryConfig/InsecureRegistryCIDRs"));
    listed("Insecure Registries", &insecure, &mut out);
    listed(
        "Registry Mirrors",
        &strings(info, "/RegistryConfig/Mirrors"),
        &mut out,
    );
    out.push_str(&format!(
        " Live Restore Enabled: {}\n",
        text("/LiveRestoreEnabled")
    ));
    out
}

fn listed(name: &str, items: &[String], out: &mut String) {
    if !items.is_empty() {
        out.push_str(&format!(" {name}:\n"));
        for item in items {
            out.push_str(&format!("  {item}\n"));
        }
    }
}

/// Each option as its name, and its further parts below.
fn security(info: &Value, out: &mut String) {
    let options = strings(info, "/SecurityOptions");
    if options.is_empty() {
        return;
    }
    out.push_str(" Security Options:\n");
    for option in options {
        for part in option.split(',') {
            match part.split_once('=') {
                Some(("name", name)) => out.push_str(&format!("  {name}\n")),
                Some(("profile", profile)) => out.push_str(&format!("   Profile: {profile}\n")),
                Some((name, value)) => out.push_str(&format!("   {name}: {value}\n")),
                None => out.push_str(&format!("  {part}\n")),
            }
        }
    }
}
