//! The flags of `run` and `create`.

pub(crate) mod health;

use super::spec::{devices, mount, names, network};
use crate::flags::{DETACH_KEYS, Flag, checks, int, list, switch, text};

/// Flags that say what the container is.
pub(crate) const SPEC: &[Flag] = &[
    list("attach", "Connect STDIN, STDOUT or STDERR")
        .short('a')
        .check(checks::stream),
    list("cap-add", "Add a capability, such as NET_ADMIN or ALL"),
    list("cap-drop", "Take a capability away"),
    text("cgroup-parent", "Parent of the container's cgroup"),
    text("cidfile", "Write the container's ID to this file"),
    text("cpus", "How many processors it may use").value("decimal", checks::cpus),
    text("domainname", "Its NIS domain name"),
    text("entrypoint", "Run this in place of the image's entrypoint"),
    list(
        "env",
        "Set an environment variable, NAME=VALUE or NAME for ours",
    )
    .short('e')
    .check(checks::env),
    list("env-file", "Set the environment variables in this file"),
    list("expose", "Expose a port or a range of ports"),
    list("group-add", "Make the process a member of a further group"),
    text("hostname", "Its host name").short('h'),
    switch(
        "init",
        "Run an init that passes signals on and collects processes that ended",
    ),
    switch("interactive", "Keep standard input open, attached or not").short('i'),
    list("label", "Set a label, NAME=VALUE")
        .short('l')
        .check(checks::label),
    list("label-file", "Set the labels in this file"),
    text("log-driver", "Where its output goes"),
    list("log-opt", "An option of the log driver"),
    text("memory-swap", "Memory and swap together; -1 for no bound").value("bytes", checks::swap),
    text("memory", "How much memory it may use, such as 64m")
        .short('m')
        .value("bytes", checks::bytes),
    text("name", "Its name"),
    list(
        "network",
        "A network that it joins: bridge, host, none, container:<name|id> or one of your own, \
         NAME or name=NAME,alias=…,ip=…,gw-priority=…",
    )
    .value("network", network::check),
    int(
        "pids-limit",
        "How many processes it may have (-1 for any number)",
    ),
    text("platform", "The platform of the image, os[/arch[/variant]]"),
    switch(
        "privileged",
        "Give it every device, and every capability the daemon has",
    ),
    list(
        "publish",
        "Publish a port of the container on the host, [[IP:]HOST_PORT:]PORT[/PROTO]",
    )
    .short('p'),
    switch(
        "publish-all",
        "Publish every exposed port on a free port of the host",
    )
    .short('P'),
    text("pull", "When to pull the image: always, missing or never").default("\"missing\""),
    switch("quiet", "Do not show the progress of a pull").short('q'),
    switch("read-only", "Its root file system cannot be written"),
    text(
        "restart",
        "When to start it again after it ended: no, on-failure[:TIMES], always or unless-stopped",
    )
    .default("\"no\""),
    switch("rm", "Remove it, with its anonymous volumes, when it ends"),
    text("runtime", "The OCI runtime that runs it"),
    list("security-opt", "A security option"),
    text("shm-size", "Size of /dev/shm").value("bytes", checks::bytes),
    text("stop-signal", "The signal that asks it to stop"),
    int(
        "stop-timeout",
        "Seconds until it is killed after that signal",
    ),
    list("tmpfs", "Mount a file system in memory, PATH[:OPTIONS]"),
    switch("tty", "Give it a terminal").short('t'),
    list("ulimit", "Set a resource limit, NAME=SOFT[:HARD]").value("ulimit", checks::ulimit),
    text("user", "User that it runs as, <name|uid>[:<group|gid>]").short('u'),
    list(
        "volume",
        "Mount a directory of the host or a volume, <PATH|NAME>:DESTINATION[:ro]",
    )
    .short('v'),
    text("workdir", "Its working directory").short('w'),
    list(
        "annotation",
        "Add an annotation to the container (passed through to the OCI runtime)",
    )
    .value("map", checks::any),
    list(
        "blkio-weight-device",
        "Block IO weight (relative device weight)",
    )
    .check(devices::weight_check),
    text("cgroupns", "Cgroup namespace to use (host|private)").check(checks::cgroupns),
    int(
        "cpu-rt-period",
        "Limit CPU real-time period in microseconds",
    ),
    int(
        "cpu-rt-runtime",
        "Limit CPU real-time runtime in microseconds",
    ),
    list("device", "Add a host device to the container"),
    list(
        "device-cgroup-rule",
        "Add a rule to the cgroup allowed devices list",
    )
    .check(devices::rule_check),
    list(
        "device-read-bps",
        "Limit read rate (bytes per second) from a device",
    )
    .check(devices::bytes_check),
    list(
        "device-read-iops",
        "Limit read rate (IO per second) from a device",
    )
    .check(devices::operations_check),
    list(
        "device-write-bps",
        "Limit write rate (bytes per second) to a device",
    )
    .check(devices::bytes_check),
    list(
        "device-write-iops",
        "Limit write rate (IO per second) to a device",
    )
    .check(devices::operations_check),
    text(
        "gpus",
        "GPU devices to add to the container ('all' to pass all GPUs)",
    )
    .value("gpu-request", devices::gpus_check),
    text("ipc", "IPC mode to use"),
    text("kernel-memory", "Kernel memory limit").value("bytes", checks::bytes),
    int(
        "memory-swappiness",
        "Tune container memory swappiness (0 to 100)",
    )
    .default("-1"),
    switch("oom-kill-disable", "Disable OOM Killer"),
    int(
        "oom-score-adj",
        "Tune host's OOM preferences (-1000 to 1000)",
    ),
    text("pid", "PID namespace to use"),
    list("storage-opt", "Storage driver options for the container"),
    list("sysctl", "Sysctl options").value("map", checks::sysctl),
    text("userns", "User namespace to use"),
    list("add-host", "Add a name to its hosts, NAME:ADDRESS").check(names::host_check),
    list("dns", "Set a name server").check(names::address_check),
    list("dns-opt", "Set an option of the resolver").hidden(),
    list("dns-option", "Set an option of the resolver"),
    list("dns-search", "Set a domain in which names are looked for").check(names::search_check),
    text("ip", "Its IPv4 address (in networks of your own)"),
    text("ip6", "Its IPv6 address (in networks of your own)"),
    list(
        "link",
        "Let it know another container by name, NAME[:ALIAS]",
    )
    .check(names::link_check),
    list("link-local-ip", "A link-local address"),
    text("mac-address", "Its MAC address"),
    list(
        "mount",
        "Mount a directory of the host, a volume, memory or an image, type=bind|volume|tmpfs|image,…",
    )
    .value("mount", mount::check),
    list("network-alias", "A further name in its network"),
    text("volume-driver", "The driver of its volumes"),
    list(
        "volumes-from",
        "Mount what another container mounts, NAME[:ro|rw]",
    ),
    text("uts", "UTS namespace to use"),
];

