//! Strongly connected components, by Tarjan's way without recursion: the graph is deeper than any stack.

use super::explore::Node;

const NONE: u32 = u32::MAX;

struct Search<'a> {
    nodes: &'a [Node],
    order: Vec<u32>,
    low: Vec<u32>,
    component: Vec<u32>,
    stack: Vec<u32>,
    count: u32,
    components: u32,
}

fn at(number: u32) -> usize {
    usize::try_from(number).unwrap()
}

/// The number of each node's component.
pub(crate) fn components(nodes: &[Node]) -> Vec<u32> {
    let none = vec![NONE; nodes.len()];
    let mut search = Search {
        nodes,
        order: none.clone(),
        low: none.clone(),
        component: none,
        stack: Vec::new(),
        count: 0,
        components: 0,
    };
    for root in 0..u32::try_from(nodes.len()).unwrap() {
        if search.order[at(root)] == NONE {
            search.visit(root);
        }
    }
    search.component
}

impl Search<'_> {
    fn enter(&mut self, node: u32) -> (u32, usize) {
        self.order[at(node)] = self.count;
        self.low[at(node)] = self.count;
        self.count += 1;
        self.stack.push(node);
        (node, 0)
    }

    fn visit(&mut self, root: u32) {
        let mut calls = vec![self.enter(root)];
        while let Some((node, edge)) = calls.last_mut() {
            let node = *node;
            if let Some((to, _)) = self.nodes[at(node)].edges.get(*edge) {
                *edge += 1;
                let to = *to;
                if self.order[at(to)] == NONE {
                    let entered = self.enter(to);
                    calls.push(entered);
                } else if self.component[at(to)] == NONE {
                    self.low[at(node)] = self.low[at(node)].min(self.order[at(to)]);
                }
                continue;
            }
            calls.pop();
            if let Some((parent, _)) = calls.last() {
                self.low[at(*parent)] = self.low[at(*parent)].min(self.low[at(node)]);
            }
            if self.low[at(node)] == self.order[at(node)] {
                self.close(node);
            }
        }
    }

    fn close(&mut self, node: u32) {
        while let Some(member) = self.stack.pop() {
            self.component[at(member)] = self.components;
            if member == node {
                break;
            }
        }
        self.components += 1;
    }
}
