use std::fmt::Write as _;

use futures_util::StreamExt;

use super::*;

fn sample(lines: usize) -> tempfile::NamedTempFile {
    let mut text = String::new();
    for n in 0..lines {
        let stream = if n % 2 == 0 { "stdout" } else { "stderr" };
        writeln!(
            text,
            r#"{{"log":"line {n}\n","stream":"{stream}","time":"2026-01-01T00:00:{:02}.000000000Z"}}"#,
            n % 60
        )
        .unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

async fn text(file: &tempfile::NamedTempFile, options: LogsOptions) -> String {
    let (_keep, state) = watch::channel(State::at_rest(None));
    let place = Place {
        path: file.path().to_owned(),
        form: runtime::logfile::LogForm::JsonFile,
    };
    let chunks = read(place, options, None, state, &Arc::default());
    chunks
        .map(|c| String::from_utf8(c.unwrap().1.to_vec()).unwrap())
        .collect::<Vec<_>>()
        .await
        .concat()
}

#[tokio::test]
async fn tail_since_and_streams() {
    let file = sample(10_000);
    let all = LogsOptions {
        stdout: true,
        stderr: true,
        ..LogsOptions::default()
    };
    assert_eq!(text(&file, all.clone()).await.lines().count(), 10_000);
    let tail = LogsOptions {
        tail: Some(2),
        ..all.clone()
    };
    assert_eq!(text(&file, tail).await, "line 9998\nline 9999\n");
    let none = LogsOptions {
        tail: Some(0),
        ..all.clone()
    };
    assert_eq!(text(&file, none).await, "");
    let out = LogsOptions {
        stderr: false,
        tail: Some(2),
        ..all.clone()
    };
    assert_eq!(text(&file, out).await, "line 9998\n");
    let small = sample(10);
    let since = clock::nanos("2026-01-01T00:00:08Z".parse().unwrap());
    let since = LogsOptions {
        since: Some(since),
        timestamps: true,
        ..all
    };
    assert_eq!(
        text(&small, since).await,
        "2026-01-01T00:00:08.000000000Z line 8\n2026-01-01T00:00:09.000000000Z line 9\n"
    );
}

#[tokio::test]
async fn damage_hides_only_itself() {
    let file = sample(2);
    let mut text_before = std::fs::read(file.path()).unwrap();
    text_before.extend_from_slice(b"\0\0garbage\n");
    text_before
        .extend_from_slice(br#"{"log":"after\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}"#);
    text_before.push(b'\n');
    std::fs::write(file.path(), text_before).unwrap();
    let all = LogsOptions {
        stdout: true,
        stderr: true,
        ..LogsOptions::default()
    };
    assert_eq!(text(&file, all).await, "line 0\nline 1\nafter\n");
}

#[tokio::test]
async fn a_follower_of_a_log_that_was_removed_ends_with_its_client() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x-json.log");
    let record = |n: u32| {
        format!(r#"{{"log":"{n}\n","stream":"stdout","time":"2026-01-0{n}T00:00:00.000000000Z"}}"#)
            + "\n"
    };
    std::fs::write(dir.path().join("x-json.log.1"), record(1)).unwrap();
    std::fs::write(&path, record(2)).unwrap();
    let mut state = State::at_rest(None);
    state.phase = crate::state::Phase::Restarting;
    let (_keep, state) = watch::channel(state);
    let place = Place {
        path: path.clone(),
        form: runtime::logfile::LogForm::JsonFile,
    };
    let options = LogsOptions {
        stdout: true,
        follow: true,
        ..LogsOptions::default()
    };
    let hub = Arc::new(Hub::default());
    let mut chunks = Box::pin(read(place, options, None, state, &hub));
    for expected in ["1\n", "2\n"] {
        let (_, bytes) = chunks.next().await.unwrap().unwrap();
        assert_eq!(bytes, expected);
    }
    // Somebody makes room on a full disk; others still have the file open.
    std::fs::remove_file(&path).unwrap();
    tokio::task::yield_now().await;
    drop(chunks);
    let ended = async {
        while Arc::strong_count(&hub) > 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("its reader goes on for nobody");
}
