use super::*;
use crate::workbench::{Bench, node, on, task};

const N: &str = "n";

fn id() -> Id {
    N.into()
}

fn keeper(state: NodeState) -> (Bench<Keeper>, Pulse) {
    let pulse = Pulse::default();
    let mut n = node(N, 1, &[]);
    n.state = state;
    let running = on(N, task("t", "s", 1, TaskState::Running, &Arc::default()));
    let bench = Bench::new(Keeper::new(pulse.clone()), [n.into(), running.into()]);
    (bench, pulse)
}

fn state(bench: &Bench<Keeper>) -> (NodeState, String) {
    let node = bench.node(N);
    (node.state, node.message)
}

/// Turns as the keeper asks for them, for so many seconds; the node says each second that it lives, or not.
fn wait(bench: &mut Bench<Keeper>, pulse: Option<&Pulse>, seconds: i64) {
    for _ in 0..seconds {
        bench.now += SECOND;
        if let Some(pulse) = pulse {
            pulse.beat(&id(), bench.now);
        }
        bench.run();
    }
}

#[test]
fn a_new_leader_gives_nodes_time() {
    let (mut bench, pulse) = keeper(NodeState::Ready);
    bench.run();
    let why = "Node moved to \"unknown\" state due to leadership change in cluster";
    assert_eq!(state(&bench), (NodeState::Unknown, why.into()));
    wait(&mut bench, None, 14);
    assert_eq!(state(&bench).0, NodeState::Unknown);
    wait(&mut bench, None, 1);
    let why = "heartbeat failure for node in \"unknown\" state";
    assert_eq!(state(&bench), (NodeState::Down, why.into()));
    let hello = Hello {
        addr: "10.0.0.1".into(),
        ..Hello::default()
    };
    pulse.hello(&id(), hello, bench.now);
    bench.run();
    assert_eq!(state(&bench), (NodeState::Ready, String::new()));
    assert_eq!(bench.node(N).addr, "10.0.0.1");
}

#[test]
fn silence_is_borne_for_three_periods_and_a_broken_connection_for_a_moment() {
    let (mut bench, pulse) = keeper(NodeState::Unknown);
    wait(&mut bench, Some(&pulse), 60);
    assert_eq!(state(&bench).0, NodeState::Ready);
    wait(&mut bench, None, 14);
    assert_eq!(state(&bench).0, NodeState::Ready);
    wait(&mut bench, None, 1);
    assert_eq!(state(&bench), (NodeState::Down, "heartbeat failure".into()));

    wait(&mut bench, Some(&pulse), 2);
    pulse.lost(&id(), bench.now);
    bench.run();
    wait(&mut bench, None, 1);
    assert_eq!(state(&bench).0, NodeState::Ready);
    wait(&mut bench, None, 1);
    assert_eq!(state(&bench).0, NodeState::Down);

    wait(&mut bench, Some(&pulse), 2);
    pulse.lost(&id(), bench.now);
    wait(&mut bench, Some(&pulse), 3);
    assert_eq!(state(&bench).0, NodeState::Ready, "it came back at once");
}

#[test]
fn a_jump_of_the_clock_makes_nobody_silent() {
    let (mut bench, pulse) = keeper(NodeState::Ready);
    wait(&mut bench, Some(&pulse), 3);
    for jump in [3600 * SECOND, -7200 * SECOND, 100 * 3600 * SECOND] {
        bench.now += jump;
        bench.run();
        assert_eq!(state(&bench).0, NodeState::Ready, "jump of {jump}");
        wait(&mut bench, Some(&pulse), 10);
        assert_eq!(state(&bench).0, NodeState::Ready, "after a jump of {jump}");
    }
    wait(&mut bench, None, 15);
    assert_eq!(state(&bench).0, NodeState::Down);
    bench.now += 30 * 3600 * SECOND;
    bench.run();
    assert_eq!(
        bench.task("t").status.state,
        TaskState::Running,
        "not down for a day"
    );
}

#[test]
fn a_day_of_absence_orphans_tasks() {
    let (mut bench, _) = keeper(NodeState::Down);
    for _ in 0..24 * 3600 / 10 - 1 {
        bench.run();
        bench.now += 10 * SECOND;
    }
    assert_eq!(bench.task("t").status.state, TaskState::Running);
    wait(&mut bench, None, 11);
    assert_eq!(bench.task("t").status.state, TaskState::Orphaned);
    assert_eq!(bench.run(), 0);
}
