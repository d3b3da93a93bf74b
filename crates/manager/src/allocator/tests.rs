use types::swarm::service::EndpointSpec;

use super::*;
use crate::workbench::{Bench, service, task};

fn port(target: u16, published: u16, mode: PublishMode) -> PortConfig {
    PortConfig {
        target_port: target,
        published_port: published,
        publish_mode: mode,
        ..PortConfig::default()
    }
}

fn spec(ports: Vec<PortConfig>) -> ServiceSpec {
    ServiceSpec {
        endpoint_spec: Some(EndpointSpec {
            ports,
            ..EndpointSpec::default()
        }),
        ..ServiceSpec::default()
    }
}

fn published(bench: &Bench<Allocator>, id: &str) -> Vec<u16> {
    let view = bench.store.view();
    let ports = &view.service(id).expect("a service").ports;
    ports.iter().map(|p| p.published_port).collect()
}

#[test]
fn open_ports_get_numbers_that_are_kept() {
    let open = port(80, 0, PublishMode::Ingress);
    let host = port(81, 0, PublishMode::Host);
    let a = service("a", spec(vec![open.clone(), host]));
    let b = service(
        "b",
        spec(vec![open.clone(), port(9, 30_001, PublishMode::Ingress)]),
    );
    let waits = task("t", "a", 1, TaskState::New, &Arc::default());
    let mut bench = Bench::new(Allocator::default(), [a.into(), b.into(), waits.into()]);
    bench.run();
    assert_eq!(published(&bench, "a"), [30_000, 0]);
    assert_eq!(published(&bench, "b"), [30_002, 30_001]);
    let task = bench.task("t");
    assert_eq!(task.status.state, TaskState::Pending);
    assert_eq!(&*task.status.message, "pending task scheduling");
    assert_eq!(task.ports[0].published_port, 30_000);

    // One more port: those that are there keep their numbers.
    let mut a = Service::clone(bench.store.view().service("a").expect("a service"));
    a.spec = service("a", spec(vec![port(443, 0, PublishMode::Ingress), open])).spec;
    bench.put([a.into()]);
    bench.run();
    assert_eq!(published(&bench, "a"), [30_003, 30_000]);
}

#[test]
fn a_clash_is_refused_in_dockers_words() {
    let a = service("a", spec(vec![port(80, 8080, PublishMode::Ingress)]));
    let h = service("h", spec(vec![port(80, 9090, PublishMode::Host)]));
    let bench = Bench::new(Allocator::default(), [a.into(), h.into()]);
    let view = bench.store.view();
    let check = |own: Option<&str>, ports: Vec<PortConfig>| {
        let own = own.map(Id::from);
        check_ports(&view, own.as_ref(), &spec(ports)).map_err(|e| e.to_string())
    };
    let said = check(None, vec![port(1, 8080, PublishMode::Ingress)]);
    let words = "port '8080' is already in use by service 'a' (a) as an ingress port";
    assert_eq!(said, Err(words.to_owned()));
    let said = check(None, vec![port(1, 9090, PublishMode::Ingress)]);
    let words = "port '9090' is already in use by service 'h' (h) as a host-published port";
    assert_eq!(said, Err(words.to_owned()));
    assert_eq!(check(None, vec![port(1, 9090, PublishMode::Host)]), Ok(()));
    assert_eq!(
        check(Some("a"), vec![port(1, 8080, PublishMode::Ingress)]),
        Ok(())
    );
    let twice = vec![
        port(1, 7, PublishMode::Ingress),
        port(2, 7, PublishMode::Ingress),
    ];
    assert_eq!(check(None, twice), Err(Error::Twice.to_string()));
    let mut udp = port(1, 8080, PublishMode::Ingress);
    udp.protocol = Protocol::Udp;
    assert_eq!(check(None, vec![udp]), Ok(()));
}

#[test]
fn tasks_of_a_clash_say_why_they_wait_and_go_on_when_it_ends() {
    let clash = || spec(vec![port(80, 8080, PublishMode::Ingress)]);
    let a = service("a", clash());
    let waits = task("t", "b", 1, TaskState::New, &Arc::default());
    let mut bench = Bench::new(Allocator::default(), [a.into()]);
    bench.run();
    bench.put([service("b", clash()).into(), waits.into()]);
    bench.run();
    let said = bench.task("t").status.error;
    assert_eq!(
        &*said,
        "port '8080' is already in use by service 'a' (a) as an ingress port"
    );

    let mut a = Service::clone(bench.store.view().service("a").expect("a service"));
    a.removing = true;
    bench.put([a.into()]);
    bench.run();
    let task = bench.task("t");
    assert_eq!(task.status.state, TaskState::Pending);
    assert!(task.status.error.is_empty());
}
