//! Images to and from registries and files.

use testkit::{Auth, Lan, Registry, images};

use crate::{Bench, measure, table::Row};

/// A pull of many layers, and the memory it takes.
pub(crate) fn pull(bench: &Bench) -> Vec<Row> {
    let outside = bench.lan.outside();
    bench
        .registry
        .push(outside, &images::ten_layers_tar(), "ten:1");
    let reference = bench.registry.reference("ten:1");
    let time = bench.compare_after(
        Row::new("pull of 10 layers, 523 MB, local registry", "3.5 s"),
        bench.rounds,
        |peer| {
            // What an earlier round brought.
            peer.daemon
                .docker()
                .run(&format!("rmi --force {reference}"));
        },
        |peer, ()| drop(peer.daemon.docker().ok(&format!("pull -q {reference}"))),
    );
    let mut memory = Row::new("highest memory until then (RSS)", "flat");
    for peer in &bench.peers {
        memory.kibibytes(peer.peak());
        peer.daemon.docker().ok(&format!("rmi --force {reference}"));
    }
    vec![time, memory]
}

/// An image of one large file saved and loaded, and one of many layers pushed.
pub(crate) fn moved(bench: &Bench) -> Vec<Row> {
    let megabytes = bench.size;
    let file = tempfile::NamedTempFile::new().expect("/tmp is writable");
    measure::copies::fill(file.path(), megabytes);
    for peer in &bench.peers {
        let docker = peer.daemon.docker();
        docker.ok("create --name large busybox true");
        docker.ok(&format!("cp {} large:/data", file.path().display()));
        docker.ok("commit large large");
        docker.ok("rm large");
    }
    drop(file);
    let saved = tempfile::tempdir().expect("/tmp is writable");
    let path = |engine| saved.path().join(format!("{engine:?}.tar"));
    let save = bench.compare(
        Row::new(&format!("`save` of {megabytes} MB"), "a third"),
        bench.rounds,
        |peer| {
            let path = path(peer.daemon.engine());
            peer.cli().ok(&format!("save -o {} large", path.display()));
        },
    );
    let load = bench.compare_after(
        Row::new(&format!("`load` of {megabytes} MB"), "a third"),
        bench.rounds,
        |peer| drop(peer.daemon.docker().ok("rmi large")),
        |peer, ()| {
            let path = path(peer.daemon.engine());
            peer.cli().ok(&format!("load -q -i {}", path.display()));
        },
    );
    let ten = images::ten_layers_tar();
    for peer in &bench.peers {
        peer.daemon.docker().ok("rmi large");
        peer.daemon.load(&ten);
    }
    // Nothing may be there from the round before.
    let fresh = |_: &measure::Peer| Registry::start(bench.lan.outside(), Lan::OUTSIDE, Auth::None);
    let push = bench.compare_after(
        Row::new("`push` of 10 layers, 523 MB, local registry", "a third"),
        bench.rounds,
        |peer| {
            let registry = fresh(peer);
            let reference = registry.reference("ten:1");
            peer.daemon.docker().ok(&format!("tag ten {reference}"));
            registry
        },
        |peer, registry| {
            let reference = registry.reference("ten:1");
            peer.cli().ok(&format!("push -q {reference}"));
        },
    );
    vec![save, load, push]
}
