//! Questions that are passed on to other servers.
//!
//! Each attempt has a socket and an id of its own, so that an answer can be guessed only by who
//! guesses both, and is compared with the question. A server that does not answer soon is not given
//! up: the next one is asked beside it, and the first answer counts. What comes by TCP is asked by
//! TCP; an answer that says it is cut goes to the client as it is, which then comes by TCP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::answer;
use crate::attempt::{self, Attempt};
use crate::model::Upstream;
use crate::poll::{Due, Poll};
use crate::question::{self, Answer};
use crate::random::Random;
use crate::upstream::{self, Health};

/// After so long the next server is asked, too.
const PATIENCE: Duration = Duration::from_millis(1200);
/// After so long it is given up: before the C libraries do (5 s), so that they hear of it.
const TOTAL: Duration = Duration::from_millis(4500);
/// So many attempts are made for one question.
const ATTEMPTS: usize = 4;
/// So many questions of all askers are under way at most.
const MOST: usize = 1024;
/// So many of one asker.
const MOST_OF_ONE: usize = 256;

/// Whom the answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Who sent the packet from there.
    Udp(SocketAddr),
    /// A connection.
    Conn(u64),
}

/// A question to pass on.
pub(crate) struct Ask<'a> {
    pub(crate) asker: u64,
    pub(crate) namespace: Option<Rc<OwnedFd>>,
    pub(crate) upstreams: &'a [Upstream],
    pub(crate) message: &'a [u8],
    pub(crate) whom: For,
}

/// A question that has found its end.
pub(crate) struct Done {
    pub(crate) asker: u64,
    pub(crate) whom: For,
    /// What to say; nothing, if nothing can be said.
    pub(crate) message: Option<Vec<u8>>,
    /// Did a server answer?
    pub(crate) answered: bool,
}

struct Query {
    asker: u64,
    namespace: Option<Rc<OwnedFd>>,
    order: Vec<Upstream>,
    message: Vec<u8>,
    whom: For,
    made: usize,
    attempts: Vec<u64>,
    end: Instant,
    due: Instant,
    /// What a server said that could not help.
    refusal: Option<Vec<u8>>,
}

/// All questions that are under way.
pub(crate) struct Forwarder {
    queries: HashMap<u64, Query>,
    attempts: HashMap<u64, Attempt>,
    of_asker: HashMap<u64, usize>,
    health: Health,
    home: OwnedFd,
    buffer: Vec<u8>,
}

