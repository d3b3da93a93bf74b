//! `fuzz unpack TARGET FOLDER` makes a file of each kept input, as libFuzzer wants them;
//! `fuzz pack TARGET FOLDER` keeps what is there. For `crates/fuzz/run`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["unpack", target, folder] => unpack(target, Path::new(folder)),
        ["pack", target, folder] => pack(target, Path::new(folder)),
        _ => Err(std::io::Error::other(
            "usage: fuzz pack|unpack TARGET FOLDER",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn unpack(target: &str, folder: &Path) -> std::io::Result<()> {
    for (number, input) in fuzz::corpus::read(target)?.into_iter().enumerate() {
        fs::write(folder.join(number.to_string()), input)?;
    }
    Ok(())
}

fn pack(target: &str, folder: &Path) -> std::io::Result<()> {
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry?.path());
    let inputs = fs::read_dir(folder)?.map(read).collect::<Result<_, _>>()?;
    fuzz::corpus::write(target, inputs)
}
