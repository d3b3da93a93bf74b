//! What flags can be set to.

use super::{Asking, Offer, daemon::Which, line::Line, line::Stage};

const SIGNALS: &[&str] = &[
    "SIGABRT", "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGINT", "SIGIO", "SIGKILL", "SIGPIPE",
    "SIGQUIT", "SIGSTOP", "SIGTERM", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2",
    "SIGWINCH",
];

/// As of Linux 6; the daemon says which of them it has.
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

const PLATFORMS: &[&str] = &[
    "linux/386",
    "linux/amd64",
    "linux/arm",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm64",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
];

const ULIMITS: &[&str] = &[
    "as=",
    "core=",
    "cpu=",
    "data=",
    "fsize=",
    "locks=",
    "memlock=",
    "msgqueue=",
    "nice=",
    "nofile=",
    "nproc=",
    "rss=",
    "rtprio=",
    "rttime=",
    "sigpending=",
    "stack=",
];

/// More of it is to be typed.
fn open(words: &[&str]) -> Offer {
    Offer {
        open: true,
        ..Offer::of(words.iter().copied())
    }
}

/// What could be the value of `--flag`, of which `text` is typed.
pub(super) async fn offer(asking: &Asking, line: &Line, flag: &str, text: &str) -> Offer {
    match flag {
        "network" if building(line) => {
            let mut names = asking.own_networks().await;
            names.extend(["default", "host", "none"].map(str::to_owned));
            Offer::of(names)
        }
        "network" if text.contains('=') => attachment(asking, text).await,
        "config-from" => Offer::of(asking.own_networks().await),
        "driver" if named(line, "network create") => {
            Offer::of(asking.known("/Plugins/Network").await)
        }
        "scope" => Offer::of(["local"]),
        "network" => {
            if text.starts_with("container:") {
                return shared(asking).await;
            }
            let mut offer = Offer::of(asking.networks().await);
            offer.words.push(("container:".to_owned(), String::new()));
            offer.words.push(("name=".to_owned(), String::new()));
            offer
        }
        "ipc" if text.starts_with("container:") => shared(asking).await,
        "pid" if text.starts_with("container:") => shared(asking).await,
        "ipc" => Offer::of(["container:", "host", "none", "private", "shareable"]),
        "pid" => Offer::of(["container:", "host"]),
        "uts" | "userns" => Offer::of(["host"]),
        "cgroupns" => Offer::of(["host", "private"]),
        "volumes-from" | "link" => Offer::of(asking.containers(Which::All).await),
        "volume" => Offer {
            words: Offer::of(asking.volumes().await)
                .words
                .into_iter()
                .map(|(name, about)| (format!("{name}:"), about))
                .collect(),
            open: true,
            files: true,
        },
        "mount" => mount(asking, text).await,
        "context" | "from" => Offer::of(asking.contexts()),
        "pull" => Offer::of(["always", "missing", "never"]),
        "output" if building(line) => Offer {
            files: true,
            ..typed(
                text,
                &[
                    "type=docker",
                    "type=image",
                    "type=local,dest=",
                    "type=oci,dest=",
                    "type=registry",
                    "type=tar,dest=",
                ],
            )
        },
        "restart" => Offer::of([
            "always",
            "no",
            "on-failure",
            "on-failure:",
            "unless-stopped",
        ]),
        "signal" | "stop-signal" => Offer::of(SIGNALS.iter().copied()),
        "cap-add" | "cap-drop" => Offer::of(CAPABILITIES.iter().copied()),
        "attach" => Offer::of(["stderr", "stdin", "stdout"]),
        "log-level" => Offer::of(["debug", "error", "fatal", "info", "warn"]),
        "log-driver" => Offer::of(asking.known("/Plugins/Log").await),
        "driver" if named(line, "volume create") => {
            Offer::of(asking.known("/Plugins/Volume").await)
        }
        "opt" if named(line, "volume create") => open(&["device=", "o=", "size=", "type="]),
        "volume-driver" => Offer::of(asking.known("/Plugins/Volume").await),
        "runtime" => Offer::of(asking.known("/Runtimes").await),
        "platform" => Offer::of(PLATFORMS.iter().copied()),
        "progress" => Offer::of(["auto", "plain", "quiet", "rawjson", "tty"]),
        "call" => Offer::of(["build", "check", "outline", "targets"]),
        "allow" => Offer::of(["network.host", "security.insecure"]),
        "builder" => Offer::of(["default"]),
        "build-arg" => variables(),
        "secret" => open(&["id="]),
        "ssh" => Offer::of(["default"]),
        "cache-from" | "cache-to" => {
            typed(text, &["type=inline", "type=local,", "type=registry,ref="])
        }
        "build-context" => Offer::files(),
        "target" => stages(line),
        "isolation" => Offer::of(["default"]),
        "security-opt" => open(&[
            "apparmor=",
            "label=",
            "no-new-privileges",
            "seccomp=",
            "systempaths=unconfined",
        ]),
        "ulimit" => open(ULIMITS),
        "gpus" => Offer::of(["all"]),
        "env" => variables(),
        "format" => match line.stage {
            Stage::Verb(verb) if verb.names[0].ends_with(" ls") => Offer::of(["json", "table"]),
            _ => Offer::of(["json"]),
        },
        "filter" => filters(asking, line, text).await,
        "iidfile" | "metadata-file" | "file" | "cidfile" | "env-file" | "label-file" | "output"
        | "input" | "config" | "tlscacert" | "tlscert" | "tlskey" | "device" => Offer::files(),
        _ => Offer::default(),
    }
}

