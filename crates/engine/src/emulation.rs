//! Programs of other processors: why one does not start here, and what helps.
//!
//! Nobody can tell beforehand whether a program will start: a processor may run another one's, and
//! emulators register with the kernel what they take by the first bytes of a program. So the kernel
//! is asked by doing it, and what it answers is explained.

use image::Platform;

use crate::error::Error;

/// The error of a start, with its cause where that is that the image is for another processor.
pub(crate) fn explained(error: Error, platform: &Platform) -> Error {
    explained_on(&Platform::host(), error, platform)
}

fn explained_on(host: &Platform, error: Error, platform: &Platform) -> Error {
    if platform.architecture.is_empty() || host.accepts(platform) {
        return error;
    }
    let Error::Start { code, message } = error else {
        return error;
    };
    let lower = message.to_lowercase();
    let why = if lower.contains("exec format error") {
        "install an emulator that registers itself with the kernel (binfmt_misc), such as the \
         package qemu-user-static (Debian 12, Ubuntu, Fedora) or qemu-user-binfmt (Debian 13)"
    } else if failed_exec(&lower) && lower.contains("no such file or directory") {
        // The program is there: it was looked for just before.
        "the emulator that is registered for them is looked for in the container; register it with \
         the flag F (binfmt_misc), as the package qemu-user-static does"
    } else {
        return Error::Start { code, message };
    };
    Error::Start {
        code,
        message: format!(
            "{message}: programs for {platform} cannot run on this host ({host}): {why}"
        ),
    }
}

/// Whether it was the kernel that did not take the program.
fn failed_exec(message: &str) -> bool {
    let (_, after) = message
        .split_once("unable to start container process: ")
        .unwrap_or_default();
    after.starts_with("exec /")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, platform: &str) -> String {
        let host = Platform::parse("linux/amd64").unwrap();
        let message = format!("unable to start container process: {text}: unknown");
        let error = Error::Start { code: 126, message };
        explained_on(&host, error, &Platform::parse(platform).unwrap()).to_string()
    }

    #[test]
    fn only_what_comes_of_the_processor_is_explained() {
        let refused = "exec /bin/sh: Exec format error (os error 8)";
        let text = told(refused, "linux/arm64");
        assert!(text.contains("qemu-user-static"), "{text}");
        assert!(text.contains("linux/arm64 cannot run on this host (linux/amd64)"));
        assert!(!told(refused, "linux/amd64").contains("qemu"));
        let lost = "exec /bin/sh: No such file or directory (os error 2)";
        assert!(told(lost, "linux/arm64").contains("the flag F"));
        let missing = "exec: \"/nope\": stat /nope: no such file or directory";
        assert!(!told(missing, "linux/arm64").contains("emulator"));
    }
}
