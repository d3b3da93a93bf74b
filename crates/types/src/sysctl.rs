//! Kernel settings that belong to a namespace.

/// Settings of the IPC namespace, besides `fs.mqueue.*`.
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Whether the setting, written with dots, belongs to the IPC namespace.
#[must_use]
pub fn is_ipc(name: &str) -> bool {
    IPC.contains(&name) || name.starts_with("fs.mqueue.")
}

/// Whether the setting, written with dots, belongs to the network namespace.
#[must_use]
pub fn is_network(name: &str) -> bool {
    name.starts_with("net.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_they_are() {
        assert!(is_ipc("kernel.sem") && is_ipc("fs.mqueue.msg_max") && !is_ipc("kernel.hostname"));
        assert!(is_network("net.core.somaxconn") && !is_network("vm.swappiness"));
    }
}
