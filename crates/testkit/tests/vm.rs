//! What needs another kernel than the one that tests usually run on: unified cgroups, AppArmor,
//! systemd. Each test starts one emulated machine; its checks are in `crates/testkit/vm`.

use testkit::images::busybox_tar;
use testkit::vm::Vm;
use testkit::wharf_bin;

#[test]
fn unified() {
    let report = Vm::new("init", &wharf_bin())
        .file("busybox.tar", &busybox_tar())
        .kernel("apparmor=1 lsm=apparmor")
        .run();
    eprintln!("{}", report.console);
    report.expect(&["kernel"]);
}
