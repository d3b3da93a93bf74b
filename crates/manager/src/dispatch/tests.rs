use std::sync::Arc;

use swarm_api::session::Held;
use swarm_api::{Config, Secret};
use types::swarm::cluster::SecretSpec;
use types::swarm::task::{ConfigReference, ContainerSpec, SecretReference, TaskSpec};

use super::*;

fn task(id: &str, node: &str, state: TaskState, secret: &str) -> Task {
    let container = ContainerSpec {
        secrets: vec![SecretReference {
            secret_id: secret.into(),
            ..SecretReference::default()
        }],
        configs: vec![ConfigReference {
            config_id: "c".into(),
            ..ConfigReference::default()
        }],
        ..ContainerSpec::default()
    };
    Task {
        id: id.into(),
        node: node.into(),
        desired: TaskState::Running,
        status: TaskStatus {
            state,
            ..TaskStatus::default()
        },
        spec: Arc::new(TaskSpec {
            container_spec: Some(container),
            ..TaskSpec::default()
        }),
        ..Task::default()
    }
}

fn tables(tasks: impl IntoIterator<Item = Task>) -> Tables {
    let secret = |id: &str| Secret {
        id: id.into(),
        spec: Arc::new(SecretSpec {
            name: id.into(),
            ..SecretSpec::default()
        }),
        ..Secret::default()
    };
    let config = Config {
        id: "c".into(),
        ..Config::default()
    };
    let others = [secret("s1").into(), secret("s2").into(), config.into()];
    Tables::from_objects(
        1,
        others
            .into_iter()
            .chain(tasks.into_iter().map(Object::from)),
    )
}

fn update(task: &str, state: TaskState) -> StatusUpdate {
    StatusUpdate {
        task: task.into(),
        status: TaskStatus {
            state,
            ..TaskStatus::default()
        },
    }
}

#[test]
fn a_node_hears_of_its_tasks_and_of_the_secrets_of_those_that_live() {
    let node = Id::from("n1");
    let mut told = Told::default();
    let mut held = Held::default();
    let start = tables([
        task("a", "n1", TaskState::Assigned, "s1"),
        task("b", "n2", TaskState::Assigned, "s2"),
        task("waits", "n1", TaskState::Pending, "s2"),
        task("over", "n1", TaskState::Failed, "s2"),
        task("lost", "n1", TaskState::Orphaned, "s2"),
    ]);
    held.apply(told.all(&start, &node)).expect("all of it");
    let names = |held: &Held| {
        held.tasks
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&held), ["a", "over"]);
    assert_eq!(held.secrets.keys().next(), Some(&Id::from("s1")));
    assert_eq!(held.secrets.len(), 1);
    assert_eq!(held.configs.len(), 1);
    assert_eq!(told.difference(&start, &node), None);

    let mut shut = task("a", "n1", TaskState::Running, "s1");
    shut.desired = TaskState::Shutdown;
    let step = told
        .difference(&tables([shut.clone()]), &node)
        .expect("changed");
    held.apply(step).expect("the next step");
    assert_eq!(names(&held), ["a"]);
    assert_eq!(held.tasks["a"].desired, TaskState::Shutdown);
    assert_eq!(held.secrets.len(), 1, "it still runs");

    shut.status.state = TaskState::Shutdown;
    let step = told.difference(&tables([shut]), &node).expect("changed");
    let mut late = Held::default();
    assert!(late.apply(step.clone()).is_err(), "steps are missing");
    held.apply(step).expect("the next step");
    assert!(held.secrets.is_empty() && held.configs.is_empty());
    assert_eq!(names(&held), ["a"], "its container stays for its logs");
}

#[test]
fn threat_40_a_node_says_nothing_of_others_tasks() {
    let tables = tables([
        task("a", "n1", TaskState::Assigned, "s1"),
        task("free", "", TaskState::Pending, "s1"),
    ]);
    let mut updates = Updates::default();
    let forged = updates.add(&tables, &"n2".into(), update("a", TaskState::Running));
    let forged = forged.expect_err("not its task");
    assert_eq!(
        forged.to_string(),
        "cannot update a task not assigned this node"
    );
    let nobodys = updates.add(&tables, &Id::default(), update("free", TaskState::Running));
    assert_eq!(nobodys, Err(Refused::NotItsTask));
    let own = updates.add(&tables, &"n1".into(), update("a", TaskState::Orphaned));
    assert_eq!(own, Err(Refused::NotItsWord(TaskState::Orphaned)));
    assert!(updates.is_empty());
}

#[test]
fn a_task_never_goes_back() {
    let before = tables([task("a", "n1", TaskState::Assigned, "s1")]);
    let node = Id::from("n1");
    let mut updates = Updates::default();
    for state in [TaskState::Running, TaskState::Starting] {
        updates
            .add(&before, &node, update("a", state))
            .expect("its own");
    }
    let changes = updates.take(&before, 7);
    let [Change::Put(Object::Task(changed))] = &changes[..] else {
        panic!("one change: {changes:?}");
    };
    assert_eq!(changed.status.state, TaskState::Running);
    assert_eq!(changed.status.heard, 7);

    let over = tables([task("a", "n1", TaskState::Shutdown, "s1")]);
    updates
        .add(&over, &node, update("a", TaskState::Failed))
        .expect("its own");
    assert!(updates.is_empty());
}
