use types::swarm::task::Placement;

use super::*;
use crate::workbench::{Bench, node, on, placed, reserving, task};

#[test]
fn what_a_node_does_not_fit_any_more_is_to_end() {
    let labelled = Arc::new(placed(Placement {
        constraints: vec!["node.labels.zone==a".into()],
        ..Placement::default()
    }));
    let big = Arc::new(reserving(2));
    let running = |id: &str, spec: &_| on("n", task(id, "s", 1, TaskState::Running, spec));
    let mut first = running("first", &big);
    first.meta.created = 1;
    let mut second = running("second", &big);
    second.meta.created = 2;
    let objects = [
        node("n", 4, &[("zone", "a")]).into(),
        running("zone", &labelled).into(),
        second.into(),
        first.into(),
        running("free", &Arc::default()).into(),
    ];
    let mut bench = Bench::new(Enforcer, objects);
    assert_eq!(bench.run(), 0);

    let mut drained = node("n", 3, &[("zone", "b")]);
    drained.spec = Arc::new(types::swarm::node::NodeSpec {
        availability: Availability::Drain,
        ..(*drained.spec).clone()
    });
    bench.put([drained.into()]);
    assert_eq!(bench.run(), 0, "others empty it");

    bench.put([node("n", 3, &[("zone", "b")]).into()]);
    assert_eq!(bench.run(), 2);
    let ended = |id: &str| bench.task(id).desired == TaskState::Shutdown;
    assert!(ended("zone") && ended("second") && !ended("first") && !ended("free"));
    let why = bench.task("zone").status.error;
    assert_eq!(&*why, "assigned node no longer meets constraints");
}
