//! Every command with its options: what is parsed, and what the help says.

use super::{
    args::Opt,
    options::{
        BUNDLE, CONSOLE, DETACH, HELP, ID, NO_KEYRING, NO_PIVOT, PID_FILE, PRESERVE, switch, value,
    },
};

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// One line.
    pub(super) about: &'static str,
    /// Its arguments, as the help shows them.
    pub(super) usage: &'static str,
    /// How many arguments it takes.
    pub(super) arity: std::ops::RangeInclusive<usize>,
    /// What is behind the first argument belongs to another program.
    pub(super) ordered: bool,
    /// More about it; may be empty.
    pub(super) more: &'static str,
    pub(super) options: &'static [Opt],
}

/// All commands, in the order of the help.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "create",
        about: "create a container",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "The container waits for `start` before its program runs.",
        options: &[
            BUNDLE, CONSOLE, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE, HELP,
        ],
    },
    Command {
        name: "start",
        about: "run the program of a created container",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "",
        options: &[HELP],
    },
    Command {
        name: "run",
        about: "create a container and run its program",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "Waits for the program's end, whose exit code is its own, and deletes the container.",
        options: &[
            BUNDLE,
            CONSOLE,
            DETACH,
            switch("keep", "", "do not delete the container after its end"),
            PID_FILE,
            switch(
                "no-subreaper",
                "",
                "do not take over processes whose parents ended",
            ),
            NO_PIVOT,
            NO_KEYRING,
            PRESERVE,
            HELP,
        ],
    },
    Command {
        name: "exec",
        about: "run another program in a container",
        usage: "<container-id> <program> [arguments...] | --process <file> <container-id>",
        arity: 1..=usize::MAX,
        ordered: true,
        more: "",
        options: &[
            CONSOLE,
            value("cwd", "", "dir", "working directory in the container"),
            value(
                "env",
                "e",
                "name=value",
                "an environment variable; may be repeated",
            ),
            switch("tty", "t", "give it a terminal"),
            value("user", "u", "uid[:gid]", "who it runs as"),
            value(
                "additional-gids",
                "g",
                "gid",
                "a supplementary group; may be repeated",
            ),
            value(
                "process",
                "p",
                "file",
                "the process as JSON, instead of the options and the program",
            ),
            DETACH,
            PID_FILE,
            value("process-label", "", "label", "SELinux label"),
            value("apparmor", "", "profile", "AppArmor profile"),
            switch("no-new-privs", "", "it can gain no privileges"),
            value(
                "cap",
                "c",
                "CAP_NAME",
                "a capability on top of the container's; may be repeated",
            ),
            PRESERVE,
            value(
                "cgroup",
                "",
                "[controllers:]path",
                "an existing cgroup beneath the container's; may be repeated",
            ),
            switch(
                "ignore-paused",
                "",
                "do it in a paused container, too; it will run when that is resumed",
            ),
            HELP,
        ],
    },
    Command {
        name: "kill",
        about: "send a signal to a container's first process",
        usage: "<container-id> [signal]",
        arity: 1..=2,
        ordered: false,
        more: "The signal is a number or a name (default: SIGTERM).",
        options: &[
            switch("all", "a", "send it to every process of the container"),
            HELP,
        ],
    },
    Command {
        name: "delete",
        about: "delete a stopped container and all that is left of it",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "",
        options: &[
            switch(
                "force",
                "f",
                "kill it if it runs; it is no error if there is no such container",
            ),
            HELP,
        ],
    },
    Command {
        name: "state",
        about: "print the state of a container as JSON",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "",
        options: &[HELP],
    },
    Command {
        name: "list",
        about: "list containers",
        usage: "",
        arity: 0..=0,
        ordered: false,
        more: "",
        options: &[
            value("format", "f", "table|json", "the form (default: table)"),
            switch("quiet", "q", "print only their names"),
            HELP,
        ],
    },
    Command {
        name: "ps",
        about: "list the processes of a container",
        usage: "<container-id> [options of ps...]",
        arity: 1..=usize::MAX,
        ordered: true,
        more: "The table is that of the host's ps (default: ps -ef), which must show the column PID.",
        options: &[
            value("format", "f", "table|json", "the form (default: table)"),
            HELP,
        ],
    },
    Command {
        name: "pause",
        about: "stop all processes of a container for a while",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "",
        options: &[HELP],
    },
    Command {
        name: "resume",
        about: "let a paused container go on",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "",
        options: &[HELP],
    },
    Command {
        name: "update",
        about: "change the limits of a container",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "What is not given stays as it is.",
        options: &[
            value(
                "resources",
                "r",
                "file",
                "read the limits from there, or from standard input if it is -: JSON as \
                 linux.resources in config.json; other options are then ignored",
            ),
            value(
                "blkio-weight",
                "",
                "n",
                "share of block devices' time, 10 to 1000",
            ),
            value(
                "cpu-period",
                "",
                "µs",
                "length of a period of the processor limit",
            ),
            value("cpu-quota", "", "µs", "processor time in a period"),
            value("cpu-burst", "", "µs", "processor time that may be saved up"),
            value("cpu-share", "", "n", "share of processor time"),
            value(
                "cpu-rt-period",
                "",
                "µs",
                "length of a period of the real-time limit",
            ),
            value(
                "cpu-rt-runtime",
                "",
                "µs",
                "real-time processor time in a period",
            ),
            value("cpu-idle", "", "0|1", "run only when nobody else does"),
            value("cpuset-cpus", "", "list", "processors to use"),
            value("cpuset-mems", "", "list", "memory nodes to use"),
            value("memory", "", "bytes", "memory limit"),
            value(
                "memory-reservation",
                "",
                "bytes",
                "memory it is left when it gets scarce",
            ),
            value(
                "memory-swap",
                "",
                "bytes",
                "limit of memory and swap together; -1: none",
            ),
            value("pids-limit", "", "n", "limit of processes; -1: none"),
            value("l3-cache-schema", "", "text", "refused: no Intel RDT"),
            value("mem-bw-schema", "", "text", "refused: no Intel RDT"),
            HELP,
        ],
    },
    Command {
        name: "events",
        about: "print what a container uses, and when memory ran out, as lines of JSON",
        usage: ID,
        arity: 1..=1,
        ordered: false,
        more: "",
        options: &[
            value("interval", "", "duration", "how often (default: 5s)"),
            switch("stats", "", "print what it uses now, and end"),
            HELP,
        ],
    },
    Command {
        name: "features",
        about: "print what this runtime can do, as JSON",
        usage: "",
        arity: 0..=0,
        ordered: false,
        more: "",
        options: &[HELP],
    },
    Command {
        name: "spec",
        about: "write a config.json to begin with",
        usage: "",
        arity: 0..=0,
        ordered: false,
        more: "",
        options: &[
            value(
                "bundle",
                "b",
                "dir",
                "where (default: the current directory)",
            ),
            switch("rootless", "", "for a user who is not root"),
            HELP,
        ],
    },
];

/// Commands of other runtimes that are refused, and why.
pub(super) const REFUSED: [(&str, &str); 2] = [
    ("checkpoint", "checkpoints are not supported"),
    ("restore", "checkpoints are not supported"),
];
