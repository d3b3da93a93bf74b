//! The whole `config.json`.

use std::collections::HashMap;

use oci_spec::runtime::{
    Linux, LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceType, Root, Spec,
};

use super::{
    ContainerSpec, IdMapping, Namespace, Seccomp, devices, edits, mounts, process, resources,
    sysctls,
};
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
    edits::apply(&container.cdi, &mut spec)?;
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
    linux.set_sysctl(Some(sysctls::sysctls(container)?));
    if let Some(user) = &container.user_namespace {
        linux.set_uid_mappings(Some(mappings(&user.uids)?));
        linux.set_gid_mappings(Some(mappings(&user.gids)?));
    }
    // What the container mounts there shall reach the host, or what the host mounts the container.
    let spread = |kind: &str| {
        let is = |m: &super::BindMount| m.propagation.trim_start_matches('r') == kind;
        container.mounts.iter().any(is)
    };
    if spread("shared") {
        linux.set_rootfs_propagation(Some("rshared".to_owned()));
    } else if spread("slave") {
        linux.set_rootfs_propagation(Some("rslave".to_owned()));
    }
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
    let user = match &container.user_namespace {
        Some(user) => &Namespace::Path(user.path.clone()),
        None => &Namespace::Host,
    };
    [
        (T::User, user),
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

fn mappings(all: &[IdMapping]) -> Result<Vec<LinuxIdMapping>, Error> {
    let one = |m: &IdMapping| {
        LinuxIdMappingBuilder::default()
            .container_id(m.container)
            .host_id(m.host)
            .size(m.size)
            .build()
            .map_err(|e| Error::Invalid(e.to_string()))
    };
    all.iter().map(one).collect()
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
