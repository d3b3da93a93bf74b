"""What else tells the ways apart: each line is tried, in the namespaces that bed.py has built."""

import subprocess
import sys

import bed
from bed import PORT, WAYS, address, inside, nft, service

TRIED = ["own", "brnf", "masq", "routed"]


def runs(ns, line):
    done = subprocess.run(f"ip netns exec {ns} {line}", shell=True, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def row(what, answer):
    print(f"| {what} | " + " | ".join(answer(way) for way in TRIED) + " |", flush=True)


def yes(value):
    return "works" if value else "fails"


HEAR = """import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5353)); s.settimeout(1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + socket.inet_aton("{ip}"))
print("ready", flush=True); s.recv(9)"""
SAY = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("{ip}"))
s.sendto(b"x", ("{to}", 5353))"""


def heard(way, to):
    """Whether what `c` sends to this group or to all comes to `b1`."""
    script = HEAR.format(ip=address("b1"))
    line = ["ip", "netns", "exec", f"{way}-b1", sys.executable, "-c", script]
    listener = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    listener.stdout.readline()
    line = ["ip", "netns", "exec", f"{way}-c", sys.executable, "-c", SAY.format(ip=address("c"), to=to)]
    subprocess.run(line, check=False, capture_output=True)
    return listener.wait() == 0


def foreign_drop(way, program):
    """A firewall of the host's that forwards nothing."""
    host = f"{way}-h"
    nft(host, "table inet foreign { chain forward { type filter hook forward priority 0; policy drop; }\n}")
    got = runs(f"{way}-c", f"{program} who {address('b1')}:{PORT}")
    other = to_service(way, program)
    inside(host, "nft delete table inet foreign")
    return f"{yes(got)}; to a service: {yes(other)}"


def to_service(way, program):
    return runs(f"{way}-c", f"{program} who {service(bed.SERVICE)}:80")


def flushed(way, program):
    """The client, with NET_ADMIN, takes away all rules of its namespace."""
    inside(f"{way}-c", "nft flush ruleset")
    got, other = to_service(way, program), runs(f"{way}-b1", f"{program} who {service(bed.SERVICE)}:80")
    nft(f"{way}-c", bed.RESOLVE)
    if way == "own":
        nft(f"{way}-c", bed.services("ip", ["output"]))
    return f"{yes(got)}; others: {yes(other)}"


def own_rules(way, program):
    """The client's own iptables rules: flushed, and one that accepts all at first."""
    for line in ("-t nat -F", "-t nat -A OUTPUT -p tcp --dport 9 -j REDIRECT", "-A OUTPUT -j ACCEPT"):
        inside(f"{way}-c", f"iptables-nft {line}")
    got = to_service(way, program)
    for line in ("-t nat -F", "-F"):
        inside(f"{way}-c", f"iptables-nft {line}")
    return yes(got)


def tracked(way, program):
    """Connections noted after 100 of them, in the client, the host and all backends."""
    places = [f"{way}-c", f"{way}-h"] + [f"{way}-b{n}" for n in (1, 2, 3)]
    for place in places:
        runs(place, "conntrack -F")
    for _ in range(100):
        to_service(way, program)
    counts = [int(runs(p, "cat /proc/sys/net/netfilter/nf_conntrack_count") or 0) for p in places]
    return f"{counts[0]} / {counts[1]} / {sum(counts[2:])}"


def macvlan(program):
    """A client and a backend that are on a link of the host's, not on a bridge of ours."""
    if runs("own-x", "ip link add parent type veth peer name wire") is None:
        return "not tried"
    for link in ("parent", "wire"):
        inside("own-x", f"ip link set dev {link} up")
    for name, ip in (("mc", "10.77.0.10"), ("mb", "10.77.0.11")):
        bed.namespace(name)
        inside("own-x", f"ip link add name m-{name} link parent type macvlan mode bridge")
        inside("own-x", f"ip link set dev m-{name} netns {name}")
        inside(name, f"ip addr add {ip}/24 dev m-{name}")
        inside(name, f"ip link set dev m-{name} up")
        inside(name, f"ip route add default via 10.77.0.1")
    nft("mc", bed.services("ip", ["output"]).replace("10.77.0.12", "10.77.0.11").replace("10.77.0.13", "10.77.0.11"))
    server = subprocess.Popen(["ip", "netns", "exec", "mb", program, "serve", "mb", str(PORT)], stdout=subprocess.PIPE)
    server.stdout.readline()
    return yes(runs("mc", f"{program} who {service(bed.SERVICE)}:80"))


