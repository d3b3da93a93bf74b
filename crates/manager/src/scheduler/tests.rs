use std::collections::BTreeMap;

use types::swarm::node::{Availability, NodeSpec, NodeState};
use types::swarm::service::{PortConfig, PublishMode};
use types::swarm::task::{Placement, PlacementPreference, Spread, TaskSpec};

use super::*;
use crate::workbench::{Bench, SECOND, node, on, placed, reserving, task};

fn waiting(service: &str, count: u64, spec: TaskSpec) -> Vec<Object> {
    let spec = Arc::new(spec);
    let tasks = (1..=count).map(|slot| {
        let id = format!("{service}.{slot:02}");
        task(&id, service, slot, TaskState::Pending, &spec).into()
    });
    tasks.collect()
}

fn bench(objects: impl IntoIterator<Item = Vec<Object>>) -> Bench<Scheduler> {
    Bench::new(Scheduler::default(), objects.into_iter().flatten())
}

fn nodes(count: usize, cpus: i64) -> Vec<Object> {
    (1..=count)
        .map(|n| node(&format!("n{n}"), cpus, &[]).into())
        .collect()
}

/// How many wanted tasks of a service each node has.
fn counts(bench: &Bench<Scheduler>, service: &str) -> BTreeMap<String, usize> {
    let view = bench.store.view();
    let mut counts = BTreeMap::new();
    for task in view.tasks_of_service(service).filter(|t| t.is_live()) {
        *counts.entry(task.node.to_string()).or_default() += 1;
    }
    counts
}

fn map(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    counts
        .iter()
        .map(|(node, n)| ((*node).to_owned(), *n))
        .collect()
}

#[test]
fn a_service_is_spread_first_and_all_tasks_then() {
    let spec = Arc::default();
    let there = |id, service| on("n1", task(id, service, 1, TaskState::Running, &spec)).into();
    let mut bench = bench([
        nodes(3, 0),
        vec![there("x", "a"), there("y", "b"), there("z", "b")],
        waiting("a", 4, TaskSpec::default()),
    ]);
    bench.run();
    // `n1` has one already; the last one goes where fewer tasks are in all.
    assert_eq!(counts(&bench, "a"), map(&[("n1", 1), ("n2", 2), ("n3", 2)]));
    let task = bench.task("a.01");
    assert_eq!(task.status.state, TaskState::Assigned);
    assert_eq!(&*task.status.message, "scheduler assigned task to node");
}

#[test]
fn a_task_that_waits_says_why_until_it_fits() {
    let constrained = |cpus| TaskSpec {
        placement: Some(Placement {
            constraints: vec!["node.labels.disk==ssd".into()],
            ..Placement::default()
        }),
        ..reserving(cpus)
    };
    let ssd = |name| node(name, 2, &[("disk", "ssd")]).into();
    let objects = [
        vec![ssd("s1"), ssd("s2")],
        nodes(1, 8),
        waiting("a", 1, constrained(3)),
    ];
    let mut bench = bench(objects);
    bench.run();
    let words = "no suitable node (insufficient resources on 2 nodes; scheduling constraints not satisfied on 1 node)";
    assert_eq!(&*bench.task("a.01").status.error, words);
    assert_eq!(bench.task("a.01").status.state, TaskState::Pending);
    let against = explain(&bench.store.view(), &bench.task("a.01"), bench.now);
    let against: BTreeMap<_, _> = against.into_iter().collect();
    assert_eq!(against["n1"], Some(Filter::Constraints));
    assert_eq!(against["s1"], Some(Filter::Resources));

    // A change that does not help renews the words, a second later.
    bench.put([node("s2", 8, &[]).into()]);
    let plan = bench.plan();
    assert_eq!((plan.changes.len(), plan.wake), (0, Some(2 * SECOND)));
    bench.now = 2 * SECOND;
    bench.run();
    let words = "no suitable node (scheduling constraints not satisfied on 2 nodes; insufficient resources on 1 node)";
    assert_eq!(&*bench.task("a.01").status.error, words);
    // One that helps is used at once.
    bench.put([node("n1", 8, &[("disk", "ssd")]).into()]);
    bench.run();
    assert_eq!(counts(&bench, "a"), map(&[("n1", 1)]));
    assert!(bench.task("a.01").status.error.is_empty());
}

