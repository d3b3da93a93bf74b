//! `--chmod`: modes in octal, and as POSIX's chmod(1) writes them.

/// `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// All of it.
    Octal(u32),
    /// `u=rwX,go-w`.
    Symbolic(Vec<Clause>),
}

/// One part of a symbolic mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Bits of who is meant.
    who: u32,
    operator: char,
    /// Of `rwx`, for all three; `X` apart.
    bits: u32,
    conditional: bool,
    special: u32,
    /// How far the bits are to be moved that another has and this one is to have (`g=u`).
    copied: Option<u32>,
}

impl ModeChange {
    /// Reads what `--chmod` is given.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok()?;
            return (mode <= 0o7777).then_some(Self::Octal(mode));
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            clauses.extend(Clause::parse(part)?);
        }
        Some(Self::Symbolic(clauses))
    }

    pub(crate) fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Octal(mode) => *mode,
            Self::Symbolic(clauses) => clauses.iter().fold(mode, |m, c| c.apply(m, is_dir)),
        }
    }
}

impl Clause {
    /// Reads what stands between two commas: who, and any number of operators with what they do.
    fn parse(text: &str) -> Option<Vec<Self>> {
        const OPERATORS: [char; 3] = ['=', '+', '-'];
        let (who, mut rest) = text.split_at(text.find(OPERATORS)?);
        let mut mask = 0;
        for letter in who.chars() {
            mask |= match letter {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        let who = if who.is_empty() { 0o7777 } else { mask };
        let mut all = Vec::new();
        while let Some(operator) = rest.chars().next() {
            let end = rest[1..].find(OPERATORS).map_or(rest.len(), |at| at + 1);
            all.push(Self::one(who, operator, &rest[1..end])?);
            rest = &rest[end..];
        }
        Some(all)
    }

    fn one(who: u32, operator: char, what: &str) -> Option<Self> {
        let mut clause = Self {
            who,
            operator,
            bits: 0,
            conditional: false,
            special: 0,
            copied: match what {
                "u" => Some(6),
                "g" => Some(3),
                "o" => Some(0),
                _ => None,
            },
        };
        if clause.copied.is_some() {
            return Some(clause);
        }
        for letter in what.chars() {
            match letter {
                'r' => clause.bits |= 0o444,
                'w' => clause.bits |= 0o222,
                'x' => clause.bits |= 0o111,
                'X' => clause.conditional = true,
                's' => clause.special |= 0o6000,
                't' => clause.special |= 0o1000,
                _ => return None,
            }
        }
        Some(clause)
    }

    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let copied = self.copied.map_or(0, |far| (mode >> far & 0o7) * 0o111);
        let mut bits = self.bits | self.special | copied;
        if self.conditional && (is_dir || mode & 0o111 != 0) {
            bits |= 0o111;
        }
        let bits = bits & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !self.who | bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let change = |text: &str, mode, dir| ModeChange::parse(text).map(|c| c.apply(mode, dir));
        assert_eq!(change("755", 0o600, false), Some(0o755));
        assert_eq!(change("u=rwX,go=rX", 0o600, true), Some(0o755));
        assert_eq!(change("u=rwX,go=rX", 0o600, false), Some(0o644));
        assert_eq!(change("+x", 0o644, false), Some(0o755));
        assert_eq!(change("go-w,u+s", 0o666, false), Some(0o4644));
        assert_eq!(change("a=r", 0o777, false), Some(0o444));
        assert_eq!(change("g=u,o=g", 0o640, false), Some(0o666));
        assert_eq!(change("u+x-w", 0o644, false), Some(0o544));
        assert_eq!(change("go=u-wx", 0o700, true), Some(0o744));
        assert_eq!(change("o-u", 0o447, false), Some(0o443));
        for bad in ["", "8", "77777", "u", "u=q", "x=r", "u+,", "g=ur", "u+x=q"] {
            assert_eq!(change(bad, 0, false), None, "{bad}");
        }
    }
}
