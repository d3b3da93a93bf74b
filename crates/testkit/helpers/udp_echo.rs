//! Sends every datagram that comes to the port in its argument back: busybox has nothing that
//! serves UDP. Compiled static by the testkit and put into its busybox image.

fn main() {
    let port = std::env::args().nth(1).expect("usage: udp-echo PORT");
    let socket = std::net::UdpSocket::bind(format!("0.0.0.0:{port}")).expect("a free port");
    let mut buffer = [0; 2048];
    while let Ok((n, from)) = socket.recv_from(&mut buffer) {
        let _ = socket.send_to(&buffer[..n], from);
    }
}
