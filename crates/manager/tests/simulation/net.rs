//! What goes between the managers and the nodes, late and sometimes not at all.

use manager::dispatch::Told;
use swarm_api::session::{Hello, StatusUpdate};
use swarm_api::{Id, Time};

use crate::agent::{Agent, Link};
use crate::chaos;
use crate::world::{MILLI, SECOND, What, World, up_to};

impl World {
    pub(crate) fn linked(&mut self, id: &Id, session: u32) -> Option<&mut Agent> {
        let agent = self.agents.get_mut(id)?;
        (agent.link == Link::Up && agent.connected && agent.session == session).then_some(agent)
    }

    pub(crate) fn beats(&mut self) {
        let mut news = false;
        for (id, agent) in &self.agents {
            if agent.link == Link::Up && agent.connected {
                news |= self.pulse.beat(id, self.time + self.skew);
            }
        }
        if news {
            self.wake_managers(0);
        }
        self.after(5 * SECOND, What::Beats);
    }

    pub(crate) fn step(&mut self, id: &Id) {
        let Some(agent) = self.agents.get_mut(id).filter(|a| a.link != Link::Off) else {
            return;
        };
        let (news, due) = agent.step(self.time, !self.quiet, &mut self.random);
        if due < Time::MAX {
            let span = (due - self.time).max(MILLI);
            self.after(span, What::Step(id.clone()));
        }
        self.say(id, news);
    }

    fn say(&mut self, id: &Id, news: Vec<StatusUpdate>) {
        let delay = up_to(&mut self.random, 30 * MILLI);
        let Some(agent) = self.agents.get_mut(id).filter(|a| a.connected) else {
            return;
        };
        if !news.is_empty() {
            agent.reports = agent.reports.max(self.time + delay);
            let (at, session) = (agent.reports, agent.session);
            self.at(at, What::Said(id.clone(), session, news));
        }
    }

    pub(crate) fn connect(&mut self, id: &Id) {
        if self.store.view().node(id.as_str()).is_none() {
            return;
        }
        let Some(agent) = self.agents.get_mut(id).filter(|a| a.link == Link::Up) else {
            return;
        };
        agent.session += 1;
        agent.connected = true;
        let all = agent.all();
        let hello = Hello {
            description: chaos::description(),
            devices: None,
            addr: format!("10.0.0.{}", self.random.number() % 250),
        };
        self.pulse.hello(id, hello, self.time + self.skew);
        self.told.insert(id.clone(), Told::default());
        self.say(id, all);
        self.tell(id, true);
        self.wake_managers(0);
    }

    pub(crate) fn tell(&mut self, id: &Id, all: bool) {
        let Some(told) = self.told.get_mut(id) else {
            return;
        };
        let view = self.store.view();
        let assignments = if all {
            Some(told.all(&view, id))
        } else {
            told.difference(&view, id)
        };
        drop(view);
        let delay = up_to(&mut self.random, 30 * MILLI);
        let Some((agent, assignments)) = self.agents.get_mut(id).zip(assignments) else {
            return;
        };
        agent.arrives = agent.arrives.max(self.time + delay);
        let (at, session) = (agent.arrives, agent.session);
        self.at(at, What::Told(id.clone(), session, assignments));
    }

    /// The managers see that a node's connection is broken.
    pub(crate) fn broken(&mut self, id: &Id) {
        self.told.remove(id);
        self.pulse.lost(id, self.time + self.skew);
        self.wake_managers(0);
    }
}
