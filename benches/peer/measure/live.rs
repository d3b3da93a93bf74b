//! What an engine tells as it happens, and many who ask.

use std::{
    io::Read,
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::Peer;

impl Peer {
    /// Creates `count` containers that never start, some at a time.
    pub(crate) fn create_many(&self, count: usize) {
        const CLIENTS: usize = 8;
        let body = json!({"Image": "busybox", "Cmd": ["true"], "Labels": {"purpose": "bench"}});
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (api, body) = (self.daemon.api(), &body);
                scope.spawn(move || {
                    for n in (client..count).step_by(CLIENTS) {
                        api.post(&format!("/containers/create?name=many-{n}"), Some(body))
                            .expect(201);
                    }
                });
            }
        });
    }

    /// Has `clients` clients inspect `times` of the first `count` containers each, at once.
    pub(crate) fn ask_at_once(&self, clients: usize, times: usize, count: usize) {
        std::thread::scope(|scope| {
            for client in 0..clients {
                let api = self.daemon.api();
                scope.spawn(move || {
                    for n in 0..times {
                        let number = client * times + n;
                        api.get(&format!("/containers/many-{}/json", number % count))
                            .expect(200);
                    }
                });
            }
        });
    }

    /// How long after its own time an event is with a subscriber.
    pub(crate) fn event_delays(&self, count: usize) -> Vec<Duration> {
        let api = self.daemon.api();
        let mut events = api.open(
            "GET",
            "/events?filters=%7B%22event%22%3A%5B%22create%22%5D%7D",
            None,
        );
        let body = json!({"Image": "busybox", "Cmd": ["true"]});
        (0..count)
            .map(|n| {
                let path = format!("/containers/create?name=told-{n}");
                api.post(&path, Some(&body)).expect(201);
                let line = events.line().expect("an event");
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let event: Value = serde_json::from_str(&line).expect("JSON");
                let told = Duration::from_nanos(event["timeNano"].as_u64().expect("a time"));
                api.delete(&format!("/containers/told-{n}")).expect(204);
                now.expect("after 1970").saturating_sub(told)
            })
            .collect()
    }

    /// Processor time of the daemon's processes while a client reads the statistics of each of the
    /// first `count` containers for so many seconds.
    pub(crate) fn read_statistics(&self, count: usize, seconds: u32) -> Duration {
        let api = self.daemon.api();
        let streams: Vec<_> = (0..count)
            .map(|n| api.open("GET", &format!("/containers/many-{n}/stats?stream=1"), None))
            .collect();
        let before = self.processor_time();
        std::thread::sleep(Duration::from_secs(u64::from(seconds)));
        let spent = self.processor_time().saturating_sub(before);
        for mut stream in streams {
            let mut first = [0];
            assert_eq!(stream.read(&mut first).ok(), Some(1), "statistics came");
        }
        spent
    }

    /// Starts containers with these numbers at once.
    pub(crate) fn start_range(&self, numbers: Range<usize>) {
        let body = json!({"Image": "busybox", "Cmd": ["sleep", "100000"]});
        std::thread::scope(|scope| {
            for n in numbers {
                let (api, body) = (self.daemon.api(), &body);
                scope.spawn(move || {
                    let made = api.post(&format!("/containers/create?name=many-{n}"), Some(body));
                    made.expect(201);
                    api.post(&format!("/containers/many-{n}/start"), None)
                        .expect(204);
                });
            }
        });
    }
}
