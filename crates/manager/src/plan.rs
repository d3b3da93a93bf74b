//! A loop of the managers, and one turn of it.

use store::{Heard, Tables};
use swarm_api::{Change, Id, Time};

/// What a loop is given for one turn.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Everything there is.
    pub tables: &'a Tables,
    /// What changed since its last turn; [`Heard::Everything`] at its first one, and after a gap.
    pub heard: &'a Heard,
    /// The time now. It may jump in either direction.
    pub now: Time,
    /// Random bits for identifiers, the same ones for the same seed.
    pub random: &'a mut Random,
}

/// What a loop wants.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Changes, each from the state that the loop saw. They are independent: some may be refused.
    pub changes: Vec<Change>,
    /// When the loop wants its next turn, also if nothing changes until then.
    pub wake: Option<Time>,
}

/// One of the managers' loops. What it remembers can be found again from the tables: another manager's loop
/// begins with nothing.
pub trait Loop: Send {
    /// What it is called in logs.
    fn name(&self) -> &'static str;

    /// Decides what is to change now. It makes no change that was made already: with nothing new, the plan is
    /// empty.
    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan;
}

/// Randomness that is given: splitmix64, whose state is one number.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A new identifier.
    pub fn id(&mut self) -> Id {
        Id::from_bits(u128::from(self.number()) << 64 | u128::from(self.number()))
    }
}

impl Plan {
    /// Wants a turn at `time` at the latest.
    pub fn wake_at(&mut self, time: Time) {
        self.wake = Some(self.wake.map_or(time, |w| w.min(time)));
    }
}
