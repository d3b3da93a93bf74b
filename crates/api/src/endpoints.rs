//! Every endpoint of the Docker Engine API 1.24 to 1.51, those that are not served yet included:
//! they are refused by name, where an unknown path is "page not found". A test compares this
//! table with the API's descriptions in `spec/`.

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    ArchiveGet,
    ArchiveInfo,
    ArchivePut,
    Auth,
    Build,
    BuildCancel,
    BuildContents,
    BuildContext,
    BuildPrune,
    BuildRecords,
    BuildSession,
    Commit,
    ContainerAttach,
    ContainerAttachWs,
    ContainerChanges,
    ContainerCreate,
    ContainerExport,
    ContainerInspect,
    ContainerKill,
    ContainerList,
    ContainerLogs,
    ContainerPause,
    ContainerPrune,
    ContainerRemove,
    ContainerRename,
    ContainerResize,
    ContainerRestart,
    ContainerStart,
    ContainerStats,
    ContainerStop,
    ContainerTop,
    ContainerUnpause,
    ContainerUpdate,
    ContainerWait,
    DiskUsage,
    Distribution,
    Events,
    Firewall,
    Gc,
    ExecCreate,
    ExecInspect,
    ExecResize,
    ExecStart,
    ImageCreate,
    ImageGet,
    ImageHistory,
    ImageInspect,
    ImageList,
    ImageLoad,
    ImagePrune,
    ImagePush,
    ImageRemove,
    ImageSearch,
    ImageTag,
    ImagesGet,
    Info,
    NetworkConnect,
    NetworkCreate,
    NetworkDisconnect,
    NetworkInspect,
    NetworkList,
    NetworkPrune,
    NetworkRemove,
    Ping,
    RemoteManifest,
    RemotePut,
    RemoteRemove,
    RemoteTags,
    Version,
    VolumeCopy,
    VolumeCreate,
    VolumeExport,
    VolumeImport,
    VolumeInspect,
    VolumeList,
    VolumePrune,
    VolumeRemove,
    VolumeUpdate,
    /// Known, and not served yet.
    Unsupported,
}

/// A method and a path; one `{name}` stands for one or more segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) op: Op,
}

const fn on(method: &'static str, path: &'static str, op: Op) -> Endpoint {
    Endpoint { method, path, op }
}

