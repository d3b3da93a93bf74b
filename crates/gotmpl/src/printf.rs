//! Go's format strings: flags, width, precision, argument indexes, and the errors that stand in
//! the output instead of being returned.

use crate::fmt::{Flags, Printer};
use crate::runes::runes;
use crate::value::{Val, Value};

/// Widths, precisions and indexes beyond are refused, as they are by Go.
const MAX_NUMBER: i64 = 1_000_000;

/// Formats `args` by `format`.
pub(crate) fn sprintf(format: &[u8], args: &[Value<'_>]) -> Vec<u8> {
    let mut run = Run {
        format,
        at: 0,
        args,
        next: 0,
        reordered: false,
        good_index: true,
        after_index: false,
        printer: Printer::default(),
    };
    run.all();
    run.printer.out
}

struct Run<'f, 'a> {
    format: &'f [u8],
    at: usize,
    args: &'f [Value<'a>],
    /// The argument for the next verb.
    next: usize,
    /// Whether any verb chose its argument; unused ones are then not reported.
    reordered: bool,
    good_index: bool,
    after_index: bool,
    printer: Printer,
}

impl Run<'_, '_> {
    fn all(&mut self) {
        while let Some(offset) = self.format[self.at..].iter().position(|&byte| byte == b'%') {
            let start = self.at;
            self.at += offset + 1;
            self.write(&self.format[start..start + offset]);
            self.verb();
        }
        self.write(&self.format[self.at..]);
        if self.reordered || self.next >= self.args.len() {
            return;
        }
        self.printer.flags = Flags::default();
        self.write(b"%!(EXTRA ");
        for (i, arg) in self.args[self.next..].iter().enumerate() {
            if i > 0 {
                self.write(b", ");
            }
            if !matches!(arg.val, Val::Invalid | Val::Nil) {
                self.write(arg.val.type_name().as_bytes());
                self.write(b"=");
            }
            self.printer.arg(arg, 'v');
        }
        self.write(b")");
    }

    fn write(&mut self, text: &[u8]) {
        self.printer.out.extend_from_slice(text);
    }

    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Prints one verb; the percent sign is read.
    fn verb(&mut self) {
        self.flags();
        self.good_index = true;
        self.after_index = false;
        self.index();
        self.width();
        self.precision();
        if !self.after_index {
            self.index();
        }
        let Some(rune) = runes(&self.format[self.at..]).next() else {
            return self.write(b"%!(NOVERB)");
        };
        self.at += rune.len;
        let verb = rune.ch;
        if verb == '%' {
            self.write(b"%");
        } else if !self.good_index {
            self.write(format!("%!{verb}(BADINDEX)").as_bytes());
        } else if let Some(arg) = self.args.get(self.next) {
            if verb == 'v' {
                let flags = &mut self.printer.flags;
                flags.syntax = std::mem::take(&mut flags.sharp);
                flags.plus = false;
            }
            self.printer.arg(arg, verb);
            self.next += 1;
        } else {
            self.write(format!("%!{verb}(MISSING)").as_bytes());
        }
    }

    fn flags(&mut self) {
        let mut flags = Flags::default();
        loop {
            match self.peek() {
                Some(b'#') => flags.sharp = true,
                Some(b'0') => flags.zero = !flags.minus,
                Some(b'+') => flags.plus = true,
                Some(b'-') => {
                    flags.minus = true;
                    flags.zero = false;
                }
                Some(b' ') => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        self.printer.flags = flags;
    }

    fn width(&mut self) {
        if self.take(b'*') {
            self.after_index = false;
            match self.star() {
                Some(width) => {
                    if width < 0 {
                        self.printer.flags.minus = true;
                        self.printer.flags.zero = false;
                    }
                    self.printer.flags.width = usize::try_from(width.abs()).ok();
                }
                None => self.write(b"%!(BADWIDTH)"),
            }
        } else {
            self.printer.flags.width = self.number();
            if self.after_index && self.printer.flags.width.is_some() {
                self.good_index = false;
            }
        }
    }

    fn precision(&mut self) {
        // A point that ends the format is taken for the verb.
        if self.at + 1 >= self.format.len() || !self.take(b'.') {
            return;
        }
        if self.after_index {
            self.good_index = false;
        }
        self.index();
        if self.take(b'*') {
            self.after_index = false;
            let precision = self.star();
            self.printer.flags.precision = precision.and_then(|count| usize::try_from(count).ok());
            if self.printer.flags.precision.is_none() {
                self.write(b"%!(BADPREC)");
            }
        } else {
            self.printer.flags.precision = Some(self.number().unwrap_or(0));
        }
    }

    /// An argument used as width or precision.
    fn star(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        let number = match arg.val {
            Val::Int(int) => int,
            Val::Uint(uint) => i64::try_from(uint).ok()?,
            Val::Byte(byte) => i64::from(byte),
            _ => return None,
        };
        (-MAX_NUMBER..=MAX_NUMBER)
            .contains(&number)
            .then_some(number)
    }

    fn number(&mut self) -> Option<usize> {
        let rest = &self.format[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = parse(&rest[..count]);
        if count > 0 && number.is_none() {
            // Go gives up on the whole rest of the format.
            self.at = self.format.len();
        } else {
            self.at += count;
        }
        number
    }

    /// `[3]`: the next argument is the third one.
    fn index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b']') else {
            self.good_index = false;
            self.at += 1;
            return;
        };
        let index = parse(&rest[1..end]);
        self.at += end + 1;
        self.after_index = index.is_some();
        match index.and_then(|index| index.checked_sub(1)) {
            Some(index) if index < self.args.len() => self.next = index,
            _ => self.good_index = false,
        }
    }
}

fn parse(digits: &[u8]) -> Option<usize> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Go stops once a number exceeds the bound, so up to one more digit gets through; nothing
    // useful needs it.
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    usize::try_from(number)
        .ok()
        .filter(|_| number <= MAX_NUMBER)
}
