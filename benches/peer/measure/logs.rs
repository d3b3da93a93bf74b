//! Logs: written, read, followed.

use std::{
    fs,
    io::{self, Read},
    time::Duration,
};

use super::{Peer, time};

/// Bytes of a line of output.
const LINE: u64 = 100;

impl Peer {
    /// Has a container named `name` write `bytes` in lines of a hundred; how long that takes, until
    /// it has ended.
    pub(crate) fn write_lines(&self, name: &str, bytes: u64) -> Duration {
        let docker = self.daemon.docker();
        let line = "x".repeat(LINE as usize - 1);
        let count = bytes / LINE;
        time(|| {
            docker.ok(&format!(
                "run --name {name} -d --log-opt max-size=100g --log-opt max-file=2 busybox \
                 sh -c 'yes {line} | head -n {count}'"
            ));
            docker.ok(&format!("wait {name}"));
        })
    }

    /// Reads a container's log by the API; how long that takes, and how many bytes came.
    pub(crate) fn read_log(&self, name: &str) -> (Duration, u64) {
        let mut count = 0;
        let took = time(|| {
            let path = format!("/containers/{name}/logs?stdout=1&stderr=1");
            let mut body = self.daemon.api().open("GET", &path, None);
            let mut buffer = vec![0; 1 << 20];
            loop {
                match body.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => count += n as u64,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => panic!("the log's body: {e}"),
                }
            }
        });
        (took, count)
    }

    /// Processor time of the daemon's processes while `count` containers, each followed by a
    /// client, write a line a second for so many seconds.
    pub(crate) fn follow_many(&self, count: usize, seconds: u32) -> Duration {
        let docker = self.daemon.docker();
        for n in 0..count {
            docker.ok(&format!(
                "run -d --name fol-{n} --network none busybox sh -c 'while :; do echo line; sleep 1; done'"
            ));
        }
        let api = self.daemon.api();
        let streams: Vec<_> = (0..count)
            .map(|n| {
                api.open(
                    "GET",
                    &format!("/containers/fol-{n}/logs?stdout=1&follow=1"),
                    None,
                )
            })
            .collect();
        let before = self.processor_time();
        std::thread::sleep(Duration::from_secs(u64::from(seconds)));
        let spent = self.processor_time().saturating_sub(before);
        drop(streams);
        let names: Vec<_> = (0..count).map(|n| format!("fol-{n}")).collect();
        docker.ok(&format!("rm -f {}", names.join(" ")));
        spent
    }

    /// What the daemon's own processes have used.
    pub(super) fn processor_time(&self) -> Duration {
        let ticks = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let numbers = fields.split_whitespace().skip(11).take(2);
            numbers.filter_map(|n| n.parse::<u64>().ok()).sum::<u64>()
        };
        let all: u64 = self.daemon.processes().into_iter().map(ticks).sum();
        Duration::from_millis(all * 10)
    }
}
