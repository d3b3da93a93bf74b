//! `builder ls` and `builder inspect`: wharf builds by itself, so there is one builder.

use serde_json::{Value, json};

use super::{super::Context, only_default};
use crate::{
    client::Request,
    error::Result,
    flags::{FORMAT_TABLE, Flag, Matches, switch},
    format::{output, template},
};

/// Flags of `ls`.
pub(crate) const LS: &[Flag] = &[FORMAT_TABLE, switch("no-trunc", "Don't truncate output")];

/// Flags of `inspect`.
pub(crate) const INSPECT: &[Flag] = &[switch(
    "bootstrap",
    "Ensure builder has booted before inspecting: it has",
)];

const HEADERS: &[(&str, &str)] = &[
    ("Buildkit", "BUILDKIT"),
    ("DriverEndpoint", "DRIVER/ENDPOINT"),
    ("Name", "NAME/NODE"),
    ("Platforms", "PLATFORMS"),
    ("Status", "STATUS"),
];

const COLUMNS: &str =
    "table {{.Name}}\t{{.DriverEndpoint}}\t{{.Status}}\t{{.Buildkit}}\t{{.Platforms}}";

/// The daemon's version and platform.
struct Node {
    version: String,
    platform: String,
}

async fn node(context: &Context) -> Result<Node> {
    let told: Value = Request::get("/version").decode(&context.client).await?;
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    Ok(Node {
        version: format!("wharf {}", text("Version")),
        platform: format!("{}/{}", text("Os"), text("Arch")),
    })
}

/// `docker buildx ls`.
pub(crate) async fn ls(context: &Context, m: Matches) -> Result {
    let node = node(context).await?;
    let rows = [
        json!({
            "Name": "default*", "DriverEndpoint": "wharf", "Status": "", "Buildkit": "",
            "Platforms": "",
        }),
        json!({
            "Name": " \\_ default", "DriverEndpoint": " \\_ default", "Status": "running",
            "Buildkit": node.version, "Platforms": node.platform,
        }),
    ];
    let format = m.text("format");
    if format == "json" {
        let one = json!({
            "Current": true, "Driver": "wharf", "Dynamic": false, "Name": "default",
            "Nodes": [{
                "Endpoint": "default", "Name": "default", "Platforms": [node.platform],
                "Status": "running", "Version": node.version,
            }],
        });
        return output::line(&one.to_string());
    }
    output::print(&template::rows(&format, COLUMNS, HEADERS, &rows)?)
}

/// `docker buildx inspect`.
pub(crate) async fn inspect(context: &Context, m: Matches) -> Result {
    only_default(&m.args)?;
    let node = node(context).await?;
    output::print(&format!(
        "Name:   default\nDriver: wharf\n\nNodes:\nName:             default\nEndpoint:         default\nStatus:           running\nBuildKit version: {}\nPlatforms:        {}\n",
        node.version, node.platform
    ))
}

/// `docker buildx version`.
pub(crate) fn version() -> Result {
    output::line(concat!("wharf ", env!("CARGO_PKG_VERSION")))
}
