//! The log on disk.

use std::{fs, os::fd::AsRawFd};

use runtime::protocol::Frame;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use crate::{stdio::high_water, support::*};

#[test]
fn half_a_million_lines() {
    const LINES: usize = 500_000;
    let script = format!("seq 1 {LINES}; echo end >&2; read x");
    let mut c = Container::new(&["sh", "-c", &script])
        .stdin(false)
        .launched();
    let mut errors = c.attach(true);
    c.start();
    read_until(&mut errors, "end\n");
    let memory = high_water(&c);
    assert!(memory < 4 << 10, "{memory} KiB");
    errors.send(&Frame::Stdin(b"\n".to_vec())).unwrap();
    assert_eq!(c.exit().log_lost, 0);
    let text = fs::read_to_string(c.launch.log.as_ref().unwrap()).unwrap();
    let mut expected = 0;
    let mut last = "";
    for line in text.lines() {
        let rest = line.strip_prefix("{\"log\":\"").unwrap();
        let (log, rest) = rest.split_once("\\n\",\"stream\":\"").unwrap();
        let (stream, time) = rest.split_once("\",\"time\":\"").unwrap();
        let time = time.strip_suffix("\"}").unwrap();
        assert!(time >= last, "time goes back: {last} {time}");
        last = time;
        if stream == "stdout" {
            expected += 1;
            assert_eq!(log, expected.to_string());
        } else {
            assert_eq!((stream, log), ("stderr", "end"));
        }
    }
    assert_eq!(expected, LINES);
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    // A file system of its own that is mounted nowhere; the shim finds it through our descriptor.
    let fs_fd = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_set_string(&fs_fd, "size", "256k").unwrap();
    fsconfig_create(&fs_fd).unwrap();
    let disk = fsmount(
        &fs_fd,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .unwrap();
    let dir = format!("/proc/{}/fd/{}", std::process::id(), disk.as_raw_fd());
    fs::write(format!("{dir}/filler"), vec![0; 160 << 10]).unwrap();

    let script = "echo before; seq 1 20000; read x; echo after; read x";
    let mut c = Container::new(&["sh", "-c", script]).stdin(false);
    c.launch.log = Some(format!("{dir}/log"));
    let mut c = c.launched();
    let mut stream = c.attach(true);
    c.start();
    read_until(&mut stream, "\n20000\n");
    let lost = c.state().log_lost;
    assert!(lost > 10_000, "{lost}");
    fs::remove_file(format!("{dir}/filler")).unwrap();
    stream.send(&Frame::Stdin(b"\n".to_vec())).unwrap();
    read_until(&mut stream, "after\n");
    stream.send(&Frame::Stdin(b"\n".to_vec())).unwrap();
    let exit = c.exit();
    assert_eq!((exit.code, exit.log_lost), (0, lost));

    let log = c.log();
    assert_eq!(log[0].1, "before\n");
    let notice = log
        .iter()
        .position(|(_, l)| l.starts_with("[wharf] "))
        .unwrap();
    assert!(
        log[notice].1.contains(&format!("{lost} lines")),
        "{}",
        log[notice].1
    );
    assert_eq!(log[notice + 1].1, "after\n");
    let numbers = log
        .iter()
        .filter(|(_, l)| l.trim().parse::<u32>().is_ok())
        .count();
    assert_eq!(numbers as u64 + lost, 20_000);
}

#[test]
fn a_log_that_cannot_be_opened_is_named() {
    let mut c = Container::new(&["true"]);
    c.launch.log = Some("/nowhere/at/all".to_owned());
    c.launch.fds.clear();
    c.write_config();
    let error = runtime::launch::spawn(program(), &c.launch, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}
