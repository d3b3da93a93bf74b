//! All tasks of a node.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarm_api::{Id, Task, TaskStatus, Time};
use tokio::sync::{Notify, watch};
use types::swarm::task::TaskState;

use crate::executor::{Controller, Executor, Exit, Found, TaskError};
use crate::step::{Act, next};

/// Between two attempts at what may go better next time.
const AGAIN: Duration = Duration::from_millis(500);
/// And at most, after many.
const AGAIN_AT_MOST: Duration = Duration::from_secs(10);

/// How a task is, for the managers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The task.
    pub task: Id,
    /// How it is.
    pub status: TaskStatus,
}

/// The clock that reports are dated by.
type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// A node's tasks, each moved by a task of the runtime of its own.
pub struct Agent {
    executor: Arc<dyn Executor>,
    clock: Clock,
    tasks: Mutex<HashMap<Id, Running>>,
    outbox: Arc<Outbox>,
}

/// A task that is moved.
struct Running {
    wish: watch::Sender<Arc<Task>>,
    mover: tokio::task::JoinHandle<()>,
}

/// Reports that the managers have not acknowledged: the newest of each task.
#[derive(Default)]
struct Outbox {
    waiting: Mutex<BTreeMap<Id, TaskStatus>>,
    wake: Notify,
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Id, TaskStatus>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, task: &Id, status: TaskStatus) {
        self.waiting().insert(task.clone(), status);
        self.wake.notify_one();
    }
}

impl Agent {
    /// A node without tasks.
    #[must_use]
    pub fn new(executor: Arc<dyn Executor>, clock: Clock) -> Self {
        Self {
            executor,
            clock,
            tasks: Mutex::default(),
            outbox: Arc::default(),
        }
    }

    /// Makes these the node's tasks: all that it has. A task that is not among them any more is ended and
    /// removed.
    pub fn assign(&self, tasks: impl IntoIterator<Item = Arc<Task>>) {
        let mut gone: Vec<Id> = self.tasks().keys().cloned().collect();
        gone.sort_unstable();
        for task in tasks {
            if let Ok(at) = gone.binary_search(&task.id) {
                gone.remove(at);
            }
            self.change(task);
        }
        for id in gone {
            self.drop_task(&id);
        }
    }

    /// Makes a task of the node's what it should be now.
    pub fn change(&self, task: Arc<Task>) {
        let mut tasks = self.tasks();
        if let Some(running) = tasks.get(&task.id) {
            // A wish never goes back.
            running.wish.send_if_modified(|wish| {
                let newer = task.desired >= wish.desired && **wish != *task;
                if newer {
                    *wish = task;
                }
                newer
            });
            return;
        }
        let controller = self.executor.controller(&task);
        let id = task.id.clone();
        let (wish, wishes) = watch::channel(task);
        let mover = Mover {
            controller,
            wishes,
            clock: self.clock.clone(),
            outbox: self.outbox.clone(),
        };
        let mover = tokio::spawn(mover.run());
        tasks.insert(id, Running { wish, mover });
    }

    /// The managers do not know a task any more: it is ended and removed.
    pub fn drop_task(&self, id: &Id) {
        let mut tasks = self.tasks();
        let Some(running) = tasks.get(id) else {
            return;
        };
        if running.mover.is_finished() {
            tasks.remove(id);
            return;
        }
        running.wish.send_if_modified(|wish| {
            let remove = wish.desired < TaskState::Remove;
            if remove {
                Arc::make_mut(wish).desired = TaskState::Remove;
            }
            remove
        });
    }

