//! The arguments of `ps` that are understood.

use super::column::Column;
use crate::error::{Error, Result};

/// A column and what stands above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub title: String,
    pub column: Column,
}

/// What `-f` shows.
const FULL: &str = "user=UID,pid,ppid,c=C,stime,tty=TTY,time,cmd";
/// What `u` shows.
const USER: &str = "user,pid,%cpu,%mem,vsz,rss,tty=TTY,stat,start,bsdtime=TIME,args=COMMAND";
/// What `-F` shows.
const EXTRA: &str = "user=UID,pid,ppid,c=C,sz,rss,psr,stime,tty=TTY,time,cmd";
/// What `-l` shows.
const LONG: &str = "f,s,uid,pid,ppid,c=C,pri,ni,sz,wchan,tty=TTY,time,comm=CMD";
/// What `j`obs shows.
const JOBS: &str = "pid,pgid,sid,tty=TTY,time,comm=CMD";
/// What nothing shows.
const PLAIN: &str = "pid,tty=TTY,time,comm=CMD";
/// The same in BSD's way.
const BSD: &str = "pid,tty=TTY,stat,bsdtime=TIME,args=COMMAND";

/// The columns that `text` asks for.
pub(super) fn read(text: &str) -> Result<Vec<Shown>> {
    let mut words = text.split_whitespace();
    let mut format = None;
    let mut own: Vec<Shown> = Vec::new();
    let mut any = false;
    while let Some(word) = words.next() {
        any = true;
        if let Some(long) = word.strip_prefix("--") {
            match long.split_once('=').unwrap_or((long, "")) {
                ("format", "") => own.extend(columns(words.next().unwrap_or_default())?),
                ("format", list) => own.extend(columns(list)?),
                ("cols" | "columns" | "width", "") => _ = words.next(),
                ("cols" | "columns" | "width" | "headers" | "everyone", _) => {}
                _ => return Err(unknown(word)),
            }
            continue;
        }
        let (letters, dashed) = match word.strip_prefix('-') {
            Some(letters) => (letters, true),
            None => (word, false),
        };
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            match letter {
                // All processes, and as wide as they are: that is what is shown anyway.
                'e' | 'A' | 'a' | 'x' | 'd' | 'w' | 'c' if letter != 'e' || dashed => {}
                'f' if dashed => format = Some(FULL),
                'F' if dashed => format = Some(EXTRA),
                'l' => format = Some(LONG),
                'j' => format = Some(JOBS),
                // `-aux` is read as `aux`.
                'u' if !dashed || letters.contains(['a', 'x']) => format = Some(USER),
                'o' => {
                    let here = rest.as_str();
                    let list = if here.is_empty() {
                        words.next().unwrap_or_default()
                    } else {
                        here
                    };
                    own.extend(columns(list)?);
                    break;
                }
                _ => return Err(unknown(word)),
            }
        }
        if format.is_none() && !dashed {
            format = Some(BSD);
        }
    }
    if !own.is_empty() {
        if own.iter().all(|c| c.title != "PID") {
            return Err(Error::Invalid(
                "Couldn't find PID field in ps output".into(),
            ));
        }
        return Ok(own);
    }
    columns(format.unwrap_or(if any { PLAIN } else { FULL }))
}

/// `pid,comm=NAME`, also with spaces for commas.
fn columns(list: &str) -> Result<Vec<Shown>> {
    if list.is_empty() {
        return Err(Error::Invalid(
            "ps: format specification must follow -o".into(),
        ));
    }
    let mut all = Vec::new();
    for word in list.split(',').filter(|w| !w.is_empty()) {
        let (name, title) = match word.split_once('=') {
            Some((name, title)) => (name, Some(title)),
            None => (word, None),
        };
        let Some((column, usual)) = Column::named(name) else {
            return Err(Error::Invalid(format!(
                "ps: error: unknown user-defined format specifier \"{name}\""
            )));
        };
        // Docker: it tells the container's processes by this column.
        if let Some(title) = title
            && title.trim().starts_with("PID")
            && column != Column::Pid
        {
            return Err(Error::Invalid(format!(
                "specifying \"{name}={title}\" is not allowed"
            )));
        }
        all.push(Shown {
            title: title.unwrap_or(usual).to_owned(),
            column,
        });
    }
    Ok(all)
}

fn unknown(word: &str) -> Error {
    Error::Invalid(format!(
        "ps: the argument {word:?} is not supported by wharf: give -ef, aux, or the columns as -o \
         pid,user,args"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(text: &str) -> String {
        let all = read(text).unwrap();
        all.iter()
            .map(|c| c.title.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn usual_formats() {
        let full = "UID PID PPID C STIME TTY TIME CMD";
        assert_eq!(titles(""), full);
        assert_eq!(titles("-ef"), full);
        assert_eq!(titles("-e -f"), full);
        let user = "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND";
        assert_eq!(titles("aux"), user);
        assert_eq!(titles("-aux"), user);
        assert_eq!(titles("auxww"), user);
        assert_eq!(titles("ax"), "PID TTY STAT TIME COMMAND");
        assert_eq!(titles("-e"), "PID TTY TIME CMD");
        assert_eq!(titles("-o pid,comm"), "PID COMMAND");
        assert_eq!(titles("-eo pid,comm"), "PID COMMAND");
        assert_eq!(titles("-o pid -o args=WHAT"), "PID WHAT");
        assert_eq!(titles("-opid,user=NAME"), "PID NAME");
        assert_eq!(titles("--format pid,cmd"), "PID CMD");
    }

    #[test]
    fn refusals_name_the_word() {
        for (text, part) in [
            ("-o pid,colour", "specifier \"colour\""),
            ("-o comm", "Couldn't find PID field"),
            ("-o comm=PID", "specifying \"comm=PID\" is not allowed"),
            ("--forest", "\"--forest\""),
            ("-p 1", "\"-p\""),
            ("; rm", "\";\""),
            ("-o", "must follow -o"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
