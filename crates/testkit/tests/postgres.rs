//! A database with its data in a volume, and what happens to them.

use std::process::Command;

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
    let mut psql = Command::new("psql");
    psql.args("-h 127.0.0.1 -U postgres -d shop -Atc".split(' '))
        .arg(row);
    assert_eq!(
        d.host().ns().run(&mut psql).ok(),
        "1234",
        "the host's own client"
    );
    for cli in d.clis() {
        let mut tty = cli.tty("exec -it db psql -U postgres -d shop");
        tty.expect("shop=#");
        tty.send(&format!("{row};\n"));
        tty.expect("1234");
        tty.send("\\q\n");
        assert_eq!(tty.wait(), 0);
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

/// A web server that shows what the database `$DB` holds.
const APP: &str = "$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die; \
    while ($c = $s->accept) { <$c>; \
    print $c qq(HTTP/1.0 200 OK\\r\\n\\r\\n), `psql -h $ENV{DB} -U postgres -Atc 'table items' 2>&1`; \
    close $c }";

#[test]
fn a_web_app_reads_them_by_address_and_by_name() {
    let d = Daemon::fresh();
    d.load(&images::postgres_tar());
    for cli in d.clis() {
        cli.ok("network create shop");
        cli.ok("run -d --name db --network shop -v data:/var/lib/postgresql/data postgres");
        ready(&cli, "db");
        cli.ok("exec db psql -U postgres -c 'create table items (name text)'");
        cli.ok("exec db psql -U postgres -c 'insert into items values (1234)'");
        let address = || {
            let format = "{{.NetworkSettings.Networks.shop.IPAddress}}";
            cli.ok(&format!("inspect -f '{format}' db"))
        };
        let shows = |port: u16, what: &str| {
            eventually("the app to show what the database holds", || {
                let mut curl = Command::new("curl");
                curl.args(["-s", "-m", "10", &format!("http://127.0.0.1:{port}/")]);
                d.host().ns().run(&mut curl).stdout.trim() == what
            });
        };
        let before = address();
        for (name, port, database) in [("by-address", 8081, &*before), ("by-name", 8082, "db")] {
            let mut run = cli.command(&format!(
                "run -d --name {name} --network shop -p {port}:8080 -e DB={database} postgres perl \
                 -MIO::Socket::INET -e"
            ));
            testkit::run(run.arg(APP)).ok();
            shows(port, "1234");
        }
        // Somebody else gets its address while it is away.
        cli.ok("stop db");
        cli.ok("run -d --name other --network shop postgres sleep 1000");
        cli.ok("start db");
        assert_ne!(address(), before);
        ready(&cli, "db");
        shows(8082, "1234");
        cli.ok("rm -f db other by-address by-name");
        cli.ok("network rm shop");
        cli.ok("volume rm data");
    }
    d.assert_no_leaks();
}
