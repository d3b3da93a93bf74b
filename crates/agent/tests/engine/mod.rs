//! A double of the engine, which notes what it is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{Controller, Executor, Exit, Found, TaskError};
use async_trait::async_trait;
use swarm_api::{ContainerStatus, Task};
use tokio::sync::Notify;
use types::Failure;
use types::swarm::node::NodeDescription;

#[derive(Default)]
struct State {
    log: Vec<String>,
    containers: HashMap<String, Found>,
    hangs: Vec<String>,
    refusals: HashMap<String, TaskError>,
    failures: HashMap<String, u32>,
}

#[derive(Clone, Default)]
pub(crate) struct Engine {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Engine {
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    pub(crate) fn hang(&self, act: &str) {
        self.state.lock().unwrap().hangs.push(act.into());
    }

    pub(crate) fn refuse(&self, act: &str, error: &str) {
        let error = TaskError::Fatal(error.into());
        self.state
            .lock()
            .unwrap()
            .refusals
            .insert(act.into(), error);
    }

    pub(crate) fn fail_times(&self, act: &str, times: u32) {
        self.state
            .lock()
            .unwrap()
            .failures
            .insert(act.into(), times);
    }

    pub(crate) fn end(&self, task: &str, exit_code: i64) {
        let container = ContainerStatus {
            id: format!("c-{task}"),
            pid: 0,
            exit_code,
        };
        let ended = Found::Ended(Exit {
            container,
            error: None,
        });
        self.state
            .lock()
            .unwrap()
            .containers
            .insert(task.into(), ended);
        self.changed.notify_waiters();
    }

    pub(crate) async fn until_log(&self, expected: &[&str]) {
        let all = async {
            while self.log() != expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all)
            .await
            .unwrap_or_else(|_| panic!("{expected:?}, and not {:?}", self.log()));
    }

    async fn note(&self, act: &str, task: &str) -> Result<(), TaskError> {
        let line = format!("{act} {task}");
        let hangs = {
            let mut state = self.state.lock().unwrap();
            state.log.push(line.clone());
            if let Some(error) = state.refusals.get(&line) {
                return Err(error.clone());
            }
            if let Some(left) = state.failures.get_mut(&line).filter(|n| **n > 0) {
                *left -= 1;
                return Err(TaskError::Again("the registry does not answer".into()));
            }
            state.hangs.contains(&line)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn put(&self, task: &str, found: Found) {
        self.state
            .lock()
            .unwrap()
            .containers
            .insert(task.into(), found);
        self.changed.notify_waiters();
    }
}

#[async_trait]
impl Executor for Engine {
    async fn describe(&self) -> Result<NodeDescription, Failure> {
        Ok(NodeDescription::default())
    }

    fn controller(&self, task: &Task) -> Arc<dyn Controller> {
        Arc::new(Double {
            engine: self.clone(),
            task: task.id.to_string(),
        })
    }

    async fn retain(&self, known: &[&str]) {
        let mut state = self.state.lock().unwrap();
        state
            .containers
            .retain(|task, _| known.contains(&task.as_str()));
    }
}

struct Double {
    engine: Engine,
    task: String,
}

#[async_trait]
impl Controller for Double {
    async fn status(&self) -> Result<Found, TaskError> {
        let state = self.engine.state.lock().unwrap();
        Ok(state
            .containers
            .get(&self.task)
            .cloned()
            .unwrap_or(Found::Nothing))
    }

    async fn prepare(&self) -> Result<(), TaskError> {
        self.engine.note("prepare", &self.task).await?;
        self.engine.put(&self.task, Found::Made);
        Ok(())
    }

    async fn start(&self) -> Result<(), TaskError> {
        self.engine.note("start", &self.task).await?;
        let container = ContainerStatus {
            id: format!("c-{}", self.task),
            pid: 1,
            exit_code: 0,
        };
        self.engine
            .put(&self.task, Found::Running(container, Vec::new()));
        Ok(())
    }

    async fn wait(&self) -> Result<Exit, TaskError> {
        loop {
            let changed = self.engine.changed.notified();
            if let Found::Ended(exit) = self.status().await? {
                return Ok(exit);
            }
            changed.await;
        }
    }

    async fn withdraw(&self) -> Result<(), TaskError> {
        self.engine.note("withdraw", &self.task).await
    }

    async fn shut_down(&self) -> Result<(), TaskError> {
        self.engine.note("shut down", &self.task).await?;
        self.engine.end(&self.task, 143);
        Ok(())
    }

    async fn remove(&self) -> Result<(), TaskError> {
        self.engine.note("remove", &self.task).await?;
        self.engine
            .state
            .lock()
            .unwrap()
            .containers
            .remove(&self.task);
        Ok(())
    }
}
