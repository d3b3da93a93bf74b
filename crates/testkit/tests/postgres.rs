//! A database with its data in a volume, and what happens to them.

use testkit::{Cli, Daemon, eventually, images};

const RUN: &str = "run -d --name db -v pgdata:/var/lib/postgresql/data -p 5432:5432 postgres";

/// What a statement answers, asked within the container.
fn sql(cli: &Cli, container: &str, statement: &str) -> String {
    cli.ok(&format!(
        "exec {container} psql -U postgres -d shop -Atc '{statement}'"
    ))
}

fn ready(cli: &Cli, container: &str) {
    eventually("the database to answer", || {
        let line = format!("exec {container} psql -U postgres -h 127.0.0.1 -Atc 'select 1'");
        cli.run(&line).stdout.trim() == "1"
    });
}

#[test]
fn its_rows_outlive_everything() {
    let d = Daemon::fresh();
    d.load(&images::postgres_tar());
    let cli = d.wharf();
    cli.ok(RUN);
    ready(&cli, "db");
    cli.ok("exec db psql -U postgres -c 'create database shop'");
    sql(&cli, "db", "create table items (name text)");
    sql(&cli, "db", "insert into items values (1234)");
    let row = "select name from items";
    // From the host, by the published port; from another container, by the address.
    let address = d.address_of("db");
    for line in [
        "run --rm --network host postgres psql -h 127.0.0.1 -U postgres -d shop".to_owned(),
        format!("run --rm postgres psql -h {address} -U postgres -d shop"),
    ] {
        assert_eq!(cli.ok(&format!("{line} -Atc '{row}'")), "1234");
    }
    testkit::kill(d.pid_of("db"));
    d.until("db", "exited");
    cli.ok("start db");
    ready(&cli, "db");
    assert_eq!(sql(&cli, "db", row), "1234", "after kill -9");
    // A copy of the volume while it is in use is a database, too.
    cli.ok("volume clone pgdata second");
    cli.ok("run -d --name copy -v second:/var/lib/postgresql/data postgres");
    ready(&cli, "copy");
    assert_eq!(sql(&cli, "copy", row), "1234", "in the copy");
    cli.ok("rm -f db copy");
    cli.ok(RUN);
    ready(&cli, "db");
    assert_eq!(sql(&cli, "db", row), "1234", "in a new container");
    cli.ok("rm -f db");
    cli.ok("volume rm pgdata second");
    d.assert_no_leaks();
}
