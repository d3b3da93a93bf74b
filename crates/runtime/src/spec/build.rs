//! The whole `config.json`.

use std::collections::HashMap;

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, Root, Spec};

use super::{ContainerSpec, Namespace, Seccomp, devices, mounts, process, resources};
use types::container::{MASKED_PATHS, READONLY_PATHS};

use crate::{Error, caps::CapSet, host::Host, protocol::ROOTFS, seccomp};

/// A configuration for the runtime.
#[derive(Debug, Clone)]
pub struct Built {
    /// To be written as `config.json`.
    pub spec: Spec,
    /// What was left out or brought within the host's bounds, for the user.
    pub warnings: Vec<String>,
}

/// Makes the runtime's configuration.
pub fn build(container: &ContainerSpec, host: &Host) -> Result<Built, Error> {
    let mut warnings = Vec::new();
    let (process, caps) = process::main_process(container, host, &mut warnings)?;
    let mut spec = Spec::default();
    // What Debian 12's runc speaks.
    spec.set_version("1.0.2".to_owned());
    let mut root = Root::default();
    root.set_path(ROOTFS.into());
    root.set_readonly(Some(container.readonly_rootfs));
    spec.set_root(Some(root));
    spec.set_mounts(Some(mounts::mounts(container)?));
    spec.set_process(Some(process));
    let named = container.uts != Namespace::Host && !container.hostname.is_empty();
    spec.set_hostname(named.then(|| container.hostname.clone()));
    spec.set_domainname(None);
    spec.set_hooks(None);
    let annotations: HashMap<String, String> = container.annotations.clone().into_iter().collect();
    spec.set_annotations((!annotations.is_empty()).then_some(annotations));
    spec.set_linux(Some(linux(container, caps, host, &mut warnings)?));
    Ok(Built { spec, warnings })
}

fn linux(
    container: &ContainerSpec,
    caps: CapSet,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<Linux, Error> {
    let mut linux = Linux::default();
    let (devices, rules) = devices::devices(container)?;
    let mut resources = resources::resources(container, host, warnings)?;
    resources.set_devices(Some(rules));
    linux.set_resources(Some(resources));
    linux.set_devices(Some(devices));
    linux.set_cgroups_path(Some(container.cgroup.clone().into()));
    linux.set_namespaces(Some(namespaces(container)));
    linux.set_sysctl(Some(sysctls(container)));
    linux.set_seccomp(seccomp(container, caps, host)?);
    let paths = |given: &Option<Vec<String>>, default: &[&str]| match given {
        Some(paths) => paths.clone(),
        None if container.privileged => Vec::new(),
        None => default.iter().map(|p| (*p).to_owned()).collect(),
    };
    linux.set_masked_paths(Some(paths(&container.masked_paths, MASKED_PATHS)));
    linux.set_readonly_paths(Some(paths(&container.readonly_paths, READONLY_PATHS)));
    Ok(linux)
}

fn namespaces(container: &ContainerSpec) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType as T;
    let cgroup = if container.host_cgroupns {
        &Namespace::Host
    } else {
        &Namespace::Private
    };
    [
        (T::Mount, &Namespace::Private),
        (T::Network, &container.network),
        (T::Uts, &container.uts),
        (T::Pid, &container.pid),
        (T::Ipc, &container.ipc),
        (T::Cgroup, cgroup),
    ]
    .into_iter()
    .filter_map(|(typ, mode)| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(typ);
        match mode {
            Namespace::Host => return None,
            Namespace::Private => namespace.set_path(None),
            Namespace::Path(path) => namespace.set_path(Some(path.into())),
        };
        Some(namespace)
    })
    .collect()
}

fn sysctls(container: &ContainerSpec) -> HashMap<String, String> {
    let mut all = HashMap::new();
    // A network namespace of its own has nothing to protect from its own users.
    if container.network != Namespace::Host {
        all.insert(
            "net.ipv4.ip_unprivileged_port_start".to_owned(),
            "0".to_owned(),
        );
        all.insert(
            "net.ipv4.ping_group_range".to_owned(),
            "0 2147483647".to_owned(),
        );
    }
    // OCI runtimes learnt `domainname` late; this does the same.
    if container.uts != Namespace::Host && !container.domainname.is_empty() {
        all.insert("kernel.domainname".to_owned(), container.domainname.clone());
    }
    all.extend(container.sysctls.clone());
    all
}

fn seccomp(
    container: &ContainerSpec,
    caps: CapSet,
    host: &Host,
) -> Result<Option<oci_spec::runtime::LinuxSeccomp>, Error> {
    match &container.seccomp {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default if container.privileged => Ok(None),
        Seccomp::Default => seccomp::default_profile(caps, host).map(Some),
        Seccomp::Profile(json) => seccomp::custom_profile(json, caps, host).map(Some),
    }
}
