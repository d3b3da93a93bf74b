//! `linux.resources`: every limit, by its name in the configuration.

mod block;
mod convert;
mod cpu;
pub(super) mod knob;
mod memory;
mod other;

use oci_spec::runtime::LinuxResources;

use super::super::error::Result;
pub(super) use convert::{list, swap, weight_of_shares};
use knob::Controllers;

/// Sets what is asked for, and nothing else: also an update's half.
pub(super) fn apply(have: &Controllers<'_>, r: &LinuxResources) -> Result<()> {
    if let Some(m) = r.memory().filter(|m| *m != Default::default()) {
        memory::apply(have, &m)?;
    }
    if let Some(c) = r.cpu() {
        cpu::apply(have, c)?;
    }
    if let Some(p) = r.pids() {
        other::pids(have, *p)?;
    }
    if let Some(b) = r.block_io().as_ref().filter(|b| **b != Default::default()) {
        block::apply(have, b)?;
    }
    if let Some(h) = r.hugepage_limits() {
        other::huge_pages(have, h)?;
    }
    if let Some(n) = r.network() {
        other::network(have, n)?;
    }
    if let Some(d) = r.rdma() {
        other::rdma(have, d)?;
    }
    if let Some(u) = r.unified() {
        other::unified(have, u)?;
    }
    Ok(())
}

/// Are limits asked for that only version 2 may have on a host with both?
pub(super) fn needs_unified(r: &LinuxResources) -> bool {
    r.hugepage_limits().as_ref().is_some_and(|h| !h.is_empty())
        || r.rdma().as_ref().is_some_and(|d| !d.is_empty())
        || r.unified().as_ref().is_some_and(|u| !u.is_empty())
}

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
