//! What real clients ask for, answered as Docker's description of the API says.

use std::process::Command;

use testkit::{Daemon, python, run};

/// The real CLI over what it can ask an engine.
#[test]
fn by_the_docker_cli() {
    let d = Daemon::fresh();
    let checker = d.checked("checked.sock");
    let docker = d.docker().at(&checker.host());
    docker.ok("version");
    docker.ok("info");
    docker.ok("run --rm busybox true");
    docker.ok("run -d --name box -p 8080:80 -v data:/data --label a=b busybox sleep 1000");
    docker.ok("ps -a --size");
    docker.ok("inspect box");
    docker.ok("inspect --size --type container box");
    docker.ok("exec box true");
    docker.ok("logs box");
    docker.ok("images");
    docker.ok("image inspect busybox");
    docker.ok("tag busybox other:1");
    docker.ok("rmi other:1");
    docker.ok("events --since 0 --until 1s");
    docker.ok("network inspect bridge host none");
    docker.refused("inspect nobody", &["nobody"]);
    docker.refused("start nobody", &["No such container: nobody"]);
    docker.ok("kill box");
    docker.ok("wait box");
    docker.ok("rm box");
    assert!(checker.checked() > 30, "{}", checker.checked());
    drop(checker);
    d.assert_no_leaks();
}

/// A stream is compared line by line, and ends when its client goes.
#[test]
fn streams_of_a_client_that_leaves() {
    let d = Daemon::fresh();
    let checker = d.checked("checked.sock");
    let script = r#"
import docker
c = docker.from_env()
events = c.events(decode=True)
box = c.containers.run("busybox", "true", detach=True)
seen = []
for event in events:
    seen.append(event["Action"])
    if event["Action"] == "die":
        break
events.close()
assert "start" in seen
box.wait()
box.remove()
print("all of it")
"#;
    let mut command = Command::new(python::with_docker_sdk());
    command
        .args(["-c", script])
        .env("DOCKER_HOST", checker.host());
    assert_eq!(run(&mut command).ok(), "all of it");
    drop(checker);
    d.assert_no_leaks();
}

/// A checker that finds nothing would pass everything.
#[test]
#[should_panic(expected = "\"Warnings\" is missing")]
fn what_is_wrong_is_found() {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    let dir = tempfile::tempdir().unwrap();
    let (daemon, socket) = (dir.path().join("daemon"), dir.path().join("checked"));
    let listener = UnixListener::bind(&daemon).unwrap();
    let checker = testkit::Checker::start(&socket, &daemon);
    let mut client = UnixStream::connect(&socket).unwrap();
    let request = "POST /v1.51/containers/create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    client.write_all(request.as_bytes()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut asked = vec![0; request.len()];
    server.read_exact(&mut asked).unwrap();
    let answer = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\
                  Content-Length: 10\r\n\r\n{\"Id\":\"x\"}";
    server.write_all(answer.as_bytes()).unwrap();
    let mut got = vec![0; answer.len()];
    client.read_exact(&mut got).unwrap();
    drop((client, server));
    testkit::eventually("it was compared", || checker.checked() > 0);
}
