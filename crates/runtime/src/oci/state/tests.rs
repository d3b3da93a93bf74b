use super::*;

fn config() -> Config {
    Config::parse(
        br#"{"ociVersion":"1.0.2","root":{"path":"rootfs"},"annotations":{"a":"b"},
             "process":{"cwd":"/","args":["true"],"user":{"uid":0,"gid":0}},
             "linux":{"namespaces":[{"type":"mount"}]}}"#,
    )
    .unwrap()
}

#[test]
fn names() {
    for id in ["a", "a.b", "_", "A+b-c", "...", &"x".repeat(1024)] {
        check_id(id).unwrap();
    }
    for id in ["", ".", "..", "a/b", "ä", "a b", "a\0", &"x".repeat(1025)] {
        assert!(check_id(id).is_err(), "{id:?}");
    }
}

#[test]
fn from_nothing_to_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("root"));
    assert!(store.all().unwrap().is_empty());
    assert!(store.open("c").is_err());
    let (container, lock) = store.make("c").unwrap();
    assert!(store.make("c").is_err());
    // To itself a process's lock is none; to another one it is.
    match sys::clone::clone(sys::clone::Clone::default()).unwrap() {
        sys::clone::Fork::Child => {
            let seen = container.status(None, || false) == Status::Creating;
            sys::clone::exit_now(i32::from(!seen))
        }
        sys::clone::Fork::Parent { pid, .. } => {
            let options = rustix::process::WaitOptions::empty();
            let ended = rustix::process::waitpid(Some(pid), options).unwrap();
            assert_eq!(ended.unwrap().1.exit_status(), Some(0));
        }
    }
    drop(lock);
    // Whoever made it died.
    assert_eq!(container.status(None, || false), Status::Stopped);

    let mut state = State::new("c", Path::new("/bundle"), &config());
    state.init = Some(Process::of(i32::try_from(std::process::id()).unwrap()).unwrap());
    container.save(&state).unwrap();
    let read = store.open("c").unwrap().state().unwrap().unwrap();
    assert_eq!(read.rootfs, Path::new("/bundle/rootfs"));
    assert_eq!(read.annotations["a"], "b");
    assert_eq!(read.init, state.init);
    assert_eq!(container.status(Some(&read), || false), Status::Running);
    assert_eq!(container.status(Some(&read), || true), Status::Paused);
    let _gate = start::Gate::new(container.dir()).unwrap();
    assert_eq!(container.status(Some(&read), || false), Status::Created);

    assert_eq!(store.all().unwrap().len(), 1);
    let lock = container.lock().unwrap();
    container.remove(lock).unwrap();
    assert!(store.all().unwrap().is_empty());
    assert!(container.lock().is_err());
}

#[test]
fn another_form_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (container, _lock) = Store::new(dir.path().to_owned()).make("c").unwrap();
    let mut state = State::new("c", Path::new("/bundle"), &config());
    state.form = 99;
    container.save(&state).unwrap();
    let error = container.state().unwrap_err().to_string();
    assert!(error.contains("another version"), "{error}");
}