/// Whether it is `build` that is typed.
fn building(line: &Line) -> bool {
    named(line, "image build")
}

/// Whether it is the verb `name` that is typed.
fn named(line: &Line, name: &str) -> bool {
    matches!(line.stage, Stage::Verb(verb) if verb.names[0] == name)
}

/// `type=…`, as long as nothing else is typed.
fn typed(text: &str, words: &[&str]) -> Offer {
    if text.contains(',') {
        Offer::files()
    } else {
        open(words)
    }
}

/// The stages of the Dockerfile that the line names, or of the usual one.
fn stages(line: &Line) -> Offer {
    if !building(line) {
        return Offer::default();
    }
    let folder = line.operands.first().map_or(".", String::as_str);
    let path = std::path::Path::new(folder).join("Dockerfile");
    let small = std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() < 1 << 20);
    let text = small.then(|| std::fs::read_to_string(&path).ok()).flatten();
    let text = text.unwrap_or_default();
    let name = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_from = words.first()?.eq_ignore_ascii_case("from");
        let at = words.iter().position(|w| w.eq_ignore_ascii_case("as"))?;
        is_from.then(|| words.get(at + 1).map(|w| (*w).to_owned()))?
    };
    Offer::of(text.lines().filter_map(name))
}

/// `container:NAME`.
async fn shared(asking: &Asking) -> Offer {
    let names = asking.containers(Which::Running).await;
    Offer::of(names.into_iter().map(|name| format!("container:{name}")))
}

/// Names of ours; a value may follow.
fn variables() -> Offer {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    Offer::of(names)
}

/// The part behind the last comma of `type=…,source=…`.
async fn mount(asking: &Asking, text: &str) -> Offer {
    let (before, part) = text.rsplit_once(',').map_or(("", text), |(b, p)| (b, p));
    let before = if before.is_empty() {
        String::new()
    } else {
        format!("{before},")
    };
    let parts: Vec<String> = if part.starts_with("type=") || before.is_empty() {
        ["bind", "image", "tmpfs", "volume"]
            .iter()
            .map(|kind| format!("type={kind},"))
            .collect()
    } else if let Some(name) = ["src=", "source="].iter().find(|n| part.starts_with(**n)) {
        if before.contains("type=bind") {
            return Offer::files();
        }
        let names = match before.contains("type=image") {
            true => asking.images().await,
            false => asking.volumes().await,
        };
        names.iter().map(|v| format!("{name}{v},")).collect()
    } else {
        ["source=", "target=", "readonly"]
            .iter()
            .map(|&name| name.to_owned())
            .collect()
    };
    Offer {
        open: true,
        ..Offer::of(parts.into_iter().map(|part| format!("{before}{part}")))
    }
}

/// The part behind the last comma of `name=…,alias=…`.
async fn attachment(asking: &Asking, text: &str) -> Offer {
    let (before, part) = match text.rsplit_once(',') {
        Some((before, part)) => (format!("{before},"), part),
        None => (String::new(), text),
    };
    let parts: Vec<String> = if part.starts_with("name=") {
        let networks = asking.networks().await;
        networks.iter().map(|n| format!("name={n}")).collect()
    } else {
        let keys = words("alias driver-opt gw-priority ip ip6 link-local-ip mac-address name");
        keys.into_iter().map(|key| key + "=").collect()
    };
    Offer {
        open: true,
        ..Offer::of(parts.into_iter().map(|part| format!("{before}{part}")))
    }
}

/// Names of filters, and the values of those that name something.
async fn filters(asking: &Asking, line: &Line, text: &str) -> Offer {
    let Stage::Verb(verb) = line.stage else {
        return Offer::default();
    };
    if let Some((name, _)) = text.split_once('=') {
        let values: Vec<String> = match name {
            "ancestor" | "before" | "since" | "image" if verb.names[0] != "container ls" => {
                asking.images().await
            }
            "ancestor" | "image" | "reference" => asking.images().await,
            "driver" if verb.names[0] == "network ls" => asking.known("/Plugins/Network").await,
            "name" if verb.names[0] == "network ls" => asking.networks().await,
            "type" if verb.names[0] == "network ls" => words("builtin custom"),
            "scope" => words("local swarm"),
            "name" if verb.names[0] == "volume ls" => asking.volumes().await,
            "before" | "since" | "container" | "name" => asking.containers(Which::All).await,
            "network" => asking.networks().await,
            "volume" => asking.volumes().await,
            "driver" => asking.known("/Plugins/Volume").await,
            "all" | "dangling" | "is-task" => vec!["false".to_owned(), "true".to_owned()],
            "health" => words("healthy none starting unhealthy"),
            "status" => words("created dead exited paused removing restarting running"),
            "type" => words("container daemon image network volume"),
            _ => Vec::new(),
        };
        return Offer::of(values.into_iter().map(|value| format!("{name}={value}")));
    }
    let names = match verb.names[0] {
        "container ls" => {
            "ancestor before exited expose health id is-task label name network publish since status volume"
        }
        "image ls" => "before dangling label reference since until",
        "network ls" => "dangling driver id label name scope type",
        "system events" => "container daemon event image label network scope type volume",
        "volume ls" => "dangling driver label name",
        "volume prune" => "all label label!",
        name if name.ends_with(" prune") => "label label! until",
        _ => "",
    };
    let names: Vec<String> = words(names).into_iter().map(|n| n + "=").collect();
    Offer {
        open: true,
        ..Offer::of(names)
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
