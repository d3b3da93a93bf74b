//! What a profile decides on one architecture, call by call.
//!
//! Where rules meet, it is as with libseccomp: a rule that does the default action is no rule; the
//! first rule without conditions holds alone, whatever else there is for that call. Of rules with
//! conditions the first that matches holds, in the profile's order (libseccomp promises none). As
//! runc has it, several conditions on the same argument are rules of their own.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompOperator as Operator,
};

use super::table::{self, ARM_PRIVATE, Machine, Table, Through};

/// The thread ends.
pub(super) const KILL_THREAD: u32 = 0;
const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 1;
/// No such call.
pub(super) const ENOSYS: u32 = ERRNO | 38;

/// What a condition asks of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) index: u32,
    pub(super) test: Test,
}

/// The question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Ne(u64),
    Lt(u64),
    Le(u64),
    Eq(u64),
    Ge(u64),
    Gt(u64),
    Masked { mask: u64, value: u64 },
}

/// An action, and what must hold for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: u32,
}

/// What is done with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Whatever its arguments are.
    Do(u32),
    /// The first rule that matches, or else `otherwise`.
    Look { rules: Vec<Rule>, otherwise: u32 },
}

/// From this number on, up to the next entry, this is decided.
pub(super) type Ranges = Vec<(u32, Decision)>;

/// The kernel's number for an action.
pub(super) fn action(action: Action, errno: Option<u32>) -> u32 {
    match action {
        Action::ScmpActKill | Action::ScmpActKillThread => KILL_THREAD,
        Action::ScmpActKillProcess => KILL_PROCESS,
        Action::ScmpActTrap => TRAP,
        Action::ScmpActErrno => ERRNO | (errno.unwrap_or(EPERM) & 0xffff),
        Action::ScmpActNotify => NOTIFY,
        Action::ScmpActTrace => TRACE | (errno.unwrap_or(EPERM) & 0xffff),
        Action::ScmpActLog => LOG,
        Action::ScmpActAllow => ALLOW,
    }
}

/// The more an action forbids, the lower: the kernel's own order among several filters.
fn leniency(action: u32) -> i32 {
    (action & 0xffff_0000).cast_signed()
}

/// The ranges of a profile on one architecture, the first beginning at 0.
pub(super) fn ranges(seccomp: &LinuxSeccomp, machine: Machine, table: &Table) -> Ranges {
    let default = action(seccomp.default_action(), seccomp.default_errno_ret());
    let mut calls = Calls {
        default,
        machine,
        found: BTreeMap::new(),
    };
    let mut newest = None;
    for rule in seccomp.syscalls().iter().flatten() {
        let act = action(rule.action(), rule.errno_ret());
        let alternatives = alternatives(rule.args().as_deref().unwrap_or_default());
        for name in rule.names() {
            let number = table.number(machine, name);
            newest = newest.max(number.filter(|n| *n < ARM_PRIVATE));
            if act != default {
                calls.add(number, name, &alternatives, act);
            }
        }
    }
    // A program that finds a call missing does without it; one that is forbidden a call gives up. So
    // what came after the profile was written is missing, unless it would be let through anyway.
    let beyond = match (seccomp.default_action(), newest) {
        (Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace, _) | (_, None) => None,
        (_, Some(newest)) => Some(newest + 1),
    };
    let mut ranges = calls.ranges(beyond);
    if machine == table::X86_64 {
        refuse_x32(seccomp, &mut ranges);
    }
    ranges
}

/// x86_64 with other calls in the numbers from here on.
const X32: u32 = 0x4000_0000;

/// Kernels have x32 no more, or leave it out; so where a profile takes it in, it is missing, and where
/// it does not, the call is one of a foreign architecture.
fn refuse_x32(seccomp: &LinuxSeccomp, ranges: &mut Ranges) {
    let listed = seccomp
        .architectures()
        .iter()
        .flatten()
        .any(|a| *a == oci_spec::runtime::Arch::ScmpArchX32);
    // A tracer that cancels a call sets its number to -1.
    let canceled = ranges.last().map(|(_, d)| d.clone());
    ranges.push((X32, Decision::Do(if listed { ENOSYS } else { KILL_THREAD })));
    if let (false, Some(canceled)) = (listed, canceled) {
        ranges.push((u32::MAX, canceled));
    }
}

