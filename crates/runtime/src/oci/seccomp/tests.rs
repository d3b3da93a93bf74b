//! The programs, run by an interpreter, against the rules, read by people's understanding of them.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction as Action};
use serde_json::json;

use super::{
    program::program,
    rules::{Condition, Decision, Test, action, condition, ranges},
    table::{AARCH64, ARM, FAMILY, Machine, Table, X86, X86_64},
    *,
};

/// What a filter is asked.
#[derive(Debug, Clone, Copy)]
struct Call {
    number: u32,
    arch: u32,
    args: [u64; 6],
}

/// Runs a program as the kernel does.
fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let mut acc = 0u32;
    let mut at = 0;
    let mut steps = 0;
    loop {
        let i = program[at];
        at += 1;
        steps += 1;
        let mut jump = |yes: bool| at += usize::from(if yes { i.jt } else { i.jf });
        match i.code {
            0x20 => {
                acc = match i.k {
                    0 => call.number,
                    4 => call.arch,
                    k => {
                        assert!((16..64).contains(&k) && k % 4 == 0);
                        let arg = call.args[(k as usize - 16) / 8];
                        if k % 8 == 4 {
                            (arg >> 32) as u32
                        } else {
                            arg as u32
                        }
                    }
                }
            }
            0x54 => acc &= i.k,
            0x05 => at += i.k as usize,
            0x15 => jump(acc == i.k),
            0x25 => jump(acc > i.k),
            0x35 => jump(acc >= i.k),
            0x06 => return (i.k, steps),
            code => panic!("instruction {code:#x}"),
        }
    }
}

fn of(json: serde_json::Value) -> LinuxSeccomp {
    serde_json::from_value(json).unwrap()
}

fn on(machine: Machine, seccomp: &LinuxSeccomp) -> Vec<Instruction> {
    let table = Table::new();
    program(&[(machine, ranges(seccomp, machine, &table))])
}

fn ask(machine: Machine, program: &[Instruction], name: &str, args: &[u64]) -> u32 {
    let mut call = Call {
        number: Table::new().number(machine, name).unwrap(),
        arch: machine.audit,
        args: [0; 6],
    };
    call.args[..args.len()].copy_from_slice(args);
    run(program, &call).0
}

const ALLOW: u32 = 0x7fff_0000;
const fn errno(n: u32) -> u32 {
    0x0005_0000 | n
}

#[test]
fn actions_and_newer_calls() {
    for (name, number) in [
        ("SCMP_ACT_KILL", 0),
        ("SCMP_ACT_KILL_THREAD", 0),
        ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
        ("SCMP_ACT_TRAP", 0x0003_0000),
        ("SCMP_ACT_ERRNO", errno(1)),
        ("SCMP_ACT_TRACE", 0x7ff0_0001),
        ("SCMP_ACT_LOG", 0x7ffc_0000),
        ("SCMP_ACT_ALLOW", ALLOW),
    ] {
        let other = if number == ALLOW {
            "SCMP_ACT_LOG"
        } else {
            "SCMP_ACT_ALLOW"
        };
        let seccomp = of(json!({"defaultAction": other, "syscalls": [
            {"names": ["getpid"], "action": name}]}));
        assert_eq!(ask(X86_64, &on(X86_64, &seccomp), "getpid", &[]), number);
    }
    // The newest that is named is openat2 (437): what is older has the default, what is newer is not.
    let seccomp = of(
        json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [
        {"names": ["read", "openat2", "no_such_call"], "action": "SCMP_ACT_ALLOW"}]}),
    );
    for machine in [X86_64, X86, AARCH64, ARM] {
        let program = on(machine, &seccomp);
        assert_eq!(ask(machine, &program, "read", &[]), ALLOW);
        assert_eq!(ask(machine, &program, "clone3", &[]), errno(13));
        assert_eq!(ask(machine, &program, "pidfd_getfd", &[]), errno(38));
        assert_eq!(ask(machine, &program, "file_setattr", &[]), errno(38));
    }
    // ... unless it would be let through.
    let seccomp = of(json!({"defaultAction": "SCMP_ACT_LOG", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}));
    assert_eq!(
        ask(X86_64, &on(X86_64, &seccomp), "openat2", &[]),
        0x7ffc_0000
    );
}

