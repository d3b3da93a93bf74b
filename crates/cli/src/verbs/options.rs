//! The flags of `run` and `create`.

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
    switch("no-healthcheck", "Do not run the image's health check"),
    list(
        "network",
        "The network that it joins: bridge, host, none or container:<name|id>",
    )
    .value("network", checks::any),
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
];

/// Flags of `run` that `create` does not have.
pub(crate) const RUN: &[Flag] = &[
    switch("detach", "Leave it running, and print its ID").short('d'),
    DETACH_KEYS,
    switch("sig-proxy", "Pass signals on to the process").default("true"),
];

const NONE: &[&str] = &[];
const ZERO: &[&str] = &["0"];
const EMPTY: &[&str] = &[""];

/// Docker's flags that wharf refuses, unless they say what holds anyway.
pub(crate) const REFUSED: &[Flag] = &[
    list("add-host", "Add a name to the container's hosts").only(NONE),
    list("annotation", "Add an annotation")
        .value("map", checks::any)
        .only(NONE),
    text("blkio-weight", "Weight of block I/O")
        .value("uint16", checks::int)
        .only(ZERO),
    list("blkio-weight-device", "Weight of one device's block I/O").only(NONE),
    text("cgroupns", "Cgroup namespace to use: host or private"),
    int("cpu-count", "Processors, on Windows").only(ZERO),
    int("cpu-percent", "Processor time, on Windows").only(ZERO),
    int("cpu-period", "Period of the scheduler's quota").only(ZERO),
    int("cpu-quota", "Quota of the scheduler").only(ZERO),
    int("cpu-rt-period", "Period of the real-time quota").only(ZERO),
    int("cpu-rt-runtime", "Quota of real-time scheduling").only(ZERO),
    int("cpu-shares", "Relative weight of processor time")
        .short('c')
        .only(ZERO),
    text("cpuset-cpus", "Processors that it may use").only(EMPTY),
    text("cpuset-mems", "Memory nodes that it may use").only(EMPTY),
    list("device", "Add a device of the host").only(NONE),
    list("device-cgroup-rule", "Add a rule for devices").only(NONE),
    list("device-read-bps", "Bound of bytes read from a device").only(NONE),
    list("device-read-iops", "Bound of reads from a device").only(NONE),
    list("device-write-bps", "Bound of bytes written to a device").only(NONE),
    list("device-write-iops", "Bound of writes to a device").only(NONE),
    switch(
        "disable-content-trust",
        "Skip the verification of signatures",
    )
    .default("true")
    .only(&["true"]),
    list("dns", "Set a DNS server").only(NONE),
    list("dns-opt", "Set a DNS option").only(NONE),
    list("dns-option", "Set a DNS option").only(NONE),
    list("dns-search", "Set a DNS search domain").only(NONE),
    text("gpus", "Add GPUs")
        .value("gpu-request", checks::any)
        .only(NONE),
    text("health-cmd", "Command that checks health").only(EMPTY),
    text("health-interval", "Time between checks")
        .value("duration", checks::any)
        .only(&["0", "0s"]),
    int("health-retries", "Failures until it is unhealthy").only(ZERO),
    text("health-start-interval", "Time between checks at first")
        .value("duration", checks::any)
        .only(&["0", "0s"]),
    text("health-start-period", "Time in which failures do not count")
        .value("duration", checks::any)
        .only(&["0", "0s"]),
    text("health-timeout", "Time that a check may take")
        .value("duration", checks::any)
        .only(&["0", "0s"]),
    text("io-maxbandwidth", "Bound of I/O, on Windows")
        .value("bytes", checks::any)
        .only(ZERO),
    text("io-maxiops", "Bound of I/O operations, on Windows")
        .value("uint", checks::int)
        .only(ZERO),
    text("ip", "Its IPv4 address").only(EMPTY),
    text("ip6", "Its IPv6 address").only(EMPTY),
    text("ipc", "IPC namespace to use").only(&["", "private"]),
    text("isolation", "Isolation technology, on Windows").only(&["", "default"]),
    text("kernel-memory", "Bound of kernel memory")
        .value("bytes", checks::any)
        .only(ZERO),
    list("link", "Link to another container").only(NONE),
    list("link-local-ip", "A link-local address").only(NONE),
    text("mac-address", "Its MAC address").only(EMPTY),
    text("memory-reservation", "Soft bound of memory")
        .value("bytes", checks::any)
        .only(ZERO),
    int("memory-swappiness", "Swappiness, 0 to 100").only(&["-1"]),
    list("mount", "Mount a file system")
        .value("mount", checks::any)
        .only(NONE),
    list("network-alias", "A further name in its network").only(NONE),
    switch("oom-kill-disable", "Do not kill it when memory runs out").only(&["false"]),
    int("oom-score-adj", "Preference when memory runs out").only(ZERO),
    text("pid", "PID namespace to use").only(EMPTY),
    list("storage-opt", "An option of the storage driver").only(NONE),
    list("sysctl", "A kernel parameter")
        .value("map", checks::any)
        .only(NONE),
    switch("use-api-socket", "Give it the API's socket").only(&["false"]),
    text("userns", "User namespace to use").only(EMPTY),
    text("uts", "UTS namespace to use").only(EMPTY),
    text("volume-driver", "Driver of its volumes").only(&["", "local"]),
    list("volumes-from", "Mount the volumes of another container").only(NONE),
];