impl Forwarder {
    /// For a process in the namespace `home`.
    pub(crate) fn new(home: OwnedFd) -> Self {
        Self {
            queries: HashMap::new(),
            attempts: HashMap::new(),
            of_asker: HashMap::new(),
            health: Health::default(),
            home,
            buffer: vec![0; 65_536],
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.queries.len()
    }

    /// Passes a question on. Something is returned if that is its end already.
    pub(crate) fn start(
        &mut self,
        poll: &mut Poll,
        random: &mut Random,
        ask: Ask<'_>,
    ) -> Option<Done> {
        let now = Instant::now();
        let of_asker = self.of_asker.get(&ask.asker).copied().unwrap_or(0);
        let full = self.queries.len() >= MOST || of_asker >= MOST_OF_ONE;
        let mut order = self.health.order(ask.upstreams, ask.asker, now);
        order.retain(upstream::is_usable);
        let query = Query {
            asker: ask.asker,
            namespace: ask.namespace,
            order,
            message: ask.message.to_vec(),
            whom: ask.whom,
            made: 0,
            attempts: Vec::new(),
            end: now + TOTAL,
            due: now + PATIENCE,
            refusal: None,
        };
        if full || query.order.is_empty() || !question::can_be_forwarded(&query.message) {
            return Some(query.failed());
        }
        let number = poll.number();
        poll.at(query.due, Due::Query(number));
        *self.of_asker.entry(query.asker).or_default() += 1;
        self.queries.insert(number, query);
        self.go_on(poll, random, number, false)
    }

    /// Asks the next server, if there is one: each once, or, of those that keep silent, again.
    fn go_on(
        &mut self,
        poll: &mut Poll,
        random: &mut Random,
        number: u64,
        again: bool,
    ) -> Option<Done> {
        let query = self.queries.get_mut(&number)?;
        let each = query.order.len();
        let most = if again { ATTEMPTS.max(each) } else { each };
        while query.made < most {
            let upstream = query.order[query.made % query.order.len()];
            query.made += 1;
            let ask = attempt::Ask {
                query: number,
                upstream,
                namespace: query.namespace.as_deref(),
                message: &query.message,
                tcp: query.is_tcp(),
            };
            match Attempt::make(poll, random, &ask, &self.home) {
                Ok((token, attempt)) => {
                    query.attempts.push(token);
                    self.attempts.insert(token, attempt);
                    return None;
                }
                Err(_) => self.health.bad(upstream, query.asker, Instant::now()),
            }
        }
        if query.attempts.is_empty() {
            return self.end(poll, number).map(Query::failed);
        }
        None
    }

    /// A socket of an attempt is ready.
    pub(crate) fn ready(
        &mut self,
        poll: &mut Poll,
        random: &mut Random,
        token: u64,
    ) -> Option<Done> {
        let attempt = self.attempts.get_mut(&token)?;
        let query = self.queries.get_mut(&attempt.query)?;
        let (number, upstream, asker) = (attempt.query, attempt.upstream, query.asker);
        let answer = match attempt.step(poll, token, &mut self.buffer) {
            Ok(None) => return None,
            Ok(Some(answer)) => answer,
            Err(_) => {
                self.health.bad(upstream, asker, Instant::now());
                self.drop_attempt(poll, token);
                return self.go_on(poll, random, number, false);
            }
        };
        match question::compare(&query.message, attempt.id, &answer) {
            // Over UDP the true one may still come; over TCP the server is mad.
            Answer::Foreign if !attempt.is_tcp() => None,
            Answer::Foreign => {
                self.drop_attempt(poll, token);
                self.go_on(poll, random, number, false)
            }
            Answer::Bad => {
                query.refusal = Some(answer);
                self.drop_attempt(poll, token);
                self.go_on(poll, random, number, false)
            }
            Answer::Good => {
                self.health.good(upstream, asker);
                let query = self.end(poll, number)?;
                Some(query.done(answer, true))
            }
        }
    }

    /// A question's time has come.
    pub(crate) fn due(
        &mut self,
        poll: &mut Poll,
        random: &mut Random,
        number: u64,
    ) -> Option<Done> {
        let now = Instant::now();
        let query = self.queries.get_mut(&number)?;
        for token in &query.attempts {
            if let Some(silent) = self.attempts.get(token) {
                self.health.bad(silent.upstream, query.asker, now);
            }
        }
        if now >= query.end {
            return self.end(poll, number).map(Query::failed);
        }
        query.due = (now + PATIENCE).min(query.end);
        poll.at(query.due, Due::Query(number));
        self.go_on(poll, random, number, true)
    }

    /// Forgets what was asked for those that `gone` picks.
    pub(crate) fn cancel(&mut self, poll: &mut Poll, gone: impl Fn(u64, For) -> bool) {
        let picked = |(number, q): (&u64, &Query)| gone(q.asker, q.whom).then_some(*number);
        let numbers: Vec<_> = self.queries.iter().filter_map(picked).collect();
        for number in numbers {
            self.end(poll, number);
        }
    }

    fn drop_attempt(&mut self, poll: &mut Poll, token: u64) {
        if let Some(attempt) = self.attempts.remove(&token) {
            poll.remove(&attempt, token);
            if let Some(query) = self.queries.get_mut(&attempt.query) {
                query.attempts.retain(|t| *t != token);
            }
        }
    }

    fn end(&mut self, poll: &mut Poll, number: u64) -> Option<Query> {
        let query = self.queries.remove(&number)?;
        poll.not_at(query.due, Due::Query(number));
        for token in &query.attempts {
            if let Some(attempt) = self.attempts.remove(token) {
                poll.remove(&attempt, *token);
            }
        }
        if let Some(count) = self.of_asker.get_mut(&query.asker) {
            *count -= 1;
            if *count == 0 {
                self.of_asker.remove(&query.asker);
            }
        }
        Some(query)
    }
}

impl Query {
    fn is_tcp(&self) -> bool {
        matches!(self.whom, For::Conn(_))
    }

    fn done(self, mut answer: Vec<u8>, answered: bool) -> Done {
        question::set_id(&mut answer, question::id(&self.message));
        Done {
            asker: self.asker,
            whom: self.whom,
            message: Some(answer),
            answered,
        }
    }

    /// Nobody helped: what one of the servers said about that, or that we could not.
    fn failed(mut self) -> Done {
        if let Some(refusal) = self.refusal.take() {
            return self.done(refusal, false);
        }
        Done {
            asker: self.asker,
            whom: self.whom,
            message: answer::failure(&self.message, self.is_tcp()),
            answered: false,
        }
    }
}