/// The table.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    on("GET", "/containers/json", Op::ContainerList),
    on("POST", "/containers/create", Op::ContainerCreate),
    on("GET", "/containers/{id}/json", Op::ContainerInspect),
    on("GET", "/containers/{id}/top", Op::ContainerTop),
    on("GET", "/containers/{id}/logs", Op::ContainerLogs),
    on("GET", "/containers/{id}/changes", Op::ContainerChanges),
    on("GET", "/containers/{id}/export", Op::ContainerExport),
    on("GET", "/containers/{id}/stats", Op::ContainerStats),
    on("POST", "/containers/{id}/resize", Op::ContainerResize),
    on("POST", "/containers/{id}/start", Op::ContainerStart),
    on("POST", "/containers/{id}/stop", Op::ContainerStop),
    on("POST", "/containers/{id}/restart", Op::ContainerRestart),
    on("POST", "/containers/{id}/kill", Op::ContainerKill),
    on("POST", "/containers/{id}/update", Op::ContainerUpdate),
    on("POST", "/containers/{id}/rename", Op::ContainerRename),
    on("POST", "/containers/{id}/pause", Op::ContainerPause),
    on("POST", "/containers/{id}/unpause", Op::ContainerUnpause),
    on("POST", "/containers/{id}/attach", Op::ContainerAttach),
    on("GET", "/containers/{id}/attach/ws", Op::ContainerAttachWs),
    on("POST", "/containers/{id}/wait", Op::ContainerWait),
    on("DELETE", "/containers/{id}", Op::ContainerRemove),
    on("HEAD", "/containers/{id}/archive", Op::ArchiveInfo),
    on("GET", "/containers/{id}/archive", Op::ArchiveGet),
    on("PUT", "/containers/{id}/archive", Op::ArchivePut),
    on("POST", "/containers/prune", Op::ContainerPrune),
    on("GET", "/images/json", Op::ImageList),
    on("POST", "/build", Op::Build),
    on("POST", "/build/prune", Op::BuildPrune),
    on("POST", "/images/create", Op::ImageCreate),
    on("GET", "/images/{name}/json", Op::ImageInspect),
    on("GET", "/images/{name}/history", Op::ImageHistory),
    on("POST", "/images/{name}/push", Op::ImagePush),
    on("POST", "/images/{name}/tag", Op::ImageTag),
    on("DELETE", "/images/{name}", Op::ImageRemove),
    on("GET", "/images/search", Op::ImageSearch),
    on("POST", "/images/prune", Op::ImagePrune),
    on("POST", "/auth", Op::Auth),
    on("GET", "/info", Op::Info),
    on("GET", "/version", Op::Version),
    on("GET", "/_ping", Op::Ping),
    on("HEAD", "/_ping", Op::Ping),
    on("POST", "/commit", Op::Commit),
    on("GET", "/events", Op::Events),
    on("GET", "/system/df", Op::DiskUsage),
    on("GET", "/images/{name}/get", Op::ImageGet),
    on("GET", "/images/get", Op::ImagesGet),
    on("POST", "/images/load", Op::ImageLoad),
    on("POST", "/containers/{id}/exec", Op::ExecCreate),
    on("POST", "/exec/{id}/start", Op::ExecStart),
    on("POST", "/exec/{id}/resize", Op::ExecResize),
    on("GET", "/exec/{id}/json", Op::ExecInspect),
    on("GET", "/volumes", Op::VolumeList),
    on("POST", "/volumes/create", Op::VolumeCreate),
    on("GET", "/volumes/{name}", Op::VolumeInspect),
    on("PUT", "/volumes/{name}", Op::VolumeUpdate),
    on("DELETE", "/volumes/{name}", Op::VolumeRemove),
    on("POST", "/volumes/prune", Op::VolumePrune),
    on("GET", "/networks", Op::NetworkList),
    on("GET", "/networks/{id}", Op::NetworkInspect),
    on("DELETE", "/networks/{id}", Op::NetworkRemove),
    on("POST", "/networks/create", Op::NetworkCreate),
    on("POST", "/networks/{id}/connect", Op::NetworkConnect),
    on("POST", "/networks/{id}/disconnect", Op::NetworkDisconnect),
    on("POST", "/networks/prune", Op::NetworkPrune),
    on("GET", "/plugins", Op::Unsupported),
    on("GET", "/plugins/privileges", Op::Unsupported),
    on("POST", "/plugins/pull", Op::Unsupported),
    on("GET", "/plugins/{name}/json", Op::Unsupported),
    on("DELETE", "/plugins/{name}", Op::Unsupported),
    on("POST", "/plugins/{name}/enable", Op::Unsupported),
    on("POST", "/plugins/{name}/disable", Op::Unsupported),
    on("POST", "/plugins/{name}/upgrade", Op::Unsupported),
    on("POST", "/plugins/create", Op::Unsupported),
    on("POST", "/plugins/{name}/push", Op::Unsupported),
    on("POST", "/plugins/{name}/set", Op::Unsupported),
    on("GET", "/nodes", Op::Unsupported),
    on("GET", "/nodes/{id}", Op::Unsupported),
    on("DELETE", "/nodes/{id}", Op::Unsupported),
    on("POST", "/nodes/{id}/update", Op::Unsupported),
    on("GET", "/swarm", Op::Unsupported),
    on("POST", "/swarm/init", Op::Unsupported),
    on("POST", "/swarm/join", Op::Unsupported),
    on("POST", "/swarm/leave", Op::Unsupported),
    on("POST", "/swarm/update", Op::Unsupported),
    on("GET", "/swarm/unlockkey", Op::Unsupported),
    on("POST", "/swarm/unlock", Op::Unsupported),
    on("GET", "/services", Op::Unsupported),
    on("POST", "/services/create", Op::Unsupported),
    on("GET", "/services/{id}", Op::Unsupported),
    on("DELETE", "/services/{id}", Op::Unsupported),
    on("POST", "/services/{id}/update", Op::Unsupported),
    on("GET", "/services/{id}/logs", Op::Unsupported),
    on("GET", "/tasks", Op::Unsupported),
    on("GET", "/tasks/{id}", Op::Unsupported),
    on("GET", "/tasks/{id}/logs", Op::Unsupported),
    on("GET", "/secrets", Op::Unsupported),
    on("POST", "/secrets/create", Op::Unsupported),
    on("GET", "/secrets/{id}", Op::Unsupported),
    on("DELETE", "/secrets/{id}", Op::Unsupported),
    on("POST", "/secrets/{id}/update", Op::Unsupported),
    on("GET", "/configs", Op::Unsupported),
    on("POST", "/configs/create", Op::Unsupported),
    on("GET", "/configs/{id}", Op::Unsupported),
    on("DELETE", "/configs/{id}", Op::Unsupported),
    on("POST", "/configs/{id}/update", Op::Unsupported),
    on("GET", "/distribution/{name}/json", Op::Distribution),
    on("POST", "/session", Op::Unsupported),
    // BuildKit's, in no description: by an upgrade to h2c, like /session.
    on("POST", "/grpc", Op::Unsupported),
    // Our own; of builds see `types::build`.
    on("POST", "/build/cancel", Op::BuildCancel),
    on("POST", "/wharf/build", Op::BuildSession),
    on("POST", "/wharf/build/context", Op::BuildContext),
    on("POST", "/wharf/build/content", Op::BuildContents),
    on("GET", "/wharf/build/records", Op::BuildRecords),
    on("GET", "/wharf/manifests/{name}", Op::RemoteManifest),
    on("PUT", "/wharf/manifests/{name}", Op::RemotePut),
    on("DELETE", "/wharf/manifests/{name}", Op::RemoteRemove),
    on("GET", "/wharf/tags/{name}", Op::RemoteTags),
    on("GET", "/wharf/firewall", Op::Firewall),
    on("POST", "/wharf/gc", Op::Gc),
    on("POST", "/wharf/volumes/{name}/copy", Op::VolumeCopy),
    on("GET", "/wharf/volumes/{name}/archive", Op::VolumeExport),
    on("PUT", "/wharf/volumes/{name}/archive", Op::VolumeImport),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DESCRIPTIONS: [&str; 2] = [
        include_str!("../../../spec/docker-engine-api-1.41.yaml"),
        include_str!("../../../spec/docker-engine-api-1.51.yaml"),
    ];

    /// Methods and paths of a description, by indentation: the descriptions are regular.
    fn described(description: &str) -> BTreeSet<(String, String)> {
        let mut path = String::new();
        let mut found = BTreeSet::new();
        let lines = description.lines().skip_while(|line| *line != "paths:");
        for line in lines.skip(1) {
            if let Some(rest) = line.strip_prefix("  /") {
                path = format!("/{}", rest.trim_end_matches(':').trim_end_matches('"'));
            } else if let Some(rest) = line.strip_prefix("  \"/") {
                path = format!("/{}", rest.trim_end_matches(':').trim_end_matches('"'));
            } else if let Some(method) = line.strip_prefix("    ").and_then(|l| l.strip_suffix(':'))
                && matches!(method, "get" | "head" | "post" | "put" | "delete" | "patch")
            {
                found.insert((method.to_uppercase(), path.clone()));
            }
        }
        found
    }

    #[test]
    fn the_table_is_what_the_descriptions_say() {
        let ours: BTreeSet<_> = ENDPOINTS
            .iter()
            .map(|e| (e.method.to_owned(), e.path.to_owned()))
            .collect();
        assert_eq!(ours.len(), ENDPOINTS.len(), "one entry each");
        let theirs: BTreeSet<_> = DESCRIPTIONS.iter().flat_map(|d| described(d)).collect();
        assert!(theirs.len() >= 107);
        assert_eq!(theirs.difference(&ours).next(), None);
        let mut more = ours.difference(&theirs);
        let known = ["/grpc", "/build/cancel"];
        assert!(
            more.all(|(_, path)| path.starts_with("/wharf/") || known.contains(&path.as_str()))
        );
    }
}
