//! Hosts: network namespaces joined by a bridge, held by file descriptors and never named, so
//! that nothing of them stays when the test process is killed.

use std::collections::HashSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cmd::{Output, Running, run};
use crate::poll::eventually;

/// A network namespace.
pub struct Ns {
    file: File,
    /// `cat`, which ends by itself when our end of its standard input is closed.
    holder: Child,
    /// What tests started here, which is not an engine's doing.
    own: Mutex<HashSet<u32>>,
}

impl Ns {
    /// A new namespace with its loopback up.
    pub fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("`unshare` of util-linux is installed");
        let link = format!("/proc/{}/ns/net", holder.id());
        let ours = std::fs::read_link("/proc/self/ns/net").expect("/proc is mounted");
        eventually("a new network namespace", || {
            if let Ok(Some(status)) = holder.try_wait() {
                panic!("`unshare --net` ended with {status}: these tests run as root");
            }
            std::fs::read_link(&link).is_ok_and(|theirs| theirs != ours)
        });
        let own = Mutex::new(HashSet::from([holder.id()]));
        let ns = Self {
            file: File::open(&link).expect("the holder lives"),
            holder,
            own,
        };
        ns.ip("link set lo up");
        ns
    }

    /// Runs `f` in a thread that has moved into this namespace. Sockets it opens and programs it
    /// starts belong to the namespace; files and mounts are as everywhere.
    pub fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter a network namespace");
                f()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program in the namespace to its end.
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> Output {
        self.within(|| run(command))
    }

    /// Starts a program in the namespace.
    pub fn start(&self, command: &mut Command) -> Running {
        let running = self.within(|| Running::start(command));
        self.own.lock().expect("own").insert(running.pid());
        running
    }

    /// What was started by [`Ns::start`], and is no leak of an engine.
    pub(crate) fn own(&self) -> HashSet<u32> {
        self.own.lock().expect("own").clone()
    }

    /// Feeds lines to `ip -batch`.
    pub fn ip(&self, batch: &str) {
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped());
        let mut ip = self.start(&mut command);
        ip.send(batch);
        ip.send("\n");
        ip.close_stdin();
        ip.wait().ok();
    }

    /// The inode that tells this namespace from others.
    pub(crate) fn inode(&self) -> u64 {
        rustix::fs::fstat(&self.file).expect("an open file").st_ino
    }

    /// A process that lives in it, for programs that want one.
    fn pid(&self) -> u32 {
        self.holder.id()
    }
}

impl Default for Ns {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Ns {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A network of hosts, and the world outside of them. Addresses are from TEST-NET-1: each `Lan`
/// has namespaces of its own, so all of them may use the same.
#[derive(Clone)]
pub struct Lan {
    inner: Arc<LanInner>,
}

struct LanInner {
    outside: Ns,
    next: AtomicU8,
}

impl Lan {
    /// The address of the world outside.
    pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    /// A network without hosts. The outside knows no way to what is inside of a host.
    pub fn new() -> Self {
        let outside = Ns::new();
        outside.ip(&format!(
            "link add lan0 type bridge\nlink set lan0 up\naddr add {}/24 dev lan0",
            Self::OUTSIDE
        ));
        Self {
            inner: Arc::new(LanInner {
                outside,
                next: AtomicU8::new(10),
            }),
        }
    }

    /// The namespace of the world outside.
    pub fn outside(&self) -> &Ns {
        &self.inner.outside
    }

    /// One more host, with `eth0` and a default route to the outside.
    pub fn host(&self) -> Host {
        let n = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::new(192, 0, 2, n);
        let ns = Ns::new();
        self.inner.outside.ip(&format!(
            "link add h{n} type veth peer name eth0 netns {}\nlink set h{n} master lan0 up",
            ns.pid()
        ));
        ns.ip(&format!(
            "addr add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {}",
            Self::OUTSIDE
        ));
        Host {
            ns: Arc::new(ns),
            lan: self.clone(),
            address,
        }
    }
}

impl Default for Lan {
    fn default() -> Self {
        Self::new()
    }
}

/// A host as far as its network goes: what runs on it shares files and kernel with us.
#[derive(Clone)]
pub struct Host {
    ns: Arc<Ns>,
    lan: Lan,
    address: Ipv4Addr,
}

impl Host {
    /// A host on a network of its own.
    pub fn new() -> Self {
        Lan::new().host()
    }

    /// Its network namespace.
    pub fn ns(&self) -> &Ns {
        &self.ns
    }

    /// The network it is on.
    pub fn lan(&self) -> &Lan {
        &self.lan
    }

    /// The namespace of the world outside.
    pub fn outside(&self) -> &Ns {
        self.lan.outside()
    }

    /// Its address on the network.
    pub fn address(&self) -> IpAddr {
        IpAddr::V4(self.address)
    }

    /// Runs a program on it to its end.
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> Output {
        self.ns.run(command)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}
