//! Nodes in an order in which they can run: layers are recognised after what stands in their place.

use crate::model::{Node, Output, Value};

/// Puts nodes behind those that they use, in the order in which they are otherwise.
pub(super) fn sort(nodes: &mut Vec<Node>, outputs: &mut [Output]) {
    let in_order = |(place, node): (usize, &Node)| {
        node.inputs.iter().all(|value| !matches!(value, Value::Node { node, .. } if *node >= place))
    };
    if nodes.iter().enumerate().all(in_order) {
        return;
    }
    let (mut places, mut open) = (vec![None; nodes.len()], vec![false; nodes.len()]);
    let mut order = Vec::with_capacity(nodes.len());
    for first in 0..nodes.len() {
        // Nodes to place, each with the input that is looked at next.
        let mut waiting = vec![(first, 0)];
        while let Some((node, input)) = waiting.pop() {
            if input == 0 && std::mem::replace(&mut open[node], true) {
                continue;
            }
            match nodes[node].inputs.get(input) {
                Some(&Value::Node { node: before, .. }) => {
                    waiting.push((node, input + 1));
                    waiting.push((before, 0));
                }
                Some(Value::Input(_)) => waiting.push((node, input + 1)),
                None => {
                    places[node] = Some(order.len());
                    order.push(node);
                }
            }
        }
    }
    let mut all: Vec<Option<Node>> = std::mem::take(nodes).into_iter().map(Some).collect();
    nodes.extend(order.into_iter().filter_map(|node| all[node].take()));
    let moved = |value: &mut Value| {
        if let Value::Node { node, .. } = value {
            *node = places[*node].unwrap_or(*node);
        }
    };
    nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(&moved);
    outputs.iter_mut().for_each(|output| moved(&mut output.value));
}
