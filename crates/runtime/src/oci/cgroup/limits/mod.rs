//! `linux.resources`: every limit, by its name in the configuration.

use oci_spec::runtime::LinuxResources;

/// The name of a limit that is asked for, if any is: where there is no cgroup, none can be had.
/// Rules for devices are no limit in this sense: a user to whom nothing is delegated can make no
/// device that the rules would guard.
pub(super) fn first_asked_for(r: &LinuxResources) -> Option<&'static str> {
    let memory = r.memory().is_some_and(|m| m != Default::default());
    let cpu = r.cpu().as_ref().is_some_and(|c| *c != Default::default());
    let block = r.block_io().as_ref();
    let network = r.network().as_ref();
    let table = [
        (memory, "linux.resources.memory"),
        (cpu, "linux.resources.cpu"),
        (
            r.pids().is_some_and(|p| p.limit() > 0),
            "linux.resources.pids.limit",
        ),
        (
            block.is_some_and(|b| *b != Default::default()),
            "linux.resources.blockIO",
        ),
        (
            r.hugepage_limits().as_ref().is_some_and(|h| !h.is_empty()),
            "linux.resources.hugepageLimits",
        ),
        (
            network.is_some_and(|n| *n != Default::default()),
            "linux.resources.network",
        ),
        (
            r.rdma().as_ref().is_some_and(|r| !r.is_empty()),
            "linux.resources.rdma",
        ),
        (
            r.unified().as_ref().is_some_and(|u| !u.is_empty()),
            "linux.resources.unified",
        ),
    ];
    table
        .iter()
        .find_map(|(asked, name)| asked.then_some(*name))
}
