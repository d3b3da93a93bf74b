//! A leader that hears no majority falls silent.
//!
//! Where it is heard and hears nothing, its messages would keep the others from looking for another
//! leader, for as long as that lasts, and `openraft` 0.9 does not step down. So it says nothing for long
//! enough that they find one. It does speak again after that: where there is no other, because some were
//! down, it is the one whose log has most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::{BasicNode, RaftMetrics, ServerState};
use tokio::sync::watch;

type Metrics = RaftMetrics<u64, BasicNode>;

/// Whether a leader was answered by no majority for so long that another may lead by now.
pub(crate) fn lost(metrics: &Metrics, election: Duration) -> bool {
    let members = metrics.membership_config.membership();
    let alone = members.voter_ids().count() == 1;
    let silence = metrics.millis_since_quorum_ack.unwrap_or(0);
    !alone && u128::from(silence) > 2 * election.as_millis()
}

/// Watches over a manager until it ends; `silent` is set while it must say nothing.
pub(crate) async fn watch(
    metrics: watch::Receiver<Metrics>,
    silent: Arc<AtomicBool>,
    heartbeat: Duration,
    election: Duration,
) {
    loop {
        tokio::time::sleep(heartbeat).await;
        let (leads, lost) = {
            let metrics = metrics.borrow();
            if metrics.running_state.is_err() {
                return;
            }
            (
                metrics.state == ServerState::Leader,
                lost(&metrics, election),
            )
        };
        if leads && lost {
            tracing::warn!("no majority of the managers answers; waiting for another leader");
            silent.store(true, Ordering::SeqCst);
            tokio::time::sleep(4 * election).await;
            silent.store(false, Ordering::SeqCst);
            // The answers to what is said now must have time to come.
            tokio::time::sleep(2 * election).await;
        }
    }
}
