//! The order in which nodes are given tasks of one wish.
//!
//! A tree of the labels that tasks are spread over: on each level the value with the fewest tasks is next,
//! and among the nodes of the last level the best one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::hosts::Rank;

/// Nodes that fit, by the labels' values.
#[derive(Debug)]
pub(super) enum Tree {
    /// The nodes, the best one first.
    Nodes(BinaryHeap<Reverse<Rank>>),
    /// What each value of a label has.
    Values {
        index: BTreeMap<String, usize>,
        children: Vec<(u64, Tree)>,
        /// By how many tasks each has, without those where nothing fits any more.
        order: BTreeSet<(u64, usize)>,
    },
}

impl Tree {
    /// A tree of so many levels of labels.
    pub(super) fn new(levels: usize) -> Self {
        if levels == 0 {
            return Self::Nodes(BinaryHeap::new());
        }
        Self::Values {
            index: BTreeMap::new(),
            children: Vec::new(),
            order: BTreeSet::new(),
        }
    }

    /// A node that fits, with its labels' values.
    pub(super) fn add(&mut self, rank: Rank, values: &[&str]) {
        match self {
            Self::Nodes(nodes) => nodes.push(Reverse(rank)),
            Self::Values {
                index,
                children,
                order,
            } => {
                let (value, rest) = values.split_first().unwrap_or((&"", &[]));
                let at = match index.get(*value) {
                    Some(at) => *at,
                    None => {
                        children.push((0, Self::new(rest.len())));
                        index.insert((*value).to_owned(), children.len() - 1);
                        children.len() - 1
                    }
                };
                let (tasks, child) = &mut children[at];
                order.remove(&(*tasks, at));
                *tasks += u64::from(rank.1);
                order.insert((*tasks, at));
                child.add(rank, rest);
            }
        }
    }

    /// Nothing fits any more.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Nodes(nodes) => nodes.is_empty(),
            Self::Values { order, .. } => order.is_empty(),
        }
    }

    /// Gives the next node a task; `put` does, and answers how good the node is then, if another one fits.
    /// False where no node is left.
    pub(super) fn place(&mut self, put: impl FnOnce(usize) -> Option<Rank>) -> bool {
        match self {
            Self::Nodes(nodes) => {
                let Some(Reverse(best)) = nodes.pop() else {
                    return false;
                };
                if let Some(rank) = put(best.4) {
                    nodes.push(Reverse(rank));
                }
                true
            }
            Self::Values {
                children, order, ..
            } => {
                let Some((_, at)) = order.pop_first() else {
                    return false;
                };
                let (tasks, child) = &mut children[at];
                // Its type would contain itself otherwise.
                let put: Box<dyn FnOnce(usize) -> Option<Rank> + '_> = Box::new(put);
                let placed = child.place(put);
                *tasks += u64::from(placed);
                if !child.is_empty() {
                    order.insert((*tasks, at));
                }
                placed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_with_the_fewest_tasks_is_next() {
        // Zone a has two nodes, zone b has one, which runs one already and takes two more.
        let mut tree = Tree::new(1);
        tree.add((0, 0, 0, true, 0), &["a"]);
        tree.add((0, 0, 0, true, 1), &["a"]);
        tree.add((0, 1, 1, true, 2), &["b"]);
        let mut tasks = [0, 0, 1];
        let mut given = Vec::new();
        for _ in 0..6 {
            let placed = tree.place(|node| {
                tasks[node] += 1;
                given.push(node);
                (node != 2 || tasks[2] < 3).then_some((0, tasks[node], tasks[node], true, node))
            });
            assert!(placed);
        }
        assert_eq!(given, [0, 1, 2, 0, 2, 1]);
    }
}
