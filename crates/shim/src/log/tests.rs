use super::*;

#[test]
fn finds_newlines() {
    for len in 0..40 {
        let mut bytes = vec![0x0bu8; len];
        assert_eq!(find_newline(&bytes), None);
        for at in (0..len).rev() {
            bytes[at] = b'\n';
            assert_eq!(find_newline(&bytes), Some(at));
        }
    }
}

fn logged(pieces: &[&[u8]]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = Log::open(path.to_str().unwrap(), &LogOptions::default()).unwrap();
    pieces.iter().for_each(|p| log.append(0, p));
    log.finish(0);
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|l| {
            let value: serde_json::Value = serde_json::from_str(l).unwrap();
            assert_eq!(value["stream"], "stdout");
            assert!(value["time"].as_str().unwrap().ends_with('Z'));
            value["log"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn lines_and_pieces() {
    assert_eq!(
        logged(&[b"a\nb", b"c\n", b"\n", b"end"]),
        ["a\n", "bc\n", "\n", "end"]
    );
    assert_eq!(logged(&[]), Vec::<String>::new());
    // A character that came in two reads is whole.
    assert_eq!(logged(&[b"\xe2\x82", b"\xac\n"]), ["\u{20ac}\n"]);
}

#[test]
fn long_lines_are_split() {
    let long = vec![b'x'; LINE + 5];
    let mut with_end = long.clone();
    with_end.push(b'\n');
    let got = logged(&[&with_end]);
    assert_eq!(got.iter().map(String::len).collect::<Vec<_>>(), [LINE, 6]);
    // Exactly as long as the limit: the end of the line comes alone.
    let mut exact = vec![b'x'; LINE];
    exact.push(b'\n');
    assert_eq!(
        logged(&[&exact])
            .iter()
            .map(String::len)
            .collect::<Vec<_>>(),
        [LINE, 1]
    );
    let got = logged(&[&long[..10_000], &long[10_000..]]);
    assert_eq!(got.iter().map(String::len).collect::<Vec<_>>(), [LINE, 5]);
}

#[test]
fn a_torn_record_is_closed_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "{\"log\":\"to").unwrap();
    let mut log = Log::open(path.to_str().unwrap(), &LogOptions::default()).unwrap();
    log.append(1, b"x\n");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(
        text.lines()
            .nth(1)
            .unwrap()
            .starts_with("{\"log\":\"x\\n\",\"stream\":\"stderr\"")
    );
}

/// Small files, of which there are at most four.
fn small(form: LogForm) -> LogOptions {
    LogOptions {
        form,
        max_size: 1000,
        max_file: 4,
        ..LogOptions::default()
    }
}

/// The lines of the files that are there, oldest first.
fn lines(path: &str, form: LogForm) -> Vec<String> {
    let mut files: Vec<String> = (1..10).rev().map(|n| format!("{path}.{n}")).collect();
    files.push(path.to_owned());
    let mut all = Vec::new();
    for file in files {
        let Ok(bytes) = std::fs::read(&file) else {
            continue;
        };
        match form {
            LogForm::JsonFile => all.extend(String::from_utf8(bytes).unwrap().lines().map(|l| {
                let value: serde_json::Value = serde_json::from_str(l).unwrap();
                value["log"].as_str().unwrap().trim_end().to_owned()
            })),
            LogForm::Local => {
                let mut rest = bytes.strip_prefix(local::MAGIC).unwrap();
                while let local::Decoded::Record(record, length) = local::decode(rest) {
                    all.push(String::from_utf8(record.payload.to_vec()).unwrap());
                    rest = &rest[length..];
                }
                assert!(rest.is_empty());
            }
        }
    }
    all
}

fn say(log: &mut Log, numbers: std::ops::Range<u32>) {
    let text: String = numbers.map(|n| format!("{n}\n")).collect();
    log.append(0, text.as_bytes());
}

fn expect_to(path: &str, form: LogForm, end: u32) -> u32 {
    let numbers: Vec<u32> = lines(path, form)
        .iter()
        .map(|l| l.parse().unwrap())
        .collect();
    assert!(numbers.iter().copied().eq(numbers[0]..end), "{numbers:?}");
    numbers[0]
}

#[test]
fn rotation_keeps_the_newest_lines() {
    for form in [LogForm::JsonFile, LogForm::Local] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log").to_str().unwrap().to_owned();
        let mut log = Log::open(&path, &small(form)).unwrap();
        say(&mut log, 0..10);
        assert_eq!(expect_to(&path, form, 10), 0);
        say(&mut log, 10..500);
        for n in 500..600 {
            say(&mut log, n..n + 1);
        }
        // Four files of a kilobyte hold some 50 lines in one form and 200 in the other.
        assert!(expect_to(&path, form, 600) > 350);
        let sizes: Vec<u64> = ["", ".1", ".2", ".3"]
            .iter()
            .map(|n| std::fs::metadata(format!("{path}{n}")).unwrap().len())
            .collect();
        assert!(
            sizes[1..].iter().all(|s| (1000..1100).contains(s)),
            "{sizes:?}"
        );
        assert!(std::fs::metadata(format!("{path}.4")).is_err());
        assert_eq!(log.lost(), 0);
        let end = log.end();
        assert_eq!(end.size, sizes[0]);
        assert_eq!(end.first.map(|f| f.len()), Some(runtime::time::LEN));
    }
}