    /// How tasks are that the managers have not acknowledged yet: the newest of each. Empty where there is
    /// nothing to say.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        let waiting = self.outbox.waiting();
        let all = waiting.iter().map(|(task, status)| Report {
            task: task.clone(),
            status: status.clone(),
        });
        all.collect()
    }

    /// The managers have these for good.
    pub fn acknowledge(&self, reports: &[Report]) {
        let mut waiting = self.outbox.waiting();
        for report in reports {
            if waiting.get(&report.task) == Some(&report.status) {
                waiting.remove(&report.task);
            }
        }
    }

    /// Waits until there is something new to say.
    pub async fn reported(&self) {
        self.outbox.wake.notified().await;
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<Id, Running>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Agent {
    /// Movers end; what runs goes on running.
    fn drop(&mut self) {
        for (_, running) in self.tasks().drain() {
            running.mover.abort();
        }
    }
}

/// Moves one task until nothing is left of it.
struct Mover {
    controller: Arc<dyn Controller>,
    wishes: watch::Receiver<Arc<Task>>,
    clock: Clock,
    outbox: Arc<Outbox>,
}

/// What an act came to.
enum Done {
    /// The task is so now.
    Is(TaskStatus),
    /// The same again, later.
    Again(TaskStatus),
    /// Nothing is left of it.
    Gone,
    /// The wish changed before it ended.
    Changed,
}

impl Mover {
    async fn run(mut self) {
        let first = self.wishes.borrow_and_update().clone();
        let mut status = self.found(&first).await;
        if status != first.status {
            self.outbox.put(&first.id, status.clone());
        }
        let mut pause = AGAIN;
        loop {
            let task = self.wishes.borrow_and_update().clone();
            let act = next(task.desired, status.state);
            if act == Act::Nothing {
                if self.wishes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            match self.act(act, &task, &status).await {
                Done::Is(new) => {
                    pause = AGAIN;
                    if new != status {
                        status = new;
                        self.outbox.put(&task.id, status.clone());
                    }
                }
                Done::Again(new) => {
                    if (&new.message, &new.error) != (&status.message, &status.error) {
                        status = new;
                        self.outbox.put(&task.id, status.clone());
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        changed = self.wishes.changed() => if changed.is_err() { return },
                    }
                    pause = (pause * 2).min(AGAIN_AT_MOST);
                }
                Done::Gone => {
                    if !status.state.is_over() {
                        let gone = self.is(&status, TaskState::Shutdown, "shutdown");
                        self.outbox.put(&task.id, gone);
                    }
                    return;
                }
                Done::Changed => {}
            }
        }
    }

    /// How the task is, from what the managers know and what is there: this process may be new.
    async fn found(&self, task: &Task) -> TaskStatus {
        let known = &task.status;
        if known.state < TaskState::Preparing || known.state.is_over() {
            return known.clone();
        }
        match self.controller.status().await {
            Ok(Found::Running(container, ports)) => TaskStatus {
                container: Some(Box::new(container)),
                ports,
                ..self.is(known, known.state.max(TaskState::Starting), "started")
            },
            Ok(Found::Ended(exit)) => self.ended(known, exit),
            Ok(Found::Made) if known.state <= TaskState::Ready => known.clone(),
            Ok(Found::Made | Found::Nothing) if known.state < TaskState::Running => TaskStatus {
                state: TaskState::Preparing,
                ..known.clone()
            },
            Ok(Found::Made | Found::Nothing) => TaskStatus {
                error: "its container is gone from the node".into(),
                ..self.is(known, TaskState::Failed, "started")
            },
            // The next act says what is wrong.
            Err(_) => known.clone(),
        }
    }

    async fn act(&mut self, act: Act, task: &Task, status: &TaskStatus) -> Done {
        use TaskState as S;
        let is = |state, message: &str| Done::Is(self.is(status, state, message));
        let controller = self.controller.clone();
        match act {
            Act::Nothing => Done::Changed,
            Act::Accept => is(S::Accepted, "accepted"),
            Act::BeginToPrepare => is(S::Preparing, "preparing"),
            Act::BeginToStart => is(S::Starting, "starting"),
            Act::Prepare => match self.unless_changed(task, controller.prepare()).await {
                None => Done::Changed,
                Some(Ok(())) => is(S::Ready, "prepared"),
                Some(Err(error)) => self.failed(status, S::Rejected, "preparing", error),
            },
            Act::Start => match self.unless_changed(task, controller.start()).await {
                None => Done::Changed,
                Some(Ok(())) => Done::Is(self.started(status).await),
                Some(Err(error)) => match controller.status().await {
                    Ok(Found::Ended(mut exit)) => {
                        exit.error.get_or_insert_with(|| error.to_string());
                        Done::Is(self.ended(status, exit))
                    }
                    _ => self.failed(status, S::Failed, "starting", error),
                },
            },
            Act::Wait => match self.unless_changed(task, controller.wait()).await {
                None => Done::Changed,
                Some(Ok(exit)) => Done::Is(self.ended(status, exit)),
                Some(Err(error)) => self.failed(status, S::Failed, "started", error),
            },
            Act::ShutDown => {
                // A backend that cannot be taken from those who are led to it still has to end.
                if let Err(error) = controller.withdraw().await {
                    tracing::warn!(task = %task.id, "traffic cannot be taken from a task: {error}");
                }
                match controller.shut_down().await {
                    Ok(()) => is(S::Shutdown, "shutdown"),
                    Err(TaskError::Fatal(e) | TaskError::Again(e)) => {
                        self.again(status, "shutting down", &e)
                    }
                }
            }
            Act::Remove => {
                if !status.state.is_over() {
                    let _ = controller.withdraw().await;
                    if let Err(error) = controller.shut_down().await {
                        return self.again(status, "shutting down", &error.to_string());
                    }
                }
                match controller.remove().await {
                    Ok(()) => Done::Gone,
                    Err(error) => self.again(status, "removing", &error.to_string()),
                }
            }
        }
    }

    /// Does `act`, unless it is not wanted any more before it ends: an act that is given up may be repeated.
    async fn unless_changed<T>(&self, task: &Task, act: impl Future<Output = T>) -> Option<T> {
        let mut wishes = self.wishes.clone();
        let unwanted = async {
            loop {
                if wishes.borrow_and_update().desired > task.desired.max(TaskState::Complete) {
                    return;
                }
                if wishes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            done = act => Some(done),
            () = unwanted => None,
        }
    }

    async fn started(&self, status: &TaskStatus) -> TaskStatus {
        let mut new = self.is(status, TaskState::Running, "started");
        if let Ok(Found::Running(container, ports)) = self.controller.status().await {
            new.container = Some(Box::new(container));
            new.ports = ports;
        }
        new
    }

    fn is(&self, status: &TaskStatus, state: TaskState, message: &str) -> TaskStatus {
        TaskStatus {
            time: (self.clock)(),
            state,
            message: message.into(),
            error: "".into(),
            ..status.clone()
        }
    }

    fn ended(&self, status: &TaskStatus, exit: Exit) -> TaskStatus {
        let code = exit.container.exit_code;
        let error = match exit.error {
            Some(error) => error,
            None if code != 0 => format!("task: non-zero exit ({code})"),
            None => String::new(),
        };
        let (state, message) = if error.is_empty() {
            (TaskState::Complete, "finished")
        } else {
            (TaskState::Failed, "started")
        };
        TaskStatus {
            error: error.into(),
            container: Some(Box::new(exit.container)),
            ..self.is(status, state, message)
        }
    }

    fn failed(&self, status: &TaskStatus, state: TaskState, doing: &str, error: TaskError) -> Done {
        match error {
            TaskError::Fatal(error) => Done::Is(TaskStatus {
                error: error.into(),
                ..self.is(status, state, doing)
            }),
            TaskError::Again(error) => self.again(status, doing, &error),
        }
    }

    fn again(&self, status: &TaskStatus, doing: &str, error: &str) -> Done {
        Done::Again(TaskStatus {
            error: error.into(),
            ..self.is(status, status.state, doing)
        })
    }
}
