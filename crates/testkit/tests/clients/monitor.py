# One stream of statistics for each container, read at once, and what monitors compute of it.
import threading, docker

c = docker.from_env()
busy = "while :; do :; done"
boxes = [c.containers.run("busybox", ["sh", "-c", busy if i == 0 else "sleep 1000"], detach=True,
                          name=f"m{i}", mem_limit="64m", network_mode="bridge") for i in range(5)]
seen, errors = {}, []


def watch(box):
    try:
        before = None
        for now in box.stats(decode=True, stream=True):
            cpu, old = now["cpu_stats"], now["precpu_stats"]
            assert now["name"].endswith(box.name), now["name"]
            if old.get("system_cpu_usage"):
                used = cpu["cpu_usage"]["total_usage"] - old["cpu_usage"]["total_usage"]
                system = cpu["system_cpu_usage"] - old["system_cpu_usage"]
                share = used / system * cpu["online_cpus"] * 100
                memory = now["memory_stats"]["usage"] / now["memory_stats"]["limit"]
                seen[box.name] = (share, memory, now["networks"]["eth0"]["rx_bytes"],
                                  now["pids_stats"]["current"])
                return
    except Exception as error:
        errors.append((box.name, repr(error)))


threads = [threading.Thread(target=watch, args=(box,)) for box in boxes]
[t.start() for t in threads]
[t.join(40) for t in threads]
assert not errors, errors
assert len(seen) == 5, seen
assert seen["m0"][0] > 10 > seen["m1"][0], seen
assert all(0 < memory < 1 and pids >= 1 for _, memory, _, pids in seen.values()), seen
# A stream ends with its container.
ended = threading.Thread(target=lambda: [None for _ in boxes[1].stats(decode=True)])
ended.start()
[box.remove(force=True) for box in boxes]
ended.join(20)
assert not ended.is_alive(), "the stream outlived its container"
print("all of it")