#[test]
fn foreign_and_x32_calls() {
    let mut profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]});
    let call = |arch, number| Call {
        number,
        arch,
        args: [0; 6],
    };
    let alone = on(X86_64, &of(profile.clone()));
    assert_eq!(run(&alone, &call(X86.audit, 3)).0, 0);
    assert_eq!(run(&alone, &call(X86_64.audit, 0x4000_0000)).0, 0);
    profile["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    let all = on(X86_64, &of(profile));
    assert_eq!(run(&all, &call(X86_64.audit, 0x4000_0000)).0, errno(38));
    assert_eq!(run(&all, &call(X86_64.audit, u32::MAX)).0, errno(38));
    // An architecture that is not in the list is no way round.
    #[cfg(target_arch = "x86_64")]
    {
        let filter = compile(&of(json!({"defaultAction": "SCMP_ACT_ALLOW"}))).unwrap();
        assert_eq!(run(&filter.program, &call(X86.audit, 3)).0, 0);
        assert_eq!(run(&filter.program, &call(X86_64.audit, 3)).0, ALLOW);
    }
}

#[test]
fn precedence() {
    let rules = |rules: serde_json::Value| {
        on(
            X86_64,
            &of(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules})),
        )
    };
    let zero = json!([{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]);
    // One without conditions holds alone, wherever it stands; and the first of them.
    let program = rules(json!([
        {"names": ["dup"], "action": "SCMP_ACT_TRAP", "args": zero},
        {"names": ["dup"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["dup"], "action": "SCMP_ACT_KILL_PROCESS"},
        {"names": ["dup"], "action": "SCMP_ACT_TRAP", "args": zero}]));
    assert_eq!(ask(X86_64, &program, "dup", &[0]), ALLOW);
    // A rule that does the default action is none.
    let program = rules(json!([
        {"names": ["dup"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["dup"], "action": "SCMP_ACT_ALLOW"}]));
    assert_eq!(ask(X86_64, &program, "dup", &[0]), ALLOW);
    // The first that matches; two conditions on one argument are two rules.
    let program = rules(json!([
        {"names": ["dup2"], "action": "SCMP_ACT_TRAP", "args": zero},
        {"names": ["dup2"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 1, "value": 5, "op": "SCMP_CMP_EQ"},
            {"index": 1, "value": 6, "op": "SCMP_CMP_EQ"}]}]));
    for (args, expected) in [
        ([0, 5], 0x0003_0000),
        ([1, 5], ALLOW),
        ([1, 6], ALLOW),
        ([1, 7], errno(1)),
    ] {
        assert_eq!(ask(X86_64, &program, "dup2", &args), expected);
    }
}

#[test]
fn socketcall_and_ipc_are_no_way_round() {
    let deny = on(
        X86,
        &of(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["socket", "shmat"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["connect"], "action": "SCMP_ACT_ERRNO",
             "args": [{"index": 2, "value": 16, "op": "SCMP_CMP_EQ"}]}]})),
    );
    for (name, args, expected) in [
        ("socketcall", [1, 0], errno(1)),
        ("socketcall", [2, 0], ALLOW),
        ("socketcall", [3, 0], errno(1)),
        ("ipc", [21, 0], errno(1)),
        ("ipc", [0x1_0015, 0], errno(1)),
        ("ipc", [22, 0], ALLOW),
        ("socket", [2, 0], errno(1)),
        ("connect", [2, 0], ALLOW),
    ] {
        assert_eq!(ask(X86, &deny, name, &args), expected, "{name} {args:?}");
    }
    let allow = on(
        X86,
        &of(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["bind"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]}]})),
    );
    assert_eq!(ask(X86, &allow, "socketcall", &[2]), ALLOW);
    assert_eq!(ask(X86, &allow, "socketcall", &[1]), errno(1));
    assert_eq!(ask(X86, &allow, "socket", &[2]), ALLOW);
}

/// A small generator, so that a failure can be repeated from its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn value(&mut self) -> u64 {
        let halves = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
        let mut half = || halves[self.roll(7) as usize];
        half() << 32 | half()
    }
}

fn holds(condition: &Condition, args: &[u64; 6], wide: bool) -> bool {
    let cut = |n: u64| if wide { n } else { n & 0xffff_ffff };
    let arg = cut(args[condition.index as usize]);
    match condition.test {
        Test::Ne(v) => arg != cut(v),
        Test::Lt(v) => arg < cut(v),
        Test::Le(v) => arg <= cut(v),
        Test::Eq(v) => arg == cut(v),
        Test::Ge(v) => arg >= cut(v),
        Test::Gt(v) => arg > cut(v),
        Test::Masked { mask, value } => arg & cut(mask) == cut(value),
    }
}

