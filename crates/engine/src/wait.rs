//! Waiting for a container to end or to be gone.

use futures_util::future::BoxFuture;
use types::{container::WaitResponse, options::WaitCondition};

use crate::{Engine, error::Result, state::Phase};

impl Engine {
    /// Registers at once; the inner future ends when `condition` holds.
    pub fn wait(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<BoxFuture<'static, Result<WaitResponse>>> {
        let container = self.find(name)?;
        let mut state = container.watch();
        let before = state.borrow_and_update().exits;
        Ok(Box::pin(async move {
            let holds = |s: &crate::state::State| match condition {
                _ if s.removed => true,
                WaitCondition::NotRunning => {
                    !matches!(s.phase, Phase::Running { .. } | Phase::Restarting)
                }
                WaitCondition::NextExit => s.exits > before,
                WaitCondition::Removed => false,
            };
            // The sender lives in the container, which this future holds.
            let code = state.wait_for(holds).await.map_or(0, |s| s.last.exit_code);
            drop(container);
            Ok(WaitResponse {
                status_code: code.into(),
                error: None,
            })
        }))
    }
}