/// Conditions that must hold together; several such lists where an argument is named twice.
fn alternatives(args: &[LinuxSeccompArg]) -> Vec<Vec<Condition>> {
    let conditions: Vec<_> = args.iter().map(condition).collect();
    let twice = |c: &Condition| conditions.iter().filter(|o| o.index == c.index).count() > 1;
    if conditions.iter().any(twice) {
        conditions.iter().map(|c| vec![*c]).collect()
    } else {
        vec![conditions]
    }
}

/// What a profile's condition asks.
pub(super) fn condition(arg: &LinuxSeccompArg) -> Condition {
    let value = arg.value();
    let test = match arg.op() {
        Operator::ScmpCmpNe => Test::Ne(value),
        Operator::ScmpCmpLt => Test::Lt(value),
        Operator::ScmpCmpLe => Test::Le(value),
        Operator::ScmpCmpEq => Test::Eq(value),
        Operator::ScmpCmpGe => Test::Ge(value),
        Operator::ScmpCmpGt => Test::Gt(value),
        Operator::ScmpCmpMaskedEq => Test::Masked {
            mask: value,
            value: arg.value_two().unwrap_or(0) & value,
        },
    };
    Condition {
        index: arg.index() as u32,
        test,
    }
}

/// The calls that rules speak of.
struct Calls {
    default: u32,
    machine: Machine,
    found: BTreeMap<u32, Decision>,
}

impl Calls {
    fn add(&mut self, number: Option<u32>, name: &str, alternatives: &[Vec<Condition>], act: u32) {
        let through = table::multiplexed(self.machine, name);
        for conditions in alternatives {
            if let Some(number) = number {
                self.rule(number, conditions.clone(), act);
            }
            // Arguments are out of sight there, so conditions cannot be judged: what they forbid is
            // forbidden altogether, what they allow is not allowed by them.
            if let Some((through, which)) = through
                && (conditions.is_empty() || leniency(act) < leniency(self.default))
            {
                let test = match through {
                    Through::Socketcall => Test::Eq(which.into()),
                    // The kernel takes the upper half for a version.
                    Through::Ipc => Test::Masked {
                        mask: 0xffff,
                        value: which.into(),
                    },
                };
                self.rule(through.number(), vec![Condition { index: 0, test }], act);
            }
        }
    }

    fn rule(&mut self, number: u32, conditions: Vec<Condition>, action: u32) {
        let decision = self.found.entry(number).or_insert(Decision::Look {
            rules: Vec::new(),
            otherwise: self.default,
        });
        if let Decision::Look { rules, .. } = decision {
            if conditions.is_empty() {
                *decision = Decision::Do(action);
            } else {
                rules.push(Rule { conditions, action });
            }
        }
    }

    fn ranges(self, beyond: Option<u32>) -> Ranges {
        let gap = |number| match beyond {
            Some(first) if number >= first => Decision::Do(ENOSYS),
            _ => Decision::Do(self.default),
        };
        let mut ranges: Ranges = vec![(0, gap(0))];
        let mut put = |number, decision| {
            // What was there for the gap gives way.
            ranges.pop_if(|(at, _)| *at == number);
            // Neighbours with one decision are one range.
            if ranges.last().is_none_or(|(_, last)| *last != decision) {
                ranges.push((number, decision));
            }
        };
        let mut beyond = beyond;
        for (number, decision) in self.found {
            if let Some(first) = beyond.take_if(|first| *first <= number) {
                put(first, gap(first));
            }
            put(number, decision);
            put(number + 1, gap(number + 1));
        }
        if let Some(first) = beyond {
            put(first, gap(first));
        }
        ranges
    }
}