/// What a decision comes to, evaluated directly.
fn expect(ranges: &[(u32, Decision)], call: &Call, wide: bool) -> u32 {
    let decision = &ranges.iter().rfind(|r| r.0 <= call.number).unwrap().1;
    match decision {
        Decision::Do(action) => *action,
        Decision::Look { rules, otherwise } => rules
            .iter()
            .find(|r| r.conditions.iter().all(|c| holds(c, &call.args, wide)))
            .map_or(*otherwise, |r| r.action),
    }
}

/// What a profile comes to for a call, from the profile itself (no `socketcall` in it).
fn expect_profile(seccomp: &LinuxSeccomp, table: &Table, machine: Machine, call: &Call) -> u32 {
    let default = action(seccomp.default_action(), seccomp.default_errno_ret());
    let rules: Vec<_> = seccomp.syscalls().iter().flatten().collect();
    let numbers = |rule: &oci_spec::runtime::LinuxSyscall| -> Vec<u32> {
        let names = rule.names().iter();
        names.filter_map(|n| table.number(machine, n)).collect()
    };
    let newest = rules.iter().flat_map(|r| numbers(r)).max();
    if newest.is_some_and(|n| call.number > n)
        && !matches!(
            seccomp.default_action(),
            Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace
        )
    {
        return errno(38);
    }
    let mine = || {
        rules.iter().filter(|r| {
            numbers(r).contains(&call.number) && action(r.action(), r.errno_ret()) != default
        })
    };
    let bare = |r: &&&oci_spec::runtime::LinuxSyscall| r.args().iter().flatten().next().is_none();
    if let Some(rule) = mine().find(bare) {
        return action(rule.action(), rule.errno_ret());
    }
    for rule in mine() {
        let args = rule.args().as_deref().unwrap_or_default();
        let held: Vec<bool> = args
            .iter()
            .map(|a| holds(&condition(a), &call.args, machine.wide))
            .collect();
        let twice = (0..6).any(|i| args.iter().filter(|a| a.index() == i).count() > 1);
        if if twice {
            held.contains(&true)
        } else {
            !held.contains(&false)
        } {
            return action(rule.action(), rule.errno_ret());
        }
    }
    default
}

#[test]
fn programs_do_what_rules_say() {
    const NAMES: [&str; 14] = [
        "read",
        "write",
        "close",
        "mmap",
        "clone",
        "personality",
        "prctl",
        "openat",
        "openat2",
        "dup3",
        "getpid",
        "statx",
        "fchmodat2",
        "ptrace",
    ];
    const OPS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    const ACTIONS: [&str; 6] = ["ALLOW", "ERRNO", "LOG", "KILL_PROCESS", "TRAP", "TRACE"];
    let table = Table::new();
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let rules: Vec<_> = (0..dice.roll(12))
            .map(|_| {
                let names: Vec<_> = (0..=dice.roll(3))
                    .map(|_| NAMES[dice.roll(14) as usize])
                    .collect();
                let args: Vec<_> = (0..dice.roll(4))
                    .map(|_| {
                        json!({"index": dice.roll(6), "value": dice.value(),
                        "valueTwo": dice.value(),
                        "op": format!("SCMP_CMP_{}", OPS[dice.roll(7) as usize])})
                    })
                    .collect();
                json!({"names": names, "args": args,
                    "action": format!("SCMP_ACT_{}", ACTIONS[dice.roll(6) as usize])})
            })
            .collect();
        let seccomp = of(json!({"syscalls": rules,
            "defaultAction": format!("SCMP_ACT_{}", ACTIONS[dice.roll(6) as usize])}));
        for machine in [X86_64, X86, AARCH64, ARM] {
            let ranges = ranges(&seccomp, machine, &table);
            let program = program(&[(machine, ranges.clone())]);
            for _ in 0..100 {
                let name = NAMES[dice.roll(14) as usize];
                let near = table.number(machine, name).unwrap_or(0);
                let number = (near + dice.roll(3) as u32).saturating_sub(1);
                let call = Call {
                    number,
                    arch: machine.audit,
                    args: std::array::from_fn(|_| dice.value()),
                };
                let (got, _) = run(&program, &call);
                assert_eq!(
                    got,
                    expect(&ranges, &call, machine.wide),
                    "seed {seed} {call:?}"
                );
                let profile = expect_profile(&seccomp, &table, machine, &call);
                assert_eq!(got, profile, "seed {seed} {} {call:?}", machine.audit);
            }
        }
    }
}

