//! A connection to systemd's manager, by its own socket or by the bus.

use std::{
    env,
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::wire::{Kind, Message, Writer};

/// systemd has much to do sometimes.
const PATIENCE: Duration = Duration::from_secs(30);

const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// What went wrong: the connection, or the other side said no, by a name.
#[derive(Debug)]
pub(super) enum Failure {
    Io(io::Error),
    Refused { name: String, message: String },
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(e) => write!(f, "{e}"),
            Self::Refused { name, message } => write!(f, "{message} ({name})"),
        }
    }
}

impl Failure {
    /// Is it systemd's refusal of this name?
    pub(super) fn is(&self, short: &str) -> bool {
        matches!(self, Self::Refused { name, .. }
            if name.strip_prefix("org.freedesktop.systemd1.") == Some(short))
    }
}

#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// With a bus between, messages need an address, and signals must be asked for.
    direct: bool,
    /// Signals that came while a reply was waited for.
    signals: Vec<Message>,
    /// When to give up.
    end: Instant,
}

impl Bus {
    /// The manager of the machine, or of this user.
    pub(super) fn connect(user: bool) -> Result<Self, Failure> {
        let base = if user {
            env::var_os("XDG_RUNTIME_DIR").map_or_else(
                || {
                    let uid = rustix::process::geteuid().as_raw();
                    PathBuf::from(format!("/run/user/{uid}"))
                },
                PathBuf::from,
            )
        } else {
            PathBuf::from("/run")
        };
        let bus = if user {
            "bus"
        } else {
            "dbus/system_bus_socket"
        };
        match Self::open(&base.join("systemd/private"), true) {
            Err(Failure::Io(_)) => Self::open(&base.join(bus), false),
            other => other,
        }
    }

    pub(super) fn open(socket: &Path, direct: bool) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket).map_err(|e| {
            io::Error::new(e.kind(), format!("connect to {}: {e}", socket.display()))
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut bus = Self {
            stream,
            serial: 0,
            direct,
            signals: Vec::new(),
            end: Instant::now() + PATIENCE,
        };
        bus.authenticate()?;
        if !direct {
            bus.ask_bus("Hello", "")?;
        }
        Ok(bus)
    }

    /// The kernel says who we are; we only name it: in hexadecimal, digit by digit of the decimal.
    fn authenticate(&mut self) -> io::Result<()> {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let mut line = String::from("\0AUTH EXTERNAL ");
        for digit in uid.bytes() {
            let _ = write!(line, "{digit:02x}");
        }
        line.push_str("\r\n");
        self.stream.write_all(line.as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n") {
            let mut one = [0];
            if answer.len() > 512 || self.stream.read(&mut one)? == 0 {
                return Err(io::Error::other("the D-Bus does not answer"));
            }
            answer.push(one[0]);
        }
        if !answer.starts_with(b"OK ") {
            return Err(io::Error::other(format!(
                "the D-Bus does not let user {uid} in: {}",
                String::from_utf8_lossy(&answer).trim()
            )));
        }
        self.stream.write_all(b"BEGIN\r\n")?;
        self.let_it_be_read()
    }

    /// systemd 252 has been seen never to answer a first message that it read together with BEGIN.
    fn let_it_be_read(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !sys::fds::all_is_read(self.stream.as_fd())? {
            if Instant::now() > until {
                return Err(io::Error::other("the D-Bus does not read"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// To be told of jobs that end.
    pub(super) fn subscribe(&mut self) -> Result<(), Failure> {
        if !self.direct {
            let rule = format!("type='signal',interface='{MANAGER}',member='JobRemoved'");
            self.ask_bus("AddMatch", &rule)?;
        }
        match self.ask("Subscribe", "", Writer::default()) {
            // Who speaks with it directly is told anyway.
            Err(Failure::Refused { .. }) if self.direct => Ok(()),
            other => other.map(drop),
        }
    }

    /// A call of the bus itself, with one string or nothing.
    pub(super) fn ask_bus(&mut self, member: &str, argument: &str) -> Result<Message, Failure> {
        let mut call = Message::new(Kind::Call);
        call.path = "/org/freedesktop/DBus".into();
        call.interface = "org.freedesktop.DBus".into();
        call.destination = "org.freedesktop.DBus".into();
        call.member = member.into();
        if !argument.is_empty() {
            let mut w = Writer::default();
            w.text(argument);
            call.signature = "s".into();
            call.body = w.0;
        }
        self.call(call)
    }

    /// A call of systemd's manager.
    pub(super) fn ask(
        &mut self,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Message, Failure> {
        self.ask_of(MANAGER, member, signature, body)
    }

    /// The same, of one of its other interfaces.
    pub(super) fn ask_of(
        &mut self,
        interface: &str,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Message, Failure> {
        let mut call = Message::new(Kind::Call);
        call.path = "/org/freedesktop/systemd1".into();
        call.interface = interface.into();
        call.member = member.into();
        if !self.direct {
            call.destination = "org.freedesktop.systemd1".into();
        }
        call.signature = signature.into();
        call.body = body.0;
        self.call(call)
    }

    fn call(&mut self, mut call: Message) -> Result<Message, Failure> {
        let serial = self.send(&mut call)?;
        loop {
            let message = self.receive()?;
            match message.kind {
                Kind::Return if message.reply_to == serial => return Ok(message),
                Kind::Error if message.reply_to == serial => {
                    let text = message.reader().text().unwrap_or_default();
                    return Err(Failure::Refused {
                        name: message.error,
                        message: text,
                    });
                }
                Kind::Signal => self.signals.push(message),
                _ => {}
            }
        }
    }

    pub(super) fn send(&mut self, message: &mut Message) -> io::Result<u32> {
        self.serial += 1;
        message.serial = self.serial;
        self.stream.write_all(&message.encode())?;
        Ok(self.serial)
    }

    pub(super) fn receive(&mut self) -> io::Result<Message> {
        if Instant::now() > self.end {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "systemd does not answer",
            ));
        }
        let mut head = [0; 16];
        self.stream.read_exact(&mut head).map_err(silent)?;
        let mut all = vec![0; Message::length(&head)?];
        all[..16].copy_from_slice(&head);
        self.stream.read_exact(&mut all[16..]).map_err(silent)?;
        Message::decode(&all)
    }

    /// Waits until a job has ended, and says how.
    pub(super) fn job_ended(&mut self, job: &str) -> io::Result<String> {
        loop {
            let message = match self.signals.pop() {
                Some(message) => message,
                None => self.receive()?,
            };
            if message.kind != Kind::Signal || message.member != "JobRemoved" {
                continue;
            }
            let mut r = message.reader();
            r.u32()?;
            if r.text()? == job {
                let _unit = r.text()?;
                return r.text();
            }
        }
    }
}

fn silent(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::WouldBlock => {
            io::Error::new(io::ErrorKind::TimedOut, "systemd does not answer")
        }
        io::ErrorKind::UnexpectedEof => io::Error::new(e.kind(), "systemd hung up"),
        _ => e,
    }
}
