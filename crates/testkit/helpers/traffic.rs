//! Both ends of what the benchmarks of networks measure: compiled static by the testkit and put into an
//! image, and by `benches/translation/run`. Only std.
//!
//! traffic serve NAME PORT       answers, on IPv4 and IPv6
//! traffic who ADDRESS           which server answers, and the address that it sees us have
//! traffic stream ADDRESS MS     gigabits a second, sent
//! traffic trips ADDRESS MS      round trips of one byte: median and 99th percentile, microseconds
//! traffic connects ADDRESS MS   connections a second, one after another, each with one question

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

type Done = Result<(), Box<dyn std::error::Error>>;

const WAIT: Duration = Duration::from_secs(2);

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["serve", name, port] => serve(name, port.parse()?)?,
        ["who", address] => println!("{}", who(address.parse()?)?),
        ["stream", address, ms] => stream(address.parse()?, millis(ms)?)?,
        ["trips", address, ms] => trips(address.parse()?, millis(ms)?)?,
        ["connects", address, ms] => connects(address.parse()?, millis(ms)?)?,
        _ => return Err("see the head of traffic.rs".into()),
    }
    Ok(())
}

fn millis(text: &str) -> Result<Duration, std::num::ParseIntError> {
    Ok(Duration::from_millis(text.parse()?))
}

fn serve(name: &str, port: u16) -> Done {
    let listener = TcpListener::bind(("::", port))?;
    println!("ready");
    for client in listener.incoming() {
        let (client, name) = (client?, name.to_owned());
        std::thread::spawn(move || answer(client, &name));
    }
    Ok(())
}

/// The first byte says what the client wants.
fn answer(mut client: TcpStream, name: &str) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut first = [0];
    client.read_exact(&mut first)?;
    match first[0] {
        b'w' => {
            let peer = client.peer_addr()?.ip().to_canonical();
            client.write_all(format!("{name} {peer}").as_bytes())
        }
        b'e' => loop {
            client.read_exact(&mut first)?;
            client.write_all(&first)?;
        },
        _ => {
            let mut sink = vec![0; 1 << 17];
            while client.read(&mut sink)? > 0 {}
            Ok(())
        }
    }
}

fn open(address: SocketAddr, kind: u8) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    stream.write_all(&[kind])?;
    Ok(stream)
}

fn who(address: SocketAddr) -> io::Result<String> {
    let mut text = String::new();
    open(address, b'w')?.read_to_string(&mut text)?;
    Ok(text)
}

fn stream(address: SocketAddr, time: Duration) -> Done {
    let mut stream = open(address, b's')?;
    let block = vec![0; 1 << 17];
    let (start, mut sent) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        sent += stream.write(&block)? as u64;
    }
    println!("{:.2}", sent as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9);
    Ok(())
}

fn trips(address: SocketAddr, time: Duration) -> Done {
    let mut stream = open(address, b'e')?;
    let (start, mut times, mut byte) = (Instant::now(), Vec::new(), [0]);
    while start.elapsed() < time {
        let sent = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        times.push(sent.elapsed());
    }
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    println!("{:.1} {:.1}", at(50), at(99));
    Ok(())
}

fn connects(address: SocketAddr, time: Duration) -> Done {
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        who(address)?;
        count += 1;
    }
    println!("{:.0}", f64::from(count) / start.elapsed().as_secs_f64());
    Ok(())
}
