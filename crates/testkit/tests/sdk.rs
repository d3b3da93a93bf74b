//! The Docker SDK for Python works unchanged.

use std::process::Command;

use testkit::{Daemon, python, run};

#[test]
fn python_sdk() {
    let d = Daemon::fresh();
    let script = r#"
import docker, sys, time
c = docker.from_env()
assert c.ping()
assert c.version()["Os"] == "linux"
assert c.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
try:
    c.containers.run("busybox", "sh -c 'echo bad >&2; exit 3'", remove=True)
    sys.exit("no error")
except docker.errors.ContainerError as e:
    assert e.exit_status == 3 and b"bad" in e.stderr, e
box = c.containers.run("busybox", "sleep 1000", name="box", detach=True, labels={"a": "b"},
                       environment={"X": "1"}, ports={"80/tcp": 8080}, mem_limit="64m")
box.reload()
assert box.status == "running" and box.labels == {"a": "b"}
assert box.attrs["HostConfig"]["Memory"] == 64 << 20
code, out = box.exec_run("sh -c 'echo $X; exit 4'")
assert (code, out) == (4, b"1\n"), (code, out)
code, (out, err) = box.exec_run("sh -c 'echo o; echo e >&2'", demux=True)
assert (out, err) == (b"o\n", b"e\n")
assert [x.name for x in c.containers.list(filters={"label": "a=b"})] == ["box"]
box.stop(timeout=0)
assert box.wait()["StatusCode"] == 137
box.start(); box.kill(); box.wait(); box.remove()
loop = c.containers.run("busybox", "sh -c 'for i in 1 2 3; do echo $i; done'", detach=True)
assert b"".join(loop.logs(stream=True, follow=True)) == b"1\n2\n3\n"
loop.wait()
assert loop.logs(tail=1) == b"3\n"
loop.remove()
image = c.images.get("busybox")
assert image.tag("other", "1") and "other:1" in c.images.get("other:1").tags
c.images.remove("other:1")
try:
    c.images.get("nothing:1")
    sys.exit("no error")
except docker.errors.ImageNotFound:
    pass
try:
    c.containers.get("nobody")
    sys.exit("no error")
except docker.errors.NotFound:
    pass
names = [e["Action"] for e in c.events(since=1, until=time.time(), decode=True, filters={"container": "box"})]
assert "create" in names and "destroy" in names, names
print("all of it")
"#;
    let mut command = Command::new(python::with_docker_sdk());
    command.args(["-c", script]);
    command.env(
        "DOCKER_HOST",
        format!("unix://{}/d.sock", d.dir().display()),
    );
    assert_eq!(run(&mut command).ok(), "all of it");
    d.assert_no_leaks();
}
