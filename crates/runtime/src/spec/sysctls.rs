//! Kernel settings: only what belongs to a namespace that the container has for itself.

use std::collections::HashMap;

use types::sysctl;

use super::{ContainerSpec, Namespace};
use crate::Error;

/// All settings: Docker's defaults, then the user's.
pub(super) fn sysctls(container: &ContainerSpec) -> Result<HashMap<String, String>, Error> {
    let mut all = HashMap::new();
    // A network namespace of its own has nothing to protect from its own users.
    if container.network != Namespace::Host && !container.shares_network {
        let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
        set("net.ipv4.ip_unprivileged_port_start", "0");
        // The range must be mapped, which a user namespace does not promise.
        if container.user_namespace.is_none() {
            set("net.ipv4.ping_group_range", "0 2147483647");
        }
    }
    // OCI runtimes learnt `domainname` late; this does the same.
    if container.uts != Namespace::Host && !container.domainname.is_empty() {
        all.insert("kernel.domainname".to_owned(), container.domainname.clone());
    }
    for (name, value) in &container.sysctls {
        // Both ways of writing them are one setting, as for sysctl(8).
        let slashed =
            name.contains('/') && !name.split('/').next().is_some_and(|p| p.contains('.'));
        let dotted = if slashed {
            name.replace('/', "\u{0}")
                .replace('.', "/")
                .replace('\u{0}', ".")
        } else {
            name.clone()
        };
        check(container, name, &dotted)?;
        all.insert(dotted, value.clone());
    }
    Ok(all)
}

fn check(container: &ContainerSpec, name: &str, dotted: &str) -> Result<(), Error> {
    let host = Namespace::Host;
    // A name is a path under /proc/sys.
    let parts = || dotted.split(['.', '/']);
    let refused = if parts().any(|p| p.is_empty()) || dotted.contains('\0') {
        format!("sysctl '{name}' is not allowed")
    } else if sysctl::is_ipc(dotted) {
        if container.ipc != host {
            return Ok(());
        }
        format!("sysctl {name:?} is not allowed in the hosts ipc namespace")
    } else if sysctl::is_network(dotted) {
        if container.network != host {
            return Ok(());
        }
        format!("sysctl {name:?} not allowed in host network namespace")
    } else if dotted == "kernel.domainname" {
        if container.uts != host {
            return Ok(());
        }
        format!("sysctl {name:?} is not allowed in the hosts UTS namespace")
    } else if dotted == "kernel.hostname" {
        format!(
            "sysctl {name:?} is not allowed as it conflicts with the OCI \"hostname\" field: use \
             --hostname"
        )
    } else {
        format!("sysctl {name:?} is not in a separate kernel namespace")
    };
    Err(Error::Invalid(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, change: impl FnOnce(&mut ContainerSpec)) -> Result<String, String> {
        let mut spec = ContainerSpec {
            sysctls: [(name.to_owned(), "7".to_owned())].into(),
            ..ContainerSpec::default()
        };
        change(&mut spec);
        let all = sysctls(&spec).map_err(|e| e.to_string())?;
        let mut names = all.into_iter().filter(|(_, v)| v == "7").map(|(n, _)| n);
        names.next().ok_or_else(|| "absent".to_owned())
    }

    #[test]
    fn only_its_own() {
        let own = |name| of(name, |_| {});
        for good in ["net.core.somaxconn", "kernel.shmmax", "fs.mqueue.msg_max"] {
            assert_eq!(own(good).as_deref(), Ok(good));
        }
        assert_eq!(
            own("net/ipv4/conf/eth0.1/forwarding").as_deref(),
            Ok("net.ipv4.conf.eth0/1.forwarding")
        );
        for (bad, words) in [
            ("vm.swappiness", "is not in a separate kernel namespace"),
            ("kernel.hostname", "--hostname"),
            ("net..x", "is not allowed"),
            ("net.", "is not allowed"),
        ] {
            let error = own(bad).unwrap_err();
            assert!(error.contains(words) && error.contains(bad), "{error}");
        }
        let error = of("net.core.somaxconn", |s| s.network = Namespace::Host).unwrap_err();
        assert!(error.contains("host network namespace"), "{error}");
        let error = of("kernel.sem", |s| s.ipc = Namespace::Host).unwrap_err();
        assert!(error.contains("hosts ipc namespace"), "{error}");
    }
}
