//! One container in memory: its definition, its state, and who waits for it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use runtime::logfile::{LogEnd, LogForm};
use tokio::sync::{oneshot, watch};
use types::options::AttachOptions;

use crate::{
    link::Link, logs::Place as LogPlace, nets::Place, record::Record, state::State, sync::lock,
};

/// How long it takes at most, after a shim's end, until everybody knows of it.
const NOTICED: Duration = Duration::from_secs(2);

/// Somebody who attached before the container started.
pub(crate) struct Waiting {
    pub options: AttachOptions,
    /// Gets the connection when the container starts; dropped when it will not.
    pub link: oneshot::Sender<(Link, Option<LogEnd>)>,
}

/// See [`Container::hold`].
pub(crate) struct Held<'a>(&'a AtomicU64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One container.
pub(crate) struct Container {
    pub id: String,
    /// Bundle, run state and the shim's socket; gone after a reboot.
    pub run_dir: PathBuf,
    /// Log and the files mounted into it; as durable as its record.
    pub data_dir: PathBuf,
    record: Mutex<Record>,
    state: watch::Sender<State>,
    /// Held by whoever starts, stops or removes it: one at a time.
    pub op: tokio::sync::Mutex<()>,
    pub waiting: Mutex<Vec<Waiting>>,
    /// Where it is in its networks while it runs.
    pub place: Mutex<Place>,
    /// Held by who changes its networks and by its end, one at a time; whether a run of it is in them.
    /// Taken after `op`, which its end does without: who stops it holds that and waits for the end.
    pub wired: tokio::sync::Mutex<bool>,
    /// Counts stops by the user: a restart that was planned before one is off.
    pub stops: AtomicU64,
    /// Its removal, which has begun, takes its anonymous volumes with it.
    pub takes_volumes: AtomicBool,
    /// How many end it just now and see to what comes after, so that `--rm` does not.
    held: AtomicU64,
    /// Held while its definition goes to disk, so that the newest is there in the end; true when
    /// it was removed from there.
    pub forgotten: tokio::sync::Mutex<bool>,
    /// Counts how often it was let go on after a pause: who copies what it writes compares.
    pub thaws: AtomicU64,
    /// Held by who writes into the run directory while it runs, and by who removes it.
    pub notes: Mutex<()>,
}

impl Container {
    pub(crate) fn new(record: Record, run_dir: PathBuf, data_dir: PathBuf) -> Arc<Self> {
        let state = watch::Sender::new(State::at_rest(record.last.as_ref()));
        Arc::new(Self {
            id: record.id.clone(),
            run_dir,
            data_dir,
            record: Mutex::new(record),
            state,
            op: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            place: Mutex::default(),
            wired: tokio::sync::Mutex::default(),
            stops: AtomicU64::new(0),
            takes_volumes: AtomicBool::new(false),
            held: AtomicU64::new(0),
            thaws: AtomicU64::new(0),
            forgotten: tokio::sync::Mutex::new(false),
            notes: Mutex::default(),
        })
    }

    /// Its definition as it is now.
    pub(crate) fn record(&self) -> Record {
        lock(&self.record).clone()
    }

    /// Looks at its definition without copying it.
    pub(crate) fn with_record<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&lock(&self.record))
    }

    /// Changes its definition in memory and answers the new one; `Engine::save` puts it on disk.
    pub(crate) fn change_record(&self, change: impl FnOnce(&mut Record)) -> Record {
        let mut record = lock(&self.record);
        change(&mut record);
        record.clone()
    }

    /// Its state as it is now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Follows its state.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Whether the run that began after `exits` ends is over. To be asked when its shim does not
    /// answer: waits a little, because the end may be on its way here.
    pub(crate) async fn ends_now(&self, exits: u64) -> bool {
        let mut state = self.watch();
        let over = state.wait_for(|s| s.exits != exits || !s.is_running());
        tokio::time::timeout(NOTICED, over).await.is_ok()
    }

    /// Changes its state and tells everybody who waits.
    pub(crate) fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut answer = None;
        self.state.send_modify(|state| answer = Some(change(state)));
        // `send_modify` always calls the closure.
        answer.unwrap_or_else(|| unreachable!("the closure of send_modify was not called"))
    }

    /// Its name, without a leading `/`.
    pub(crate) fn name(&self) -> String {
        lock(&self.record).name.clone()
    }

    /// Its log; nothing where its driver keeps none.
    pub(crate) fn log(&self) -> Option<LogPlace> {
        let (name, form) = match self
            .with_record(|r| r.host_config.log_config.kind.clone())
            .as_str()
        {
            "none" => return None,
            "local" => ("container.log".to_owned(), LogForm::Local),
            _ => (format!("{}-json.log", self.id), LogForm::JsonFile),
        };
        Some(LogPlace {
            path: self.data_dir.join(name),
            form,
        })
    }

    /// Whether it is removed when it ends.
    pub(crate) fn goes_with_its_end(&self) -> bool {
        self.with_record(|r| r.host_config.auto_remove) && self.held.load(Ordering::Relaxed) == 0
    }

    /// Keeps `--rm` from removing it at its end, until the result is dropped.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.held.fetch_add(1, Ordering::Relaxed);
        Held(&self.held)
    }

    /// Lets go of those who attached before a start that will not come.
    pub(crate) fn drop_waiting(&self) {
        lock(&self.waiting).clear();
    }
}