/// Limits that `update` takes in the same words.
pub(crate) const LIMITS: &[Flag] = &[
    text(
        "blkio-weight",
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    )
    .value("uint16", checks::int),
    int(
        "cpu-period",
        "Limit CPU CFS (Completely Fair Scheduler) period",
    ),
    int(
        "cpu-quota",
        "Limit CPU CFS (Completely Fair Scheduler) quota",
    ),
    int("cpu-shares", "CPU shares (relative weight)").short('c'),
    text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
    text("memory-reservation", "Memory soft limit").value("bytes", checks::bytes),
];

/// Flags of `run` that `create` does not have.
pub(crate) const RUN: &[Flag] = &[
    switch("detach", "Leave it running, and print its ID").short('d'),
    DETACH_KEYS,
    switch("sig-proxy", "Pass signals on to the process").default("true"),
];

const ZERO: &[&str] = &["0"];

/// Docker's flags that wharf refuses, unless they say what holds anyway.
pub(crate) const REFUSED: &[Flag] = &[
    int("cpu-count", "Processors, on Windows").only(ZERO),
    int("cpu-percent", "Processor time, on Windows").only(ZERO),
    switch(
        "disable-content-trust",
        "Skip the verification of signatures",
    )
    .default("true")
    .only(&["true"]),
    text("io-maxbandwidth", "Bound of I/O, on Windows")
        .value("bytes", checks::any)
        .only(ZERO),
    text("io-maxiops", "Bound of I/O operations, on Windows")
        .value("uint", checks::int)
        .only(ZERO),
    text("isolation", "Isolation technology, on Windows").only(&["", "default"]),
    switch("use-api-socket", "Give it the API's socket").only(&["false"]),
];
