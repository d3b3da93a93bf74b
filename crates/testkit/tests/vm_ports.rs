//! Published ports on a kernel that has SCTP.

use testkit::images::{sctp, sctp_tar};
use testkit::vm::Vm;
use testkit::wharf_bin;

#[test]
fn ports() {
    let report = Vm::new("init", &wharf_bin())
        .file("sctp.tar", &sctp_tar())
        .file("sctp", &sctp())
        .kernel("vm=ports")
        .run();
    report.expect(&["wire", "sctp_ports", "ranges", "owners"]);
}
