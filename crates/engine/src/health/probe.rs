//! One check: a process in the container, with bounds on its time and on what is kept of its words.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use types::{
    container::HealthResult,
    exec::{ExecConfig, ExecStart},
};

use super::{machine::Checks, tree};
use crate::{Engine, blocking, container::Container, error::Result, sync::lock};

/// Docker keeps as many bytes of a check's output.
const OUTPUT: usize = 4096;
/// Between two tries to end a check that took too long.
const AGAIN: Duration = Duration::from_millis(50);
/// So many tries; what lives on then is the kernel's.
const TRIES: u32 = 200;
/// What Docker notes where a check could not be run, or not to its end.
const FAILED: i32 = -1;

/// The beginning of what a check wrote.
#[derive(Default)]
struct Words {
    kept: Vec<u8>,
    more: bool,
}

impl Words {
    fn add(&mut self, bytes: &[u8]) {
        let room = OUTPUT - self.kept.len();
        self.more |= bytes.len() > room;
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let dots = if self.more { "..." } else { "" };
        format!("{text}{dots}")
    }
}

type Heard = Arc<std::sync::Mutex<Words>>;

impl Engine {
    /// Runs one check; nothing if `stopped` came before its end.
    pub(super) async fn probe(
        self: &Arc<Self>,
        container: &Arc<Container>,
        checks: &Checks,
        stopped: impl Future<Output = ()>,
    ) -> Option<HealthResult> {
        let start = Timestamp::now();
        let result = |exit_code, output| {
            Some(HealthResult {
                start: start.to_string(),
                end: Timestamp::now().to_string(),
                exit_code,
                output,
            })
        };
        let tty = container.with_record(|r| r.config.tty);
        let config = ExecConfig {
            tty,
            attach_stdout: true,
            attach_stderr: true,
            cmd: checks.command.clone(),
            ..ExecConfig::default()
        };
        let id = match self.exec_create(&container.id, config) {
            Ok(id) => id,
            Err(error) => return result(FAILED, error.to_string()),
        };
        let heard = Heard::default();
        let mut work = {
            // A task of its own: half a start would leave a process that nobody knows.
            let (engine, id, heard) = (Arc::clone(self), id.clone(), Arc::clone(&heard));
            tokio::spawn(async move { engine.run_check(&id, tty, &heard).await })
        };
        let done = tokio::select! {
            done = &mut work => Some(done),
            () = tokio::time::sleep(checks.timeout) => None,
            () = stopped => {
                let (engine, container) = (Arc::clone(self), Arc::clone(container));
                // A frozen process dies when it is let go; that is not waited for here.
                tokio::spawn(async move { engine.end_check(&container, &id, work).await });
                return None;
            }
        };
        let words = || lock(&heard).text();
        match done {
            Some(Ok(Ok(code))) => {
                self.forget_exec(&id);
                let text = words();
                // Docker notes a check that could not be started as one that did not run.
                let failed =
                    matches!(code, 126..=128) && text.starts_with("OCI runtime exec failed");
                result(if failed { FAILED } else { code }, text)
            }
            Some(Ok(Err(error))) => {
                self.forget_exec(&id);
                result(FAILED, error.to_string())
            }
            Some(Err(error)) => result(FAILED, error.to_string()),
            None => {
                let limit = go_duration(checks.timeout);
                let (text, mut output) =
                    (words(), format!("Health check exceeded timeout ({limit})"));
                if !text.is_empty() {
                    output = format!("{output}: {text}");
                }
                let result = result(FAILED, output);
                self.end_check(container, &id, work).await;
                result
            }
        }
    }

    /// Runs the check to its end; its exit code.
    async fn run_check(self: &Arc<Self>, id: &str, tty: bool, heard: &Heard) -> Result<i32> {
        let start = ExecStart {
            tty,
            ..ExecStart::default()
        };
        if let Some(mut attachment) = self.exec_start(id, start).await? {
            while let Some(chunk) = attachment.output.chunks.next().await {
                // The connection's end is all that a failure of it means.
                let Ok((_, bytes)) = chunk else { break };
                lock(heard).add(&bytes);
            }
        }
        Ok(self.exec_inspect(id)?.exit_code.unwrap_or(FAILED))
    }

    /// Ends a check that goes on, with all that it started.
    async fn end_check(
        self: &Arc<Self>,
        container: &Arc<Container>,
        id: &str,
        mut work: JoinHandle<Result<i32>>,
    ) {
        for _ in 0..TRIES {
            if let (Some(pid), Some(cgroup)) = (self.exec_pid(id), self.group(container).ok()) {
                let ended = blocking(move || {
                    tree::kill(pid, || cgroup.pids());
                    Ok(())
                });
                crate::end::log_failure(container, "its health check goes on", ended.await);
            }
            if tokio::time::timeout(AGAIN, &mut work).await.is_ok() {
                self.forget_exec(id);
                return;
            }
        }
        tracing::warn!(container = %container.id, "a health check does not end after SIGKILL");
        work.abort();
    }
}

/// As Go prints a duration: `1m30s`, `1.5s`, `200ms`.
fn go_duration(time: Duration) -> String {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    let decimal = |whole: u64, part: u32, digits: usize| {
        let part = format!("{part:0digits$}");
        let part = part.trim_end_matches('0');
        let dot = if part.is_empty() { "" } else { "." };
        format!("{whole}{dot}{part}")
    };
    if seconds == 0 {
        return format!(
            "{}ms",
            decimal(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6)
        );
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = decimal(seconds % 60, nanos, 9);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded() {
        let mut words = Words::default();
        words.add(&[b'a'; OUTPUT]);
        assert_eq!(words.text().len(), OUTPUT);
        for _ in 0..1000 {
            words.add(&[b'b'; 1000]);
        }
        assert_eq!(words.text().len(), OUTPUT + 3);
        assert!(words.text().ends_with("a..."));
    }

    #[test]
    fn durations_are_gos() {
        for (millis, text) in [
            (1, "1ms"),
            (200, "200ms"),
            (1000, "1s"),
            (1500, "1.5s"),
            (90_000, "1m30s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
