//! Why a node does not fit a task.

/// What a node is looked at for, in this order; the first one that refuses it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// It answers, and takes new tasks.
    Ready,
    /// It has what the task reserves.
    Resources,
    /// It has the drivers that the task names.
    Plugins,
    /// It fits the service's constraints.
    Constraints,
    /// Its machine is one that the image is for.
    Platform,
    /// The task's ports of mode `host` are free on it.
    HostPorts,
    /// It has fewer of the service's tasks than it may have at most.
    MaxReplicas,
    /// It has the devices that the task names.
    Devices,
}

/// All of them, in their order.
pub(super) const ALL: [Filter; 8] = [
    Filter::Ready,
    Filter::Resources,
    Filter::Plugins,
    Filter::Constraints,
    Filter::Platform,
    Filter::HostPorts,
    Filter::MaxReplicas,
    Filter::Devices,
];

impl Filter {
    /// In the words that users know from Docker, for a number of nodes.
    #[must_use]
    pub fn explain(self, nodes: usize) -> String {
        let s = if nodes == 1 { "" } else { "s" };
        match self {
            Self::Ready => format!("{nodes} node{s} not available for new tasks"),
            Self::Resources => format!("insufficient resources on {nodes} node{s}"),
            Self::Plugins => format!("missing plugin on {nodes} node{s}"),
            Self::Constraints => format!("scheduling constraints not satisfied on {nodes} node{s}"),
            Self::Platform => format!("unsupported platform on {nodes} node{s}"),
            Self::HostPorts => format!("host-mode port already in use on {nodes} node{s}"),
            Self::MaxReplicas => "max replicas per node limit exceed".to_owned(),
            Self::Devices => format!("missing device on {nodes} node{s}"),
        }
    }
}

/// How many nodes each filter refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Refusals([usize; ALL.len()]);

impl Refusals {
    pub(super) fn add(&mut self, filter: Filter) {
        self.0[filter as usize] += 1;
    }

    /// What a task's status says, the filter that refused most nodes first.
    pub(super) fn explain(&self) -> String {
        let mut filters: Vec<_> = ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, n)| *n > 0)
            .collect();
        filters.sort_by_key(|(_, nodes)| std::cmp::Reverse(*nodes));
        let words: Vec<_> = filters.into_iter().map(|(f, n)| f.explain(n)).collect();
        if words.is_empty() {
            return "no suitable node".to_owned();
        }
        format!("no suitable node ({})", words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_that_refused_most_comes_first() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.explain(), "no suitable node");
        refusals.add(Filter::Constraints);
        refusals.add(Filter::Resources);
        refusals.add(Filter::Constraints);
        assert_eq!(
            refusals.explain(),
            "no suitable node (scheduling constraints not satisfied on 2 nodes; insufficient resources on 1 node)"
        );
    }
}
