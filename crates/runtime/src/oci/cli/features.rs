//! `features`: what this runtime can do, as the specification's "Features Structure" has it.

use serde_json::json;

use super::{SPEC_VERSION, print_json};
use crate::caps;

pub(super) fn features() -> u8 {
    print_json(&json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": caps::CapSet::all().names(),
            "intelRdt": { "enabled": false },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "netDevices": { "enabled": false },
        },
    }))
}