#[test]
fn resources_are_never_given_twice_and_come_back() {
    let mut bench = bench([nodes(2, 4), waiting("a", 5, reserving(2))]);
    bench.run();
    assert_eq!(counts(&bench, "a"), map(&[("", 1), ("n1", 2), ("n2", 2)]));
    let words = "no suitable node (insufficient resources on 2 nodes)";
    assert_eq!(&*bench.task("a.05").status.error, words);
    // It is to end, but it is still there.
    let mut ends = bench.task("a.01");
    ends.desired = TaskState::Shutdown;
    bench.put([ends.clone().into()]);
    bench.run();
    assert!(bench.task("a.05").node.is_empty());
    ends.status.state = TaskState::Shutdown;
    bench.put([ends.clone().into()]);
    bench.run();
    assert_eq!(bench.task("a.05").node, ends.node);
}

#[test]
fn a_plan_that_was_refused_counts_for_nothing() {
    let mut bench = bench([nodes(1, 2), waiting("a", 1, reserving(2))]);
    assert_eq!(bench.plan().changes.len(), 1);
    // Nobody made that change; the task is not wanted any more, another one is.
    let mut gone = bench.task("a.01");
    gone.desired = TaskState::Shutdown;
    bench.put([gone.into()]);
    bench.put(waiting("b", 1, reserving(2)));
    bench.run();
    assert_eq!(counts(&bench, "b"), map(&[("n1", 1)]));
    assert!(bench.task("a.01").node.is_empty());
}

#[test]
fn a_node_where_tasks_keep_failing_comes_last() {
    let spec = Arc::default();
    let failed = (0..5).map(|n| {
        let mut failed = on(
            "n1",
            task(&format!("f{n}"), "a", 1, TaskState::Failed, &spec),
        );
        failed.status.heard = 5 * SECOND;
        failed.into()
    });
    let objects = [
        nodes(2, 0),
        failed.collect(),
        waiting("a", 2, TaskSpec::default()),
    ];
    let mut bench = bench(objects);
    bench.now = 100 * SECOND;
    bench.run();
    assert_eq!(bench.task("a.01").node.as_str(), "n2");
    assert_eq!(bench.task("a.02").node.as_str(), "n2");
    // Five minutes later that is forgotten.
    bench.now = 306 * SECOND;
    let spec = Arc::default();
    bench.put([task("a.03", "a", 3, TaskState::Pending, &spec).into()]);
    bench.run();
    assert_eq!(bench.task("a.03").node.as_str(), "n1");
}

#[test]
fn tasks_are_spread_over_the_values_of_labels() {
    let zone = |name, zone| node(name, 0, &[("zone", zone)]).into();
    let preference = PlacementPreference {
        spread: Some(Spread {
            spread_descriptor: "node.labels.zone".into(),
        }),
    };
    let spec = placed(Placement {
        preferences: vec![preference],
        ..Placement::default()
    });
    let zones = vec![
        zone("a1", "a"),
        zone("a2", "a"),
        zone("a3", "a"),
        zone("b1", "b"),
    ];
    let mut bench = bench([zones, waiting("s", 6, spec)]);
    bench.run();
    let expected = map(&[("a1", 1), ("a2", 1), ("a3", 1), ("b1", 3)]);
    assert_eq!(counts(&bench, "s"), expected);
}

#[test]
fn host_ports_and_the_most_replicas_of_a_node() {
    let host = PortConfig {
        target_port: 80,
        published_port: 8080,
        publish_mode: PublishMode::Host,
        ..PortConfig::default()
    };
    let with_ports = waiting("p", 3, TaskSpec::default())
        .into_iter()
        .map(|object| {
            let Object::Task(task) = object else {
                return object;
            };
            let mut task = Task::clone(&task);
            task.ports = [host.clone()].into();
            task.into()
        });
    let most = placed(Placement {
        max_replicas: 1,
        ..Placement::default()
    });
    let objects = [nodes(2, 0), with_ports.collect(), waiting("m", 3, most)];
    let mut bench = bench(objects);
    bench.run();
    assert_eq!(counts(&bench, "p"), map(&[("", 1), ("n1", 1), ("n2", 1)]));
    let words = "no suitable node (host-mode port already in use on 2 nodes)";
    assert_eq!(&*bench.task("p.03").status.error, words);
    assert_eq!(counts(&bench, "m"), map(&[("", 1), ("n1", 1), ("n2", 1)]));
    let words = "no suitable node (max replicas per node limit exceed)";
    assert_eq!(&*bench.task("m.03").status.error, words);
}