#[test]
fn bytes_and_back() {
    let seccomp = of(
        json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent",
        "listenerMetadata": "x", "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [
            {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_NOTIFY"}]}),
    );
    let filter = compile(&seccomp).unwrap();
    assert_eq!(
        filter.flags,
        sys::seccomp::FLAG_LOG | sys::seccomp::FLAG_NEW_LISTENER
    );
    let bytes = filter.to_bytes();
    assert_eq!(Filter::from_bytes(&bytes), Some(filter.clone()));
    assert_eq!(Filter::from_bytes(&bytes[..20]), None);
    assert_eq!(Filter::from_bytes(b""), None);
    let cache = Cache::default();
    let first = cache.get(&seccomp).unwrap();
    assert_eq!(*first, *bytes);
    assert!(std::sync::Arc::ptr_eq(
        &first,
        &cache.get(&seccomp).unwrap()
    ));
    // The kernel's default: as runc, no mitigation for want of a word.
    let plain = compile(&of(json!({"defaultAction": "SCMP_ACT_ALLOW"}))).unwrap();
    assert_eq!(plain.flags, sys::seccomp::FLAG_SPEC_ALLOW);
}

#[test]
fn bad_profiles_are_refused_by_member() {
    for (profile, words) in [
        (
            json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}),
            "linux.seccomp.defaultErrnoRet: only",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}),
            "linux.seccomp.defaultErrnoRet: 4096 is more than 4095",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {"names": [], "action": "SCMP_ACT_ALLOW"}]}),
            "linux.seccomp.syscalls[0].names: has no name",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {"names": ["read", ""], "action": "SCMP_ACT_ALLOW"}]}),
            "linux.seccomp.syscalls[0].names[1]: empty string",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [
                    {"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}),
            "linux.seccomp.syscalls[0].args[0].index: 6",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}),
            "linux.seccomp.listenerPath: is needed",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/x", "syscalls": [
                {"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]}),
            "linux.seccomp.syscalls[0].names[0]: SCMP_ACT_NOTIFY cannot be used for the write",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "x"}),
            "linux.seccomp.listenerPath: x is not an absolute path",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO", "listenerMetadata": "x"}),
            "linux.seccomp.listenerMetadata: must not",
        ),
        (
            json!({"defaultAction": "SCMP_ACT_ERRNO",
                "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}),
            "linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs",
        ),
    ] {
        let error = compile(&of(profile)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let warnings = check(&of(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["raed"], "action": "SCMP_ACT_ALLOW"}]})))
    .unwrap();
    assert!(warnings[0].contains("\"raed\" ignored"), "{warnings:?}");
}

/// Docker's profile without its capabilities, and the kernel is asked: what a thread of this program
/// gets when it is behind the filter.
#[cfg(feature = "full")]
mod kernel {
    use std::{io, os::fd::OwnedFd, process::Command, thread};

