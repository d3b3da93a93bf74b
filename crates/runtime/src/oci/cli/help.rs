//! The help, made from what is parsed.

use std::fmt::Write as _;

use super::{
    NAME,
    args::Opt,
    commands::{COMMANDS, Command},
    options::GLOBAL,
};

/// The help of the program.
pub(super) fn program() -> String {
    let mut text = format!(
        "NAME:\n   {NAME} - the OCI runtime of wharf\n\n\
         Runs a bundle, a directory with a config.json and a root file system, as a container.\n\n\
         USAGE:\n   {NAME} [global options] command [command options] [arguments...]\n\nCOMMANDS:\n"
    );
    let rows = COMMANDS
        .iter()
        .map(|c| (c.name.to_owned(), c.about))
        .chain([("help".to_owned(), "show this, or the help of a command")]);
    table(&mut text, rows.collect());
    text.push_str("\nGLOBAL OPTIONS:\n");
    options(&mut text, GLOBAL);
    text
}

/// The help of a command.
pub(super) fn command(command: &Command) -> String {
    let mut text = format!(
        "NAME:\n   {NAME} {0} - {1}\n\nUSAGE:\n   {NAME} {0} [command options] {2}\n",
        command.name, command.about, command.usage
    );
    if !command.more.is_empty() {
        let _ = write!(text, "\nDESCRIPTION:\n   {}\n", command.more);
    }
    text.push_str("\nOPTIONS:\n");
    options(&mut text, command.options);
    text
}

fn options(text: &mut String, all: &[Opt]) {
    let row = |o: &Opt| {
        let value = match o.value {
            "" => String::new(),
            value => format!(" {value}"),
        };
        let short = match o.short {
            "" => String::new(),
            short => format!(", -{short}{value}"),
        };
        (format!("--{}{value}{short}", o.long), o.help)
    };
    table(text, all.iter().map(row).collect());
}

fn table(text: &mut String, rows: Vec<(String, &str)>) {
    let width = rows.iter().map(|(l, _)| l.chars().count()).max();
    let width = width.unwrap_or(0);
    for (left, right) in rows {
        let _ = writeln!(text, "   {left:width$}  {right}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_in_it() {
        let text = program();
        for c in COMMANDS {
            assert!(text.contains(&format!("\n   {}", c.name)), "{}", c.name);
            let own = command(c);
            for o in c.options {
                assert!(
                    own.contains(&format!("--{}", o.long)),
                    "{} {}",
                    c.name,
                    o.long
                );
                assert!(!o.help.is_empty());
            }
        }
    }
}
