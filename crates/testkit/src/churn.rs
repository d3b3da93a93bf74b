//! Random commands on volumes and what is mounted, for tests that let many clients work at once.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::Cli;

/// Whether only our own command line has it.
fn is_ours(line: &str) -> bool {
    line.starts_with("volume clone") || line.starts_with("volume export")
}

/// Runs a command by docker's own command line, or by ours where docker's has no such command:
/// whether it had an effect.
pub fn had_effect(docker: &Cli, wharf: &Cli, line: &str) -> bool {
    let cli = if is_ours(line) { wharf } else { docker };
    cli.run(line).code == 0
}

/// One command on volumes in memory, parts of volumes, mounted images, copies and archives of
/// volumes, and files into and out of containers, running or not.
pub fn volume_step(rng: &mut StdRng, container: &str) -> String {
    const FILL: &str = "mkdir -p /p/sub; echo text > /p/sub/f; echo text > /m/f";
    let memory = format!("mem{}", rng.random_range(0..2));
    let plain = format!("plain{}", rng.random_range(0..2));
    let copy = format!("copy{}", rng.random_range(0..2));
    let any = [&memory, &plain, &copy][rng.random_range(0..3)];
    let image = "--mount type=image,source=busybox,target=/i";
    let subpath = format!("--mount src={plain},dst=/s,volume-subpath=sub");
    let run = format!("run -d --name {container}");
    match rng.random_range(0..16) {
        0 | 1 => format!("volume create -o type=tmpfs -o device=tmpfs -o o=size=1m {memory}"),
        2 | 3 => {
            format!("{run} -v {memory}:/m -v {plain}:/p busybox sh -c '{FILL}; exec sleep 1000'")
        }
        4 => format!("run --rm -v {memory}:/m -v {plain}:/p busybox sh -c '{FILL}'"),
        5 => format!("{run} -v {memory}:/m {subpath} busybox sleep 1000"),
        6 => format!("{run} {image} {subpath} busybox sleep 1000"),
        7 => format!(
            "create --name {container} -v {memory}:/m {image},image-subpath=bin busybox true"
        ),
        8 => format!("volume clone {any} {copy}"),
        9 => format!("volume export {any}"),
        10 => format!("cp {container}:/etc/passwd -"),
        11 => format!("cp /etc/hostname {container}:/m"),
        12 => format!("stop -t 0 {container}"),
        13 => format!("volume rm {any}"),
        14 => format!("start {container}"),
        _ => format!("rm -f -v {container}"),
    }
}