#[test]
fn a_task_with_a_node_starts_there_or_waits_for_it() {
    let spec = Arc::new(reserving(2));
    let fixed = |id| on("n1", task(id, id, 0, TaskState::Pending, &spec)).into();
    let mut bench = bench([nodes(2, 2), vec![fixed("g"), fixed("h")]]);
    bench.run();
    let message = "scheduler confirmed task can run on preassigned node";
    assert_eq!(&*bench.task("g").status.message, message);
    assert_eq!(bench.task("h").status.state, TaskState::Pending);
    let words = "no suitable node (insufficient resources on 1 node)";
    assert_eq!(&*bench.task("h").status.error, words);
    let mut over = bench.task("g");
    over.status.state = TaskState::Complete;
    bench.put([over.into()]);
    bench.run();
    assert_eq!(bench.task("h").node.as_str(), "n1");
    assert_eq!(bench.task("h").status.state, TaskState::Assigned);
}

#[test]
fn the_devices_the_platform_and_the_drivers_that_are_named() {
    let spec = serde_json::json!({
        "ContainerSpec": {
            "Devices": [{"PathOnHost": "/dev/snd"}],
            "Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Name": "rexray"}}}],
        },
        "Placement": {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
    });
    let spec: TaskSpec = serde_json::from_value(spec).expect("a spec");
    let with = |name: &str, machine: &str, plugin: &str, device: &str| {
        let mut node = node(name, 0, &[]);
        let about = serde_json::json!({
            "Platform": {"Architecture": machine, "OS": "linux"},
            "Engine": {"Plugins": [{"Type": "Volume", "Name": plugin}]},
        });
        node.description = serde_json::from_value(about).expect("a description");
        node.devices = Some(Arc::new([device.to_owned()].into()));
        node.into()
    };
    let nodes = vec![
        with("arm", "aarch64", "rexray", "/dev/snd/timer"),
        with("none", "x86_64", "rexray", "/dev/sndx"),
        with("plain", "x86_64", "other", "/dev/snd/timer"),
    ];
    let mut bench = bench([nodes, waiting("a", 1, spec)]);
    bench.run();
    let words = "no suitable node (missing plugin on 1 node; unsupported platform on 1 node; missing device on 1 node)";
    assert_eq!(&*bench.task("a.01").status.error, words);
    bench.put([with("good", "x86_64", "rexray:latest", "/dev/snd/timer")]);
    bench.run();
    assert_eq!(bench.task("a.01").node.as_str(), "good");
}

/// What is kept from event to event is what the tables say: after any history, a new scheduler finds the same.
#[test]
fn what_is_remembered_is_what_the_tables_say() {
    for seed in 0..40 {
        let mut random = crate::plan::Random::new(seed);
        let mut bench = bench([nodes(4, 6)]);
        for step in 0..120 {
            let pick = |random: &mut crate::plan::Random, n: u64| random.number() % n;
            let name = format!("n{}", 1 + pick(&mut random, 5));
            match pick(&mut random, 6) {
                0 => {
                    let cpus = i64::try_from(pick(&mut random, 8)).expect("small");
                    let mut new = node(&name, cpus, &[]);
                    if pick(&mut random, 3) == 0 {
                        new.state = NodeState::Down;
                    }
                    if pick(&mut random, 4) == 0 {
                        let availability = Availability::Drain;
                        new.spec = Arc::new(NodeSpec {
                            availability,
                            ..NodeSpec::default()
                        });
                    }
                    bench.put([new.into()]);
                }
                1 => {
                    let gone = bench.store.view().node(&name).cloned().map(Object::Node);
                    let index = bench.store.view().index() + 1;
                    bench
                        .store
                        .apply(index, &gone.iter().map(Change::remove).collect::<Vec<_>>());
                }
                2 => {
                    let spec = Arc::new(reserving(2));
                    let service = format!("s{}", pick(&mut random, 3));
                    let new = task(
                        &format!("t{step}"),
                        &service,
                        step,
                        TaskState::Pending,
                        &spec,
                    );
                    bench.put([new.into()]);
                }
                _ => {
                    let tasks: Vec<_> = bench.store.view().tasks().cloned().collect();
                    if !tasks.is_empty() {
                        let at = usize::try_from(random.number()).expect("64 bits") % tasks.len();
                        let mut task = Task::clone(&tasks[at]);
                        match pick(&mut random, 3) {
                            0 => task.desired = TaskState::Shutdown,
                            1 if !task.node.is_empty() => task.status.state = TaskState::Running,
                            _ => task.status.state = TaskState::Failed,
                        }
                        bench.put([task.into()]);
                    }
                }
            }
            if pick(&mut random, 3) > 0 {
                bench.now += SECOND;
                bench.run();
            }
        }
        bench.now += 10 * SECOND;
        bench.run();
        let mut new = Known::default();
        new.hear(&bench.store.view(), &Heard::Everything, bench.now);
        assert_eq!(bench.works.known.summary(), new.summary(), "seed {seed}");
    }
}