#[test]
fn one_file_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log").to_str().unwrap().to_owned();
    let options = LogOptions {
        max_file: 1,
        ..small(LogForm::Local)
    };
    let mut log = Log::open(&path, &options).unwrap();
    say(&mut log, 0..500);
    assert!(expect_to(&path, LogForm::Local, 500) > 400);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_death_at_any_step_of_a_rotation_loses_nothing() {
    // The steps of a rotation, by hand: after each of them the next shim goes on.
    for form in [LogForm::JsonFile, LogForm::Local] {
        for died in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log").to_str().unwrap().to_owned();
            let mut log = Log::open(&path, &small(form)).unwrap();
            let mut said = 0;
            while std::fs::metadata(format!("{path}.2")).is_err() {
                say(&mut log, said..said + 1);
                said += 1;
            }
            drop(log);
            let steps: [&dyn Fn(); 4] = [
                &|| std::fs::write(format!("{path}.next"), super::header(form)).unwrap(),
                &|| std::fs::rename(format!("{path}.2"), format!("{path}.3")).unwrap(),
                &|| std::fs::rename(format!("{path}.1"), format!("{path}.2")).unwrap(),
                &|| std::fs::rename(&path, format!("{path}.1")).unwrap(),
            ];
            steps.iter().take(died).for_each(|step| step());
            let mut log = Log::open(&path, &small(form)).unwrap();
            say(&mut log, said..said + 5);
            assert_eq!(expect_to(&path, form, said + 5), 0, "after step {died}");
            assert!(std::fs::metadata(format!("{path}.next")).is_err());
        }
    }
}

#[test]
fn a_torn_record_of_the_compact_form_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log").to_str().unwrap().to_owned();
    let options = LogOptions {
        form: LogForm::Local,
        ..LogOptions::default()
    };
    let mut log = Log::open(&path, &options).unwrap();
    say(&mut log, 0..3);
    let whole = std::fs::read(&path).unwrap();
    for torn in 1..30 {
        let mut bytes = whole.clone();
        bytes.extend_from_slice(&whole[8..][..torn.min(whole.len() - 8)]);
        // A piece of a record, or more than one.
        std::fs::write(&path, &bytes).unwrap();
        let log = Log::open(&path, &options).unwrap();
        assert!(log.end().size >= whole.len() as u64);
        drop(log);
        let lines = lines(&path, LogForm::Local);
        assert_eq!(lines[..3], ["0", "1", "2"]);
    }
}
