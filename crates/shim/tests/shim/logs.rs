//! The log on disk.

use std::{
    fs,
    io::Read,
    os::fd::{AsRawFd, OwnedFd},
};

use runtime::{
    logfile::LogOptions,
    protocol::{Frame, Request, Response},
};
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
    // The program itself and what is under way, however late the machine lets us run.
    let memory = high_water(&c);
    assert!(memory < 5 << 10, "{memory} KiB");
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

/// A file system of 256 KiB that is mounted nowhere; the shim finds it through our descriptor.
fn small_disk() -> (OwnedFd, String) {
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
    (disk, dir)
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let (_disk, dir) = small_disk();
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

#[test]
fn what_the_disk_does_not_take_is_kept_in_memory_if_that_is_asked_for() {
    let (_disk, dir) = small_disk();
    fs::write(format!("{dir}/filler"), vec![0; 200 << 10]).unwrap();
    let script = "seq 1 5000; read x; echo after; read x";
    let mut c = Container::new(&["sh", "-c", script]).stdin(false);
    c.launch.log = Some(format!("{dir}/log"));
    c.launch.log_options.keep = 4 << 20;
    let mut c = c.launched();
    let mut stream = c.attach(true);
    c.start();
    read_until(&mut stream, "\n5000\n");
    assert_eq!(c.state().log_lost, 0);
    // There is not room for everything even then.
    fs::remove_file(format!("{dir}/filler")).unwrap();
    let before = c.log().len();
    stream.send(&Frame::Stdin(b"\n".to_vec())).unwrap();
    read_until(&mut stream, "after\n");
    let log = c.log();
    assert!(log.len() > before);
    let numbers = log.iter().filter_map(|(_, l)| l.trim().parse::<u32>().ok());
    assert!(
        numbers.eq(1..=log.len() as u32),
        "in order and without a gap"
    );
    stream.send(&Frame::Stdin(b"\n".to_vec())).unwrap();
    c.exit();
}

#[test]
fn rotated_files_are_compressed_beside_the_container() {
    let script = "for i in 1 2 3 4 5; do seq $i$i$i$i 1 $((i*1111+999)); read x; done";
    let mut c = Container::new(&["sh", "-c", script]).stdin(false);
    c.launch.log_options = LogOptions {
        max_size: 20_000,
        max_file: 5,
        compress: true,
        ..LogOptions::default()
    };
    let mut c = c.launched();
    let mut stream = c.attach(true);
    c.start();
    let log = c.launch.log.clone().unwrap();
    for i in 1..=5 {
        read_until(&mut stream, &format!("\n{}\n", i * 1111 + 999));
        eventually("every rotated file is compressed", || {
            (1..5).all(|n| fs::metadata(format!("{log}.{n}")).is_err())
                && fs::metadata(format!("{log}.gz.tmp")).is_err()
        });
        stream.send(&Frame::Stdin(b"\n".to_vec())).unwrap();
    }
    assert_eq!(c.exit().code, 0);
    let mut text = String::new();
    for n in (1..5).rev() {
        let file = fs::File::open(format!("{log}.{n}.gz")).unwrap();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap();
    }
    text += &fs::read_to_string(&log).unwrap();
    let numbers: Vec<u32> = text
        .lines()
        .map(|l| {
            let value: serde_json::Value = serde_json::from_str(l).unwrap();
            value["log"].as_str().unwrap().trim().parse().unwrap()
        })
        .collect();
    assert_eq!(numbers.last(), Some(&6554));
    assert!(
        numbers
            .windows(2)
            .all(|w| w[1] == w[0] + 1 || w[1] % 1111 == 0)
    );
}

#[test]
fn a_stream_goes_on_where_the_log_ends() {
    let script = "printf 'one\ntw'; read x; printf 'o\nthree\n'";
    let mut c = Container::new(&["sh", "-c", script])
        .stdin(false)
        .launched();
    let mut first = c.attach(true);
    c.start();
    read_until(&mut first, "tw");
    let mut second = c.connect();
    let request = Request::Attach {
        stdin: false,
        stdout: true,
        stderr: true,
        logs: true,
    };
    let Response::Attached { log: Some(end) } = second.request(&request).unwrap() else {
        panic!("no place in the log");
    };
    let text = fs::read_to_string(c.launch.log.as_ref().unwrap()).unwrap();
    assert_eq!((text.lines().count(), text.len() as u64), (1, end.size));
    assert!(text.contains(&end.first.unwrap()));
    first.send(&Frame::Stdin(b"\n".to_vec())).unwrap();
    let (out, _, _) = collect(&mut second);
    assert_eq!(out, "two\nthree\n");
}
