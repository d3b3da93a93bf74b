//! What needs another kernel than the one that tests usually run on: unified cgroups, AppArmor,
//! systemd, an emulator of another processor, kinds of links, a server of files. Each test starts one emulated machine; its checks are in
//! `crates/testkit/vm`.

mod vm_ports;

use testkit::foreign;
use testkit::images::busybox_tar;
use testkit::vm::Vm;
use testkit::wharf_bin;

#[test]
fn unified() {
    let report = Vm::new("init", &wharf_bin())
        .file("busybox.tar", &busybox_tar())
        .kernel("apparmor=1 lsm=apparmor")
        .run();
    report.expect(&[
        "kernel",
        "daemon",
        "daemon_limits",
        "daemon_oom",
        "daemon_walls_read_back",
        "runtime_limits",
        "runtime_devices",
        "runtime_freeze",
        "runtime_apparmor",
        "speed",
    ]);
}

#[test]
fn systemd() {
    let report = Vm::new("init", &wharf_bin()).kernel("vm=systemd").run();
    report.expect(&["first_process", "scope"]);
}

#[test]
fn networks() {
    let report = Vm::new("init", &wharf_bin())
        .file("busybox.tar", &busybox_tar())
        .kernel("vm=networks")
        .run();
    report.expect(&[
        "wires",
        "ipvlan_l2",
        "ipvlan_l3",
        "macvlan_parent",
        "vlan",
        "refused_at_once",
        "nfs",
    ]);
}

#[test]
fn foreign() {
    let emulator = foreign::emulator();
    let report = Vm::new("init", &wharf_bin())
        .file("busybox.tar", &busybox_tar())
        .file("foreign.tar", &foreign::busybox())
        .file("qemu", &emulator.join("qemu"))
        .file("binfmt", &emulator.join("binfmt"))
        .kernel("vm=foreign")
        .run();
    report.expect(&[
        "without",
        "cross",
        "register",
        "emulated_run",
        "emulated_build",
        "emulator_out_of_reach",
    ]);
}
