//! Nodes and arrows: levels and cycles.

use std::collections::BTreeSet;

/// A directed graph. An arrow leads from the node that names to the node that is named.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    names: Vec<String>,
    arrows: BTreeSet<(usize, usize)>,
}

impl Graph {
    /// Returns the number of the node called `name`. Adds the node if it is new.
    pub fn node(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    /// Adds an arrow, unless it leads from a node to itself.
    pub fn arrow(&mut self, from: &str, to: &str) {
        let ends = (self.node(from), self.node(to));
        if ends.0 != ends.1 {
            self.arrows.insert(ends);
        }
    }

    /// Returns how many nodes there are.
    pub fn nodes(&self) -> usize {
        self.names.len()
    }

    /// Returns how many arrows there are.
    pub fn arrows(&self) -> usize {
        self.arrows.len()
    }

    /// Returns the number of nodes on the longest chain of arrows. A cycle counts as one node.
    pub fn levels(&self) -> usize {
        let groups = self.groups();
        let mut group_of = vec![0; self.names.len()];
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|node| group_of[*node] = number);
        }
        let mut levels = vec![1; groups.len()];
        // No chain is longer than there are groups.
        for _ in 0..groups.len() {
            for (from, to) in self.arrows.iter().map(|(from, to)| (group_of[*from], group_of[*to]))
            {
                if from != to {
                    levels[from] = levels[from].max(levels[to] + 1);
                }
            }
        }
        levels.into_iter().max().unwrap_or(0)
    }

    /// Returns the cycles: for each the names of the nodes that reach each other, sorted.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let groups = self.groups().into_iter().filter(|group| group.len() > 1);
        let mut cycles: Vec<Vec<String>> = groups
            .map(|group| {
                let mut names: Vec<String> =
                    group.into_iter().map(|node| self.names[node].clone()).collect();
                names.sort();
                names
            })
            .collect();
        cycles.sort();
        cycles
    }

    /// Returns the strongly connected components.
    fn groups(&self) -> Vec<Vec<usize>> {
        let reached: Vec<BTreeSet<usize>> =
            (0..self.names.len()).map(|node| self.reached_from(node)).collect();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for node in 0..self.names.len() {
            let group = groups.iter_mut().find(|group| {
                reached[group[0]].contains(&node) && reached[node].contains(&group[0])
            });
            match group {
                Some(group) => group.push(node),
                None => groups.push(vec![node]),
            }
        }
        groups
    }

    fn reached_from(&self, start: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            for &(_, to) in self.arrows.range((node, 0)..(node + 1, 0)) {
                if reached.insert(to) {
                    open.push(to);
                }
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        arrows.iter().for_each(|(from, to)| graph.arrow(from, to));
        graph
    }

    #[test]
    fn levels_are_the_longest_chain() {
        assert_eq!(graph(&[]).levels(), 0);
        let diamond = graph(&[("a", "b"), ("a", "c"), ("c", "b"), ("d", "b"), ("a", "b")]);
        assert_eq!((diamond.nodes(), diamond.arrows(), diamond.levels()), (4, 4, 3));
        assert!(diamond.cycles().is_empty());
    }

    #[test]
    fn a_cycle_is_one_level_and_is_named() {
        let knot = graph(&[("top", "c"), ("c", "b"), ("b", "a"), ("a", "c"), ("a", "low")]);
        assert_eq!(knot.levels(), 3);
        assert_eq!(knot.cycles(), [["a", "b", "c"]]);
        let itself = graph(&[("a", "a")]);
        assert_eq!((itself.nodes(), itself.arrows()), (1, 0));
    }
}
