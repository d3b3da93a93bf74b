//! A node's tasks, moved over a double of the engine.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod engine;

use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, Report};
use swarm_api::{Id, Task, TaskStatus};
use types::swarm::task::TaskState as S;

use engine::Engine;

fn agent(engine: &Engine) -> Agent {
    Agent::new(Arc::new(engine.clone()), Arc::new(|| 1))
}

fn task(id: &str, state: S, desired: S) -> Arc<Task> {
    Arc::new(Task {
        id: Id::from(id),
        desired,
        status: TaskStatus {
            state,
            ..TaskStatus::default()
        },
        ..Task::default()
    })
}

fn wished(id: &str, desired: S) -> Arc<Task> {
    task(id, S::Assigned, desired)
}

/// Waits until a task is said to be so, and takes the word.
async fn until(agent: &Agent, id: &str, state: S) -> TaskStatus {
    let all = async {
        loop {
            for report in agent.reports() {
                if report.task == Id::from(id) && report.status.state == state {
                    agent.acknowledge(std::slice::from_ref(&report));
                    return report.status;
                }
            }
            agent.reported().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .unwrap_or_else(|_| panic!("{id} never became {state:?}: {:?}", agent.reports()))
}

#[tokio::test]
async fn a_life() {
    let engine = Engine::default();
    let agent = agent(&engine);
    agent.assign([wished("a", S::Running)]);
    let status = until(&agent, "a", S::Running).await;
    assert_eq!(status.container.unwrap().id, "c-a");
    engine.end("a", 0);
    let status = until(&agent, "a", S::Complete).await;
    assert_eq!((&*status.message, &*status.error), ("finished", ""));
    agent.assign([]);
    engine
        .until_log(&["prepare a", "start a", "remove a"])
        .await;
}

#[tokio::test]
async fn an_end_with_a_code_is_a_failure() {
    let engine = Engine::default();
    let agent = agent(&engine);
    agent.assign([wished("a", S::Running)]);
    until(&agent, "a", S::Running).await;
    engine.end("a", 3);
    let status = until(&agent, "a", S::Failed).await;
    assert_eq!(&*status.error, "task: non-zero exit (3)");
    assert_eq!(status.container.unwrap().exit_code, 3);
}

#[tokio::test]
async fn a_job_runs_to_its_end() {
    let engine = Engine::default();
    let agent = agent(&engine);
    agent.assign([wished("a", S::Complete)]);
    until(&agent, "a", S::Running).await;
    engine.end("a", 0);
    until(&agent, "a", S::Complete).await;
}

#[tokio::test]
async fn traffic_goes_first_and_the_container_then() {
    let engine = Engine::default();
    let agent = agent(&engine);
    agent.assign([wished("a", S::Running)]);
    until(&agent, "a", S::Running).await;
    agent.assign([wished("a", S::Shutdown)]);
    until(&agent, "a", S::Shutdown).await;
    engine
        .until_log(&["prepare a", "start a", "withdraw a", "shut down a"])
        .await;
}

#[tokio::test]
async fn one_that_waits_for_its_turn_is_prepared_and_not_started() {
    let engine = Engine::default();
    let agent = agent(&engine);
    agent.assign([wished("a", S::Ready)]);
    until(&agent, "a", S::Ready).await;
    engine.until_log(&["prepare a"]).await;
    agent.assign([wished("a", S::Running)]);
    until(&agent, "a", S::Running).await;
}

#[tokio::test]
async fn what_is_not_wanted_while_it_is_prepared_is_never_started() {
    let engine = Engine::default();
    engine.hang("prepare a");
    let agent = agent(&engine);
    agent.assign([wished("a", S::Running)]);
    engine.until_log(&["prepare a"]).await;
    agent.assign([wished("a", S::Shutdown)]);
    until(&agent, "a", S::Shutdown).await;
    assert!(!engine.log().iter().any(|l| l == "start a"));
}

#[tokio::test]
async fn what_a_node_cannot_run_is_rejected() {
    let engine = Engine::default();
    engine.refuse("prepare a", "no such image: nothing:1");
    let agent = agent(&engine);
    agent.assign([wished("a", S::Running)]);
    let status = until(&agent, "a", S::Rejected).await;
    assert_eq!(
        (&*status.message, &*status.error),
        ("preparing", "no such image: nothing:1")
    );
}

#[tokio::test(start_paused = true)]
async fn what_may_go_better_is_tried_again() {
    let engine = Engine::default();
    engine.fail_times("prepare a", 3);
    let agent = agent(&engine);
    agent.assign([wished("a", S::Running)]);
    until(&agent, "a", S::Running).await;
    assert_eq!(engine.log().iter().filter(|l| *l == "prepare a").count(), 4);
}

#[tokio::test]
async fn a_new_agent_takes_over_what_runs() {
    let engine = Engine::default();
    let first = agent(&engine);
    first.assign([wished("a", S::Running), wished("b", S::Running)]);
    until(&first, "a", S::Running).await;
    until(&first, "b", S::Running).await;
    drop(first);
    engine.end("b", 7);
    // The managers may know less than what came to pass.
    let second = agent(&engine);
    second.assign([
        task("a", S::Starting, S::Running),
        task("b", S::Running, S::Running),
    ]);
    until(&second, "a", S::Running).await;
    let status = until(&second, "b", S::Failed).await;
    assert_eq!(status.container.unwrap().exit_code, 7);
    assert_eq!(engine.log().iter().filter(|l| *l == "prepare a").count(), 1);
    engine.end("a", 0);
    until(&second, "a", S::Complete).await;
}

#[tokio::test]
async fn a_container_that_somebody_removed_is_a_failure() {
    let engine = Engine::default();
    let agent = agent(&engine);
    agent.assign([task("a", S::Running, S::Running)]);
    let status = until(&agent, "a", S::Failed).await;
    assert_eq!(&*status.error, "its container is gone from the node");
}

#[tokio::test]
async fn a_wish_never_goes_back() {
    let engine = Engine::default();
    let agent = agent(&engine);
    agent.assign([wished("a", S::Running)]);
    until(&agent, "a", S::Running).await;
    agent.change(wished("a", S::Shutdown));
    agent.change(wished("a", S::Running));
    until(&agent, "a", S::Shutdown).await;
}

#[tokio::test]
async fn words_stay_until_the_managers_have_them() {
    let engine = Engine::default();
    let agent = agent(&engine);
    agent.assign([wished("a", S::Ready)]);
    until(&agent, "a", S::Ready).await;
    agent.assign([wished("a", S::Running)]);
    let old = Report {
        task: Id::from("a"),
        status: TaskStatus {
            state: S::Ready,
            ..TaskStatus::default()
        },
    };
    until(&agent, "a", S::Running).await;
    engine.end("a", 0);
    while !agent
        .reports()
        .iter()
        .any(|r| r.status.state == S::Complete)
    {
        agent.reported().await;
    }
    agent.acknowledge(&[old]);
    assert_eq!(agent.reports().len(), 1);
    let all = agent.reports();
    agent.acknowledge(&all);
    assert!(agent.reports().is_empty());
}