def overlay(way, program):
    """A second host with a backend, behind VXLAN: the service leads from here to there."""
    host, far, cont = f"{way}-h", f"{way}-f", f"{way}-fb"
    for ns in (far, cont):
        bed.namespace(ns)
    inside(host, f"ip link add name under type veth peer name under netns {far}")
    for ns, ip in ((host, "10.8.0.1"), (far, "10.8.0.2")):
        inside(ns, f"ip addr add {ip}/24 dev under")
        inside(ns, "ip link set dev under up")
        other = "10.8.0.2" if ns == host else "10.8.0.1"
        inside(ns, f"ip link add name vx type vxlan id 7 dstport 4789 local {ip} remote {other}")
        inside(ns, "ip link set dev vx up")
    inside(far, "sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'")
    inside(far, f"ip link add name vb type veth peer name eth0 netns {cont}")
    inside(far, "ip link set dev vb up")
    inside(cont, "ip link set dev eth0 up")
    if way == "routed":
        inside(cont, "ip addr add 10.77.0.50/32 dev eth0")
        inside(cont, "ip route add 169.254.1.1 dev eth0")
        inside(cont, "ip route add default via 169.254.1.1 dev eth0")
        inside(far, "ip addr add 169.254.1.1/32 dev vb")
        inside(far, "ip route add 10.77.0.50 dev vb")
        inside(host, "ip addr add 10.7.0.1/24 dev vx")
        inside(far, "ip addr add 10.7.0.2/24 dev vx")
        inside(host, "ip route add 10.77.0.50 via 10.7.0.2")
        inside(far, "ip route add 10.77.0.0/24 via 10.7.0.1")
    else:
        inside(host, "ip link set dev vx master br")
        inside(far, "ip link add name br type bridge")
        for link in ("br", "vx", "vb"):
            inside(far, f"ip link set dev {link} {'up' if link == 'br' else 'master br up'}")
        inside(cont, "ip addr add 10.77.0.50/24 dev eth0")
        inside(cont, "ip route add default via 10.77.0.1")
    server = subprocess.Popen(["ip", "netns", "exec", cont, program, "serve", "far", str(PORT)], stdout=subprocess.PIPE)
    server.stdout.readline()
    place = f"{way}-c" if way == "own" else host
    slots = ", ".join(f"10.96.0.3 . 80 . {s} : 10.77.0.50 . {PORT}" for s in range(bed.SLOTS))
    nft(place, f"add element ip services services {{ {slots} }}")
    got = runs(f"{way}-c", f"{program} who 10.96.0.3:80")
    return got.replace("far ", "as ").replace(f"as {address('c')}", "kept") if got else "fails"


def ingress(way, program):
    """From outside to a port of this host, whose backend is on the other one (after `overlay`): its
    answers go back by the host that sent it the connection, by a rule in the backend's namespace."""
    if way != "own":
        return "not tried"
    host, far, cont = f"{way}-h", f"{way}-f", f"{way}-fb"
    inside(far, "ip addr add 10.77.0.2/24 dev br")
    inside(cont, "ip route replace default via 10.77.0.2")
    nft(host, f"add element ip ports ports {{ 8082 : 10.77.0.50 . {PORT} }}")
    before = runs(f"{way}-x", f"{program} who {bed.OUTSIDE}:8082")
    hardware = runs(host, "cat /sys/class/net/br/address")
    nft(cont, f"""
table ip back {{
  chain arriving {{ type filter hook prerouting priority -150;
    iifname "eth0" ct state new ether saddr {hardware} ct mark set 1
  }}
  chain answering {{ type route hook output priority -150;
    ct direction reply meta mark set ct mark
  }}
}}""")
    inside(cont, "ip rule add fwmark 1 table 100")
    inside(cont, "ip route add default via 10.77.0.1 dev eth0 table 100")
    after = runs(f"{way}-x", f"{program} who {bed.OUTSIDE}:8082")
    return f"without it {yes(before)}; with it {after or 'fails'}"


def many_ports():
    """How many links a bridge takes."""
    bed.namespace("many")
    inside("many", "ip link add name br type bridge")
    lines = "".join(f"link add l{n} type veth peer name p{n}\nlink set dev l{n} master br\n" for n in range(1100))
    done = subprocess.run(["ip", "netns", "exec", "many", "ip", "-batch", "-"], input=lines, text=True, capture_output=True)
    count = runs("many", "sh -c 'ip -o link show master br | wc -l'")
    error = done.stderr.strip().splitlines()
    print(f"\nLinks of one bridge: {count}; the next: {error[0] if error else 'no error'}")


def breaks(program):
    print("|  | " + " | ".join(TRIED) + " |\n|" + " --- |" * (len(TRIED) + 1))
    row("multicast between containers (mDNS)", lambda way: yes(heard(way, "224.0.0.251")))
    row("broadcast between containers", lambda way: yes(heard(way, "255.255.255.255")))
    row("container to container, a foreign `policy drop` on the host", lambda way: foreign_drop(way, program))
    row("the client flushes all its rules; service", lambda way: flushed(way, program))
    row("the client has iptables rules of its own; service", lambda way: own_rules(way, program))
    row("noted connections of 100: client / host / backends", lambda way: tracked(way, program))
    row("overlay: backend on another host", lambda way: overlay(way, program))
    row("from outside by this host to a backend on another", lambda way: ingress(way, program))
    row("macvlan", lambda way: macvlan(program) if way == "own" else "never passes the host")
    many_ports()
