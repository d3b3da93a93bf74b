"""What changes and tables cost, with many containers: by raw netlink, as a daemon would do it."""

import ctypes
import fcntl
import os
import resource
import socket
import statistics
import struct
import subprocess
import time

import bed

LIBC = ctypes.CDLL(None, use_errno=True)
NEWNET = 0x40000000
SERVICES, BACKENDS = 100, 5


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Nft:
    """libnftables in this process, in whatever namespace it is when called."""

    def __init__(self):
        self.lib = ctypes.CDLL("libnftables.so.1")
        self.lib.nft_ctx_new.restype = ctypes.c_void_p

    def run(self, text):
        """Milliseconds until it was in force. The end of the socket is not counted: it may wait."""
        start = time.perf_counter()
        context = ctypes.c_void_p(self.lib.nft_ctx_new(0))
        result = self.lib.nft_run_cmd_from_buffer(context, text.encode())
        spent = (time.perf_counter() - start) * 1e3
        self.lib.nft_ctx_free(context)
        assert result == 0, "nft refused"
        return spent


def high(fd):
    """The same descriptor with a number that leaves the low ones to libnftables, which uses select."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 1024)
    os.close(fd)
    return moved


class Namespaces:
    """So many namespaces of network, held open; nothing else keeps them."""

    def __init__(self, count):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.all = []
        for _ in range(count):
            checked(LIBC.unshare(NEWNET))
            self.all.append(high(os.open("/proc/self/ns/net", os.O_RDONLY)))
        self.leave()

    def enter(self, one):
        checked(LIBC.setns(one, NEWNET))

    def leave(self):
        self.enter(self.home)

    def close(self):
        for fd in [*self.all, self.home]:
            os.close(fd)
        # They are taken apart in the background.
        time.sleep(0.5 + len(self.all) / 500)


def attribute(kind, payload):
    size = 4 + len(payload)
    return struct.pack("=HH", size, kind) + payload + bytes(-size % 4)


def message(kind, flags, family, resource, payload, sequence):
    body = struct.pack("=BBH", family, 0, socket.htons(resource)) + payload
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def change(slots):
    """A batch that gives these slots of a service's map another backend (and so its removal too)."""
    data = lambda raw: attribute(0x8001, attribute(1, raw))
    elements = {}
    for kind in ("delete", "add"):
        all_of = b""
        for slot in slots:
            key = bytes([10, 96, 0, 1]) + struct.pack("!HxxI", 80, 0)[:4] + struct.pack("=I", slot)
            element = attribute(0x8001, attribute(1, key))
            if kind == "add":
                element += attribute(0x8002, attribute(1, bytes([10, 77, 0, 99]) + struct.pack("!Hxx", 8000)))
            all_of += attribute(0x8001, element)
        elements[kind] = attribute(1, b"services\0") + attribute(2, b"services\0") + attribute(0x8003, all_of)
    new, delete = 10 << 8 | 12, 10 << 8 | 14
    return b"".join([
        message(16, 1, 0, 10, b"", 0),
        message(delete, 1, 2, 0, elements["delete"], 1),
        message(new, 1 | 4 | 0x400, 2, 0, elements["add"], 2),
        message(17, 1, 0, 10, b"", 3),
    ])


def open_netfilter():
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    link = socket.socket(fileno=high(link.detach()))
    link.bind((0, 0))
    return link


def commit(link, batch):
    """Only the last message of the batch asks for an answer, which comes when it is in force."""
    link.send(batch)
    _, kind, _, sequence, _, error = struct.unpack_from("=IHHIIi", link.recv(65536))
    assert kind == 2 and error == 0, f"netfilter says {error} of {sequence}"


def times(runs, work):
    spent = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        spent.append((time.perf_counter() - start) * 1e3)
    return f"{statistics.median(spent):.2f} ms ({min(spent):.2f}–{max(spent):.2f})"


def update(runs):
    """A service's backend is replaced: in each namespace, or in one map of the host."""
    nft, batch = Nft(), change(range(0, bed.SLOTS, 3))
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    print("| containers | one map on the host | each by a socket held open | each entered, sockets closed at the end | each entered and its socket closed |")
    print("| --- " * 5 + "|")
    for count in (10, 200, 2000):
        spaces = Namespaces(count)
        links = []
        for one in spaces.all:
            spaces.enter(one)
            nft.run(bed.services("ip", ["output"]))
            links.append(open_netfilter())
        spaces.leave()
        commit(links[0], batch)
        spaces.enter(spaces.all[0])
        listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        spaces.leave()
        assert listed.count("10.77.0.99") == bed.SLOTS // 3, "the change is in force"

        def enter_each(close_each):
            opened = []
            for one in spaces.all:
                spaces.enter(one)
                link = open_netfilter()
                commit(link, batch)
                link.close() if close_each else opened.append(link)
            spaces.leave()
            # The first end waits until what was replaced is gone; the others need not any more.
            for link in opened:
                link.close()

        at_once = times(2, lambda: enter_each(True)) if count <= 200 else "–"
        held = times(runs, lambda: [commit(link, batch) for link in links])
        print(
            f"| {count} | {times(runs * 10, lambda: commit(links[0], batch))} "
            f"| {held} | {times(runs, lambda: enter_each(False))} | {at_once} |",
            flush=True,
        )
        for link in links:
            link.close()
        spaces.close()