    use rustix::{
        fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags},
        io::Errno,
        net::{AddressFamily, SocketType},
    };

    use super::*;
    use crate::{Host, caps::CapSet};

    fn docker() -> LinuxSeccomp {
        let host = Host {
            caps: CapSet::all(),
            oom_score_adj: 0,
            kernel: (6, 1),
            cgroup2: false,
            swap_limit: true,
            controls: crate::controls::Controls::default(),
        };
        crate::seccomp::default_profile(CapSet::docker(), &host).unwrap()
    }

    /// Runs in a thread of its own, which alone is behind the filter.
    fn behind<T: Send + 'static>(
        filter: Filter,
        what: impl FnOnce(Option<OwnedFd>) -> T + Send + 'static,
    ) -> T {
        thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            what(sys::seccomp::install(&filter.program, filter.flags).unwrap())
        })
        .join()
        .unwrap()
    }

    #[test]
    fn the_kernel_does_as_told() {
        let filter = compile(&docker()).unwrap();
        let (mount, vsock, unix) = behind(filter, |_| {
            let mount = rustix::mount::mount(
                "none",
                "/no/such/place",
                "tmpfs",
                rustix::mount::MountFlags::empty(),
                None,
            );
            let socket = |family| rustix::net::socket(family, SocketType::STREAM, None);
            let vsock = socket(AddressFamily::from_raw(40)).map(|_| ());
            let unix = socket(AddressFamily::UNIX).map(|_| ());
            (mount, vsock, unix)
        });
        assert_eq!(mount, Err(Errno::PERM));
        assert_eq!(vsock, Err(Errno::PERM));
        assert_eq!(unix, Ok(()));
    }

    #[test]
    fn newer_calls_do_not_exist() {
        // As if the profile had been written before openat2, and after statx.
        let table = Table::new();
        let mut old = docker();
        let mut rules = old.syscalls().clone().unwrap();
        for rule in &mut rules {
            let mut names = rule.names().clone();
            names.retain(|n| table.number(FAMILY[0], n).is_none_or(|nr| nr < 424));
            rule.set_names(names);
        }
        rules.retain(|r| !r.names().is_empty());
        old.set_syscalls(Some(rules));
        let (statx, openat2) = behind(compile(&old).unwrap(), |_| {
            let cwd = rustix::fs::CWD;
            let statx = rustix::fs::statx(cwd, "/", AtFlags::empty(), StatxFlags::TYPE);
            let openat2 =
                rustix::fs::openat2(cwd, "/", OFlags::PATH, Mode::empty(), ResolveFlags::empty());
            (statx.map(|_| ()), openat2.map(|_| ()))
        });
        assert_eq!(statx, Ok(()));
        assert_eq!(openat2, Err(Errno::NOSYS));
    }

    #[test]
    fn a_listener_is_asked() {
        let filter = compile(&of(json!({"defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/run/agent",
            "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}]})))
        .unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let asker = thread::spawn(move || {
            behind(filter, move |listener| {
                tell.send(listener.unwrap()).unwrap();
                // A name that is too long for the kernel, should it be asked after all.
                rustix::system::sethostname(&[b'x'; 100])
            })
        });
        let listener: OwnedFd = told.recv().unwrap();
        let mut poll = [rustix::event::PollFd::new(
            &listener,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut poll, None).unwrap();
        // Nobody answers: then there is no such call.
        drop(listener);
        assert_eq!(asker.join().unwrap(), Err(Errno::NOSYS));
    }

    /// Only does something when the test below starts it.
    #[test]
    #[ignore = "a part of killed_processes"]
    fn killed_process_child() {
        let Ok(action) = std::env::var("WHARF_TEST_SECCOMP_KILL") else {
            return;
        };
        let filter = compile(&of(json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["sethostname"], "action": action}]})))
        .unwrap();
        behind(filter, |_| {
            let _ = rustix::system::sethostname(&[b'x'; 100]);
        });
    }

    #[test]
    fn killed_processes() {
        use std::os::unix::process::ExitStatusExt;
        let name = "oci::seccomp::tests::kernel::killed_process_child";
        for (action, signal) in [
            ("SCMP_ACT_KILL_PROCESS", Some(31)),
            ("SCMP_ACT_TRAP", Some(31)),
            ("SCMP_ACT_LOG", None),
        ] {
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--ignored", name])
                .env("WHARF_TEST_SECCOMP_KILL", action)
                .output()
                .unwrap()
                .status;
            assert_eq!(status.signal(), signal, "{action} {status}");
        }
    }

    #[test]
    fn nonsense_is_not_installed() {
        let error = sys::seccomp::install(&[], 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    /// For a comparison by hand with libseccomp: writes the program and the profile.
    #[test]
    #[ignore = "a tool"]
    fn dump() {
        let Ok(path) = std::env::var("WHARF_TEST_SECCOMP_DUMP") else {
            return;
        };
        let profile = docker();
        let begun = std::time::Instant::now();
        let filter = compile(&profile).unwrap();
        println!(
            "{} instructions in {:?}",
            filter.program.len(),
            begun.elapsed()
        );
        std::fs::write(format!("{path}.bpf"), &filter.to_bytes()[16..]).unwrap();
        std::fs::write(
            format!("{path}.json"),
            serde_json::to_vec(&profile).unwrap(),
        )
        .unwrap();
    }
}
