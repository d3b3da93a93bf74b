"""The ways to translate, each built in namespaces of its own, so that they can be measured alternately.

Everything is below the namespaces of network and mounts that `run` entered: nothing of it can stay.
Each way has a host, an outside machine `x`, a client `c` and backends `b1` to `b3`:

  none    a bridge, nothing is translated (to compare with)
  resolve a bridge, and in each container only the table that redirects 127.0.0.11:53
  plain   the same, but the redirect only writes other ports, so that no connection is noted
  own     a bridge; services are translated in each container's namespace, published ports on the host
  brnf    a bridge; all is translated on the host, and br_netfilter shows it the bridge's packets
  masq    a bridge; all is translated on the host, and it stands in as the sender
  routed  no bridge: each container has a link to the host, with routes of /32 (/128)
"""

import subprocess

WAYS = ["none", "resolve", "plain", "own", "brnf", "masq", "routed"]
PORT = 8000
#: Of the network: client and backends.
ADDRESS = {"c": 10, "b1": 11, "b2": 12, "b3": 13}
#: Services (their port is 80): of the three backends; of the client alone.
SERVICE, ITSELF = 1, 2
#: The outside link, and the port that is published on it: of b1; of the client itself.
OUTSIDE, PUBLISHED, PUBLISHED_SELF = "10.9.0.1", 8080, 8081
SLOTS = 60


def sh(line, **more):
    return subprocess.run(line, shell=True, check=True, **more)


def inside(ns, line, **more):
    return sh(f"ip netns exec {ns} {line}", **more)


def nft(ns, text):
    inside(ns, "nft -f -", input=text.encode())


def address(name, v6=False):
    return f"fd77::{ADDRESS[name]}" if v6 else f"10.77.0.{ADDRESS[name]}"


def service(number, v6=False):
    return f"fd96::{number}" if v6 else f"10.96.0.{number}"


#: What the resolver needs in each container anyway.
RESOLVE = """
table ip resolve {
  chain sent { type nat hook output priority -100;
    ip daddr 127.0.0.11 meta l4proto { tcp, udp } th dport 53 dnat to 127.0.0.11:5353
  }
}
"""


#: The same without translation: what goes there and what comes back gets another port written.
RESOLVE_PLAIN = """
table ip resolve {
  chain sent { type filter hook output priority -150;
    ip daddr 127.0.0.11 udp dport 53 udp dport set 5353
    ip daddr 127.0.0.11 tcp dport 53 tcp dport set 5353
    ip saddr 127.0.0.11 udp sport 5353 udp sport set 53
    ip saddr 127.0.0.11 tcp sport 5353 tcp sport set 53
  }
}
"""


def services(family, chains, slots=SLOTS):
    """One rule and one map for all services: address, port and a random slot lead to a backend."""
    v6 = family == "ip6"
    elements = []
    for number, backends in ((SERVICE, ["b1", "b2", "b3"]), (ITSELF, ["c"])):
        for slot in range(slots):
            to = address(backends[slot % len(backends)], v6)
            elements.append(f"{service(number, v6)} . 80 . {slot} : {to} . {PORT}")
    rules = "".join(
        f"""
  chain {hook} {{ type nat hook {hook} priority -100;
    dnat {family} to {family} daddr . tcp dport . numgen random mod {slots} map @services
  }}"""
        for hook in chains
    )
    return f"""
table {family} services {{
  map services {{ typeof {family} daddr . tcp dport . numgen random mod {slots} : {family} daddr . tcp dport
    elements = {{ {", ".join(elements)} }}
  }}{rules}
}}
"""


def hairpins(way, v6=False):
    """What has to be sent in the host's name, so that the answer comes back to the host."""
    family, net = ("ip6", "fd77::/64") if v6 else ("ip", "10.77.0.0/24")
    if way in ("brnf", "routed"):
        # Only what comes back to its sender, who would drop it as forged.
        own = [address(name, v6) for name in ADDRESS]
        return [f"{family} saddr {ip} {family} daddr {ip} ct status dnat masquerade" for ip in own]
    return [f"{family} saddr {net} oifname br ct status dnat masquerade"]


def published(way):
    """Published ports on the host, as wharf has them."""
    return f"""
table ip ports {{
  map ports {{ type inet_service : ipv4_addr . inet_service
    elements = {{ {PUBLISHED} : {address("b1")} . {PORT}, {PUBLISHED_SELF} : {address("c")} . {PORT} }}
  }}
  chain arriving {{ type nat hook prerouting priority -100;
    fib daddr type local dnat ip to tcp dport map @ports
  }}
}}
"""


