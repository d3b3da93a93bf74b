//! The rules as a program for the kernel, which runs it at each opening and making of a device.
//!
//! It goes through the rules from the last to the first, with the uses asked for (reading, writing,
//! making) that no rule has spoken of yet. A rule that denies one of them ends it; a rule that
//! allows takes its own away, and when none is left the answer is yes.

use sys::bpf::Instruction;

use super::rules::{ALL, Kind, Rule};

const fn op(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: to | from << 4,
        offset,
        immediate,
    }
}

/// 64-bit arithmetic with a constant.
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const MOVE: u8 = 0xb7;
/// 64-bit arithmetic with a register.
const MOVE_REGISTER: u8 = 0xbf;
const LOAD_WORD: u8 = 0x61;
const JUMP_IF: u8 = 0x15;
const JUMP_UNLESS: u8 = 0x55;
const EXIT: u8 = 0x95;

/// The registers: the answer; the question; its kind, uses, major and minor.
const ANSWER: u8 = 0;
const QUESTION: u8 = 1;
const KIND: u8 = 2;
const USES: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// For looking at some of the uses.
const SOME: u8 = 6;

pub(super) fn generate(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        // The first word has the kind below and the uses above.
        op(LOAD_WORD, KIND, QUESTION, 0, 0),
        op(MOVE_REGISTER, USES, KIND, 0, 0),
        op(AND, KIND, 0, 0, 0xffff),
        op(SHIFT_RIGHT, USES, 0, 0, 16),
        op(LOAD_WORD, MAJOR, QUESTION, 4, 0),
        op(LOAD_WORD, MINOR, QUESTION, 8, 0),
    ];
    for rule in rules.iter().rev() {
        one(&mut program, rule);
        // What comes after can never be reached, and the kernel refuses such programs.
        if rule.is_total() {
            return program;
        }
    }
    answer(&mut program, false);
    program
}

fn answer(program: &mut Vec<Instruction>, allow: bool) {
    program.push(op(MOVE, ANSWER, 0, 0, i32::from(allow)));
    program.push(op(EXIT, 0, 0, 0, 0));
}

fn one(program: &mut Vec<Instruction>, rule: &Rule) {
    let start = program.len();
    let kind = rule.kind.map(|k| match k {
        Kind::Block => 1,
        Kind::Char => 2,
    });
    for (register, wanted) in [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)] {
        if let Some(n) = wanted {
            program.push(op(JUMP_UNLESS, register, 0, 0, n.cast_signed()));
        }
    }
    let access = i32::from(rule.access);
    if rule.access != ALL {
        if rule.allow {
            program.push(op(AND, USES, 0, 0, !access));
            program.push(op(JUMP_UNLESS, USES, 0, 0, 0));
        } else {
            program.push(op(MOVE_REGISTER, SOME, USES, 0, 0));
            program.push(op(AND, SOME, 0, 0, access));
            program.push(op(JUMP_IF, SOME, 0, 0, 0));
        }
    }
    answer(program, rule.allow);
    // All of a rule's jumps go to the next rule.
    let end = program.len();
    for (at, instruction) in program.iter_mut().enumerate().skip(start) {
        if matches!(instruction.code, JUMP_IF | JUMP_UNLESS) {
            // A rule has fewer than ten instructions.
            #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
            let offset = (end - at - 1) as i16;
            instruction.offset = offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::rules::{
            self,
            tests::{allowed, rules},
        },
        *,
    };

    /// The kernel's part, for the few instructions there are.
    fn run(program: &[Instruction], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
        let kind = match kind {
            Kind::Block => 1,
            Kind::Char => 2,
        };
        let question = [u32::from(access) << 16 | kind, major, minor];
        let mut r = [0u64; 11];
        let mut at = 0;
        loop {
            let i = program[at];
            let (to, from) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
            let constant = i64::from(i.immediate).cast_unsigned();
            at += 1;
            let jump = match i.code {
                AND => {
                    r[to] &= constant;
                    false
                }
                SHIFT_RIGHT => {
                    r[to] >>= constant;
                    false
                }
                MOVE => {
                    r[to] = constant;
                    false
                }
                MOVE_REGISTER => {
                    r[to] = r[from];
                    false
                }
                LOAD_WORD => {
                    r[to] = question[i.offset as usize / 4].into();
                    false
                }
                JUMP_IF => r[to] == constant,
                JUMP_UNLESS => r[to] != constant,
                EXIT => return r[0] == 1,
                other => panic!("{other:#x}"),
            };
            if jump {
                at += i.offset as usize;
            }
        }
    }

    #[test]
    fn says_what_the_rules_say() {
        let many: &[&[&str]] = &[
            &[],
            &["+a"],
            &["-a"],
            &["-a", "+c 1:3 rwm", "+b 8:* r"],
            &["+a", "-b *:*", "-c 1:1 w"],
            &["-a", "+c 1:* rwm", "-c 1:3 w", "+c 1:3 m"],
            &["-a", "+c 1:3 r", "+c 1:3 w"],
            &["+a *:* r", "-c 1:5 r", "+c *:5 rw"],
            &["+c 1:3 rwm", "-a"],
            &["-a", "+b 8:1 rw", "-a *:* w"],
        ];
        for texts in many {
            for with_everybodys in [false, true] {
                let mut all = rules(texts);
                if with_everybodys {
                    all.extend(rules::parse(&[]).unwrap());
                }
                let program = generate(&all);
                for kind in [Kind::Block, Kind::Char] {
                    for (major, minor) in [(1, 1), (1, 3), (1, 5), (8, 0), (8, 1), (136, 9)] {
                        for access in 1..=ALL {
                            assert_eq!(
                                run(&program, kind, major, minor, access),
                                allowed(&all, kind, major, minor, access),
                                "{texts:?} {kind:?} {major}:{minor} {access:b}"
                            );
                        }
                    }
                }
            }
        }
    }
}
