//! Options before the command, and those that several commands have.

use super::args::Opt;

/// An option with a value.
pub(super) const fn value(
    long: &'static str,
    short: &'static str,
    value: &'static str,
    help: &'static str,
) -> Opt {
    Opt {
        long,
        short,
        value,
        help,
    }
}

/// A switch.
pub(super) const fn switch(long: &'static str, short: &'static str, help: &'static str) -> Opt {
    value(long, short, "", help)
}

/// Options before the command.
pub(super) const GLOBAL: &[Opt] = &[
    value(
        "root",
        "",
        "dir",
        "where the state of containers is kept (default: /run/wharf-runtime, or \
         $XDG_RUNTIME_DIR/wharf-runtime without root)",
    ),
    value(
        "log",
        "",
        "file",
        "write messages there instead of to standard error",
    ),
    value(
        "log-format",
        "",
        "text|json",
        "form of the messages (default: text)",
    ),
    switch("debug", "", "write messages for those who look for a fault"),
    switch(
        "systemd-cgroup",
        "",
        "let systemd make the cgroups; linux.cgroupsPath is then slice:prefix:name",
    ),
    value(
        "rootless",
        "",
        "auto|true|false",
        "go on without a cgroup where it may not be made (default: auto)",
    ),
    value(
        "criu",
        "",
        "path",
        "accepted, and not used: there are no checkpoints",
    ),
    switch("help", "h", "show this"),
    switch("version", "v", "print the version"),
];

pub(super) const BUNDLE: Opt = value(
    "bundle",
    "b",
    "dir",
    "the bundle: the directory with config.json (default: the current directory)",
);
pub(super) const CONSOLE: Opt = value(
    "console-socket",
    "",
    "path",
    "Unix socket to which the terminal's master is sent",
);
pub(super) const PID_FILE: Opt = value("pid-file", "", "path", "write the process's number there");
pub(super) const NO_PIVOT: Opt = switch(
    "no-pivot",
    "",
    "move the new root over the old one, where pivot_root cannot be: in an initial ramdisk",
);
pub(super) const NO_KEYRING: Opt = switch(
    "no-new-keyring",
    "",
    "stay with the caller's session keyring instead of making one",
);
pub(super) const PRESERVE: Opt = value(
    "preserve-fds",
    "",
    "n",
    "pass n descriptors, those from 3 on (after those of $LISTEN_FDS), to the process (default: 0)",
);
pub(super) const DETACH: Opt = switch("detach", "d", "do not wait for the process's end");
pub(super) const HELP: Opt = switch("help", "h", "show this");
pub(super) const ID: &str = "<container-id>";
