//! Files of Keras that hold weights and no configuration: the order of each layer's variables, under
//! every name by which a spec may call the layer.
//!
//! In `.h5` of every Keras before 3 it is the list `weight_names` of the layer's group; names of
//! single variables differ from version to version. In `.weights.h5` variables are numbered.

use std::collections::{BTreeMap, BTreeSet};

use super::{MODEL, NOT_LAYERS};
use crate::Error;
use crate::load::container::hdf5;
use crate::load::tensors::Tensors;

/// Reads the tensors with their order.
pub(in crate::load) fn read(bytes: Vec<u8>) -> Result<Tensors, Error> {
    hdf5::parse(bytes, &NOT_LAYERS).map(ordered)
}

/// The tensors of a file, or of several, with their order.
pub(super) fn ordered(contents: hdf5::Contents) -> Tensors {
    let hdf5::Contents { mut tensors, names, lists, .. } = contents;
    if lists.is_empty() {
        let all: Vec<String> = tensors.names().map(Into::into).collect();
        for (group, list) in numbered(&all, &names) {
            tensors.list(group, list);
        }
    }
    for (group, list) in lists {
        let layer = group.strip_prefix(MODEL).unwrap_or(&group).to_owned();
        tensors.list(layer, list);
    }
    tensors
}

/// The variables below each group in order: `layers/lstm/cell/vars/0` is the first of
/// `layers/lstm/cell`, of `layers/lstm`, and of the layer that calls itself so there.
fn numbered(tensors: &[String], names: &BTreeMap<String, String>) -> BTreeMap<String, Vec<String>> {
    let mut lists: BTreeMap<String, BTreeSet<(String, &String)>> = BTreeMap::new();
    for tensor in tensors {
        // The forward layer comes first.
        let order = tensor.replace("/backward_layer/", "/forward_layer~/");
        let groups = tensor.match_indices('/').map(|(end, _)| &tensor[..end]);
        for group in groups.filter(|group| !group.ends_with("/vars")) {
            lists.entry(group.into()).or_default().insert((order.clone(), tensor));
        }
    }
    let mut lists: BTreeMap<String, Vec<String>> = lists
        .into_iter()
        .map(|(group, list)| (group, list.into_iter().map(|(_, name)| name.clone()).collect()))
        .collect();
    for (path, name) in names {
        let list = path.strip_suffix("/vars").and_then(|group| lists.get(group)).cloned();
        if let Some(list) = list {
            lists.entry(name.clone()).or_insert(list);
        }
    }
    lists
}
