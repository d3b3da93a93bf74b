import urllib.request
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs

serve = "mkdir /www; echo served > /www/index.html; echo ready; exec httpd -f -p 80 -h /www"
with DockerContainer("busybox").with_command(["sh", "-c", serve]).with_exposed_ports(80) as box:
    wait_for_logs(box, "ready", timeout=30)
    url = f"http://{box.get_container_host_ip()}:{box.get_exposed_port(80)}/"
    for attempt in range(100):
        try:
            body = urllib.request.urlopen(url, timeout=10).read()
            break
        except OSError:
            if attempt == 99:
                raise
            import time
            time.sleep(0.05)
    assert body == b"served\n", body
    code, out = box.exec(["cat", "/www/index.html"])
    assert (code, out) == (0, b"served\n"), (code, out)
    assert box.get_logs()[0] == b"ready\n", box.get_logs()

env = DockerContainer("busybox").with_env("KEY", "value").with_name("named")
with env.with_command("sh -c 'echo $KEY; sleep 1000'") as box:
    wait_for_logs(box, "value", timeout=30)
    assert box.get_wrapped_container().name == "named"

import docker
assert docker.from_env().containers.list(all=True) == []
print("all of it")