def table(slots):
    """Tables of many services: one map with slots, or (0 slots) a chain for each service."""
    to = lambda number, at: f"10.77.{number}.{1 + at % BACKENDS} . 8000"
    if slots:
        elements = ", ".join(
            f"10.96.0.{n} . 80 . {s} : {to(n, s)}" for n in range(SERVICES) for s in range(slots)
        )
        return f"""table ip services {{
  map services {{ typeof ip daddr . tcp dport . numgen random mod {slots} : ip daddr . tcp dport
    elements = {{ {elements} }}
  }}
  chain sent {{ type nat hook output priority -100;
    dnat ip to ip daddr . tcp dport . numgen random mod {slots} map @services
  }}
}}"""
    chains = "".join(
        f"""  chain s{n} {{ meta l4proto tcp dnat ip to numgen random mod {BACKENDS} map {{ {
            ", ".join(f"{s} : {to(n, s)}" for s in range(BACKENDS))} }}
  }}\n"""
        for n in range(SERVICES)
    )
    elements = ", ".join(f"10.96.0.{n} . 80 : goto s{n}" for n in range(SERVICES))
    return f"""table ip services {{
{chains}  map services {{ type ipv4_addr . inet_service : verdict
    elements = {{ {elements} }}
  }}
  chain sent {{ type nat hook output priority -100;
    ip daddr . tcp dport vmap @services
  }}
}}"""


def used():
    """KiB that the kernel has handed out, without caches that it can take back."""
    subprocess.run("sync; echo 2 > /proc/sys/vm/drop_caches", shell=True, check=True)
    time.sleep(1)
    lines = dict(line.split(":") for line in open("/proc/meminfo"))
    of = lambda name: int(lines[name].split()[0])
    return of("SUnreclaim") + of("Percpu") + of("VmallocUsed") + of("PageTables") + of("KernelStack")


def size(runs, count=200):
    """What tables take in so many namespaces, and how long a container's takes to make."""
    nft = Nft()
    to = ", ".join(f"{s} : 10.77.7.{9 + s} . 8000" for s in range(BACKENDS + 1))
    other = f"""flush chain ip services s7
add rule ip services s7 meta l4proto tcp dnat ip to numgen random mod {BACKENDS + 1} map {{ {to} }}"""
    kinds = [
        ("nothing", None, None),
        ("the redirect of 127.0.0.11", bed.RESOLVE, None),
        (f"{SERVICES} services, a chain each", table(0), other),
        (f"{SERVICES} services, 16 slots", table(16), None),
        (f"{SERVICES} services, {bed.SLOTS} slots", table(bed.SLOTS), None),
    ]
    print(f"{count} containers, {SERVICES} services with {BACKENDS} backends each")
    print("| in each container | KiB a container | to make | to replace a service's backends |")
    print("| --- " * 4 + "|")
    for what, text, change_one in kinds:
        sizes, made, changed = [], [], []
        for _ in range(min(runs, 5)):
            spaces = Namespaces(count)
            before = used()
            for one in spaces.all if text else []:
                spaces.enter(one)
                made.append(nft.run(text))
            spaces.leave()
            sizes.append((used() - before) / count)
            for one in spaces.all[:20] if change_one else []:
                spaces.enter(one)
                changed.append(nft.run(change_one))
            spaces.leave()
            spaces.close()
        times = [f"{statistics.median(t):.1f} ms" if t else "–" for t in (made, changed)]
        spread = f"{statistics.median(sizes):.1f} ({min(sizes):.1f}–{max(sizes):.1f})"
        print(f"| {what} | {spread} | {times[0]} | {times[1]} |", flush=True)
    spaces = Namespaces(1)
    spaces.enter(spaces.all[0])
    for what, text in (("adds only", ""), ("deletes the table first", "add table ip resolve\ndelete table ip resolve\n")):
        start = time.perf_counter()
        nft.run(text + bed.RESOLVE)
        print(f"\nThe redirect, with the end of the socket, {what}: {(time.perf_counter() - start) * 1e3:.1f} ms")
    spaces.leave()
    spaces.close()
