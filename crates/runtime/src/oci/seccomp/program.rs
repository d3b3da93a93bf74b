//! From decisions to instructions.
//!
//! A call's number is found by a binary search, so that a profile of four hundred rules costs eight
//! comparisons. Only words of `nr` and `arch` are loaded before an action that looks at no argument:
//! the kernel then sees by itself what is always allowed and does not run the filter for it at all.

use sys::seccomp::Instruction;

use super::{
    rules::{Condition, Decision, KILL_THREAD, Ranges, Rule, Test},
    table::Machine,
};

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const JGE: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Where the call's number, the architecture and the arguments are.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

fn plain(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

/// The whole program; calls of other architectures end the thread.
pub(super) fn program(machines: &[(Machine, Ranges)]) -> Vec<Instruction> {
    let mut program = vec![plain(LOAD, ARCH)];
    for (machine, ranges) in machines {
        let mut section = vec![plain(LOAD, NUMBER)];
        search(ranges, machine.wide, &mut section);
        program.push(Instruction {
            code: JEQ,
            jt: 1,
            jf: 0,
            k: machine.audit,
        });
        program.push(plain(JUMP, section.len() as u32));
        program.append(&mut section);
    }
    program.push(plain(RETURN, KILL_THREAD));
    program
}

/// Finds the last range that begins at or below the number.
fn search(ranges: &[(u32, Decision)], wide: bool, program: &mut Vec<Instruction>) {
    match ranges {
        [] => program.push(plain(RETURN, KILL_THREAD)),
        [(_, decision)] => decide(decision, wide, program),
        _ => {
            let (below, above) = ranges.split_at(ranges.len() / 2);
            let mut left = Vec::new();
            search(below, wide, &mut left);
            let pivot = above.first().map_or(0, |(number, _)| *number);
            match u8::try_from(left.len()) {
                Ok(jt) => program.push(Instruction {
                    code: JGE,
                    jt,
                    jf: 0,
                    k: pivot,
                }),
                Err(_) => {
                    program.push(Instruction {
                        code: JGE,
                        jt: 0,
                        jf: 1,
                        k: pivot,
                    });
                    program.push(plain(JUMP, left.len() as u32));
                }
            }
            program.append(&mut left);
            search(above, wide, program);
        }
    }
}

fn decide(decision: &Decision, wide: bool, program: &mut Vec<Instruction>) {
    match decision {
        Decision::Do(action) => program.push(plain(RETURN, *action)),
        Decision::Look { rules, otherwise } => {
            for rule in rules {
                look(rule, wide, program);
            }
            program.push(plain(RETURN, *otherwise));
        }
    }
}

/// Where a comparison leads.
#[derive(Clone, Copy)]
enum To {
    /// The instruction after it.
    Next,
    /// The next condition: this one holds.
    Holds,
    /// The next rule: this one does not match.
    Fails,
}

/// An instruction whose ways are not yet numbers.
struct Step {
    code: u16,
    k: u32,
    yes: To,
    no: To,
}

/// A rule: falls through to what follows when it does not match.
fn look(rule: &Rule, wide: bool, program: &mut Vec<Instruction>) {
    let conditions: Vec<Vec<Step>> = rule.conditions.iter().map(|c| steps(*c, wide)).collect();
    // At most six conditions of six instructions: a short jump reaches over all of them.
    let mut left: usize = conditions.iter().map(Vec::len).sum();
    for steps in &conditions {
        for (at, step) in steps.iter().enumerate() {
            left -= 1;
            let distance = |to| match to {
                To::Next => 0,
                To::Holds => (steps.len() - at - 1) as u8,
                // Over what is left and the action.
                To::Fails => (left + 1) as u8,
            };
            program.push(Instruction {
                code: step.code,
                jt: distance(step.yes),
                jf: distance(step.no),
                k: step.k,
            });
        }
    }
    program.push(plain(RETURN, rule.action));
}

/// One condition; the kernel has no 64-bit comparison, so its halves are compared, the upper first.
fn steps(condition: Condition, wide: bool) -> Vec<Step> {
    use To::{Fails, Holds, Next};
    let low_word = ARGS + condition.index * 8;
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    let load = |k| Step {
        code: LOAD,
        k,
        yes: Next,
        no: Next,
    };
    let jump = |code, k, yes, no| Step { code, k, yes, no };
    // Not below, not above: the upper half alone decides unless it is equal.
    let order = |value, code, yes, no| {
        let (high, low) = halves(value);
        let mut steps = Vec::with_capacity(5);
        if wide {
            steps.push(load(low_word + 4));
            steps.push(jump(JGT, high, yes, Next));
            steps.push(jump(JEQ, high, Next, no));
        }
        steps.push(load(low_word));
        steps.push(jump(code, low, yes, no));
        steps
    };
    match condition.test {
        Test::Gt(value) => order(value, JGT, Holds, Fails),
        Test::Ge(value) => order(value, JGE, Holds, Fails),
        Test::Le(value) => order(value, JGT, Fails, Holds),
        Test::Lt(value) => order(value, JGE, Fails, Holds),
        Test::Ne(value) => equal(u64::MAX, value, wide, low_word, Fails, Holds),
        Test::Eq(value) => equal(u64::MAX, value, wide, low_word, Holds, Fails),
        Test::Masked { mask, value } => equal(mask, value, wide, low_word, Holds, Fails),
    }
}

fn equal(mask: u64, value: u64, wide: bool, low_word: u32, yes: To, no: To) -> Vec<Step> {
    let mut steps = Vec::with_capacity(6);
    // The lower half is asked last, and always: it has the last word.
    let upper = wide.then_some((
        low_word + 4,
        (mask >> 32) as u32,
        (value >> 32) as u32,
        true,
    ));
    let lower = (low_word, mask as u32, value as u32, false);
    for (word, mask, value, first) in upper.into_iter().chain([lower]) {
        if first && mask == 0 {
            continue;
        }
        steps.push(Step {
            code: LOAD,
            k: word,
            yes: To::Next,
            no: To::Next,
        });
        if mask != u32::MAX {
            steps.push(Step {
                code: AND,
                k: mask,
                yes: To::Next,
                no: To::Next,
            });
        }
        steps.push(Step {
            code: JEQ,
            k: value,
            yes: if first { To::Next } else { yes },
            no,
        });
    }
    steps
}