def leaving(way, v6=False):
    rules = "".join(f"\n    {rule}" for rule in hairpins(way, v6))
    return f"""
table {"ip6" if v6 else "ip"} leaving {{
  chain leaving {{ type nat hook postrouting priority 100;{rules}
  }}
}}
"""


def namespace(ns):
    sh(f"ip netns add {ns}")
    inside(ns, "ip link set lo up")
    for line in (
        "ipv4/ip_local_port_range=1024 65000",
        "ipv4/tcp_max_tw_buckets=100",
        "ipv6/conf/all/accept_dad=0",
        "ipv6/conf/default/accept_dad=0",
    ):
        key, value = line.split("=")
        inside(ns, f"sh -c 'echo {value} > /proc/sys/net/{key}'")


def build(way):
    host, x = f"{way}-h", f"{way}-x"
    for ns in [host, x] + [f"{way}-{n}" for n in ADDRESS]:
        namespace(ns)
    for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        inside(host, f"sh -c 'echo 1 > /proc/sys/net/{key}'")
    inside(host, f"ip link add out type veth peer name eth0 netns {x}")
    inside(host, f"ip addr add {OUTSIDE}/24 dev out")
    inside(host, "ip link set out up")
    inside(x, "ip addr add 10.9.0.2/24 dev eth0")
    inside(x, "ip link set eth0 up")
    routed = way == "routed"
    # Off, as where the module is not loaded; here the kernel has it built in, and its default is on.
    for key in ("ip", "ip6"):
        inside(host, f"sh -c 'echo 0 > /proc/sys/net/bridge/bridge-nf-call-{key}tables'")
    if not routed:
        inside(host, "ip link add name br type bridge")
        inside(host, "ip addr add 10.77.0.1/24 dev br")
        inside(host, "ip addr add fd77::1/64 dev br nodad")
        inside(host, "ip link set dev br up")
    for name in ADDRESS:
        container(way, host, name, routed)
    translate(way, host)


def container(way, host, name, routed):
    ns, link = f"{way}-{name}", f"v-{name}"
    inside(host, f"ip link add {link} type veth peer name eth0 netns {ns}")
    length = ("32", "128") if routed else ("24", "64")
    inside(ns, f"ip addr add {address(name)}/{length[0]} dev eth0")
    inside(ns, f"ip addr add {address(name, True)}/{length[1]} dev eth0 nodad")
    inside(ns, "ip link set eth0 up")
    if routed:
        inside(host, f"ip link set {link} up")
        for v6, family, gate in ((False, "", "169.254.1.1"), (True, "-6", "fe80::1")):
            to = address(name, v6)
            inside(host, f"ip {family} addr add {gate}/{'64' if v6 else '32'} dev {link}")
            inside(host, f"ip {family} route add {to} dev {link}")
            inside(ns, f"ip {family} route add {gate} dev eth0")
            inside(ns, f"ip {family} route add default via {gate} dev eth0")
    else:
        inside(host, f"ip link set {link} master br up")
        if way == "brnf":
            # Else what it translates is not sent back by the port that it came from.
            inside(host, f"bridge link set dev {link} hairpin on")
        inside(ns, "ip route add default via 10.77.0.1")
        inside(ns, "ip -6 route add default via fd77::1")


def translate(way, host):
    if way != "none":
        for name in ADDRESS:
            nft(f"{way}-{name}", RESOLVE_PLAIN if way == "plain" else RESOLVE)
    nft(host, published(way) + leaving(way))
    for family in ("ip", "ip6"):
        if way == "own":
            for name in ADDRESS:
                nft(f"{way}-{name}", services(family, ["output"]))
        elif way in ("brnf", "masq", "routed"):
            nft(host, services(family, ["prerouting"]))
    if way in ("brnf", "masq", "routed"):
        nft(host, leaving(way, v6=True))
    if way == "brnf":
        # Only for this bridge; the sysctl of the same name would be for all of the host's.
        inside(host, "ip link set dev br type bridge nf_call_iptables 1 nf_call_ip6tables 1")


def serve(way, traffic):
    """A server in each container; they end with the namespace of processes."""
    for name in ADDRESS:
        server = subprocess.Popen(
            ["ip", "netns", "exec", f"{way}-{name}", traffic, "serve", name, str(PORT)],
            stdout=subprocess.PIPE,
        )
        server.stdout.readline()
