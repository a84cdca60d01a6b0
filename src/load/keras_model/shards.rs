//! Weights of Keras in several files: an index `NAME.weights.json` says which groups of variables are
//! in which of the `.weights.h5` files beside it.
//!
//! ```text
//! {"metadata": {"total_size": BYTES}, "weight_map": {"/layers/dense/vars": "NAME_00000.weights.h5", ...}}
//! ```
//!
//! A group whose variables are in several files has a list of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{NOT_LAYERS, inside, weights_only};
use crate::Error;
use crate::load::container::beside::Folder;
use crate::load::container::hdf5;
use crate::load::json;
use crate::load::tensors::Tensors;

/// Reads the files that the bytes of an index name, which are beside it; it is at `path`.
pub(in crate::load) fn read(index: &[u8], path: &Path) -> Result<Tensors, Error> {
    let index = json::parse(index).map_err(|error| inside("the index", &error))?;
    let groups = groups(&index)?;
    let folder = Folder::of(path)?;
    let mut all = hdf5::Contents::default();
    for file in groups.values().flatten().collect::<BTreeSet<_>>() {
        let path = folder.file(file)?.ok_or_else(|| {
            inside("the index", &format!("weight_map: '{file}' is a link out of the folder"))
        })?;
        let bytes = std::fs::read(&path);
        let bytes = bytes.map_err(|source| Error::Io { path: path.clone(), source })?;
        let shard = hdf5::parse(bytes, &NOT_LAYERS).map_err(|error| error.in_file(&path))?;
        held_against(&groups, file, &shard.tensors)?;
        all.tensors.append(shard.tensors)?;
        all.names.extend(shard.names);
    }
    Ok(weights_only::ordered(all))
}

/// The files of each group of variables, whose path has no slash at its front.
fn groups(index: &Value) -> Result<BTreeMap<&str, Vec<&str>>, Error> {
    let wrong = |problem: String| inside("the index", &problem);
    let index = index.as_object().ok_or_else(|| wrong("it is no object".into()))?;
    if let Some(key) = index.keys().find(|key| !["metadata", "weight_map"].contains(&key.as_str()))
    {
        let known = "there are: metadata, weight_map";
        return Err(wrong(format!("the key '{key}' is not known; {known}")));
    }
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| wrong("weight_map is no object of groups and files".into()))?;
    let mut groups = BTreeMap::new();
    for (group, files) in map {
        let list = files.as_array().map_or(std::slice::from_ref(files), Vec::as_slice);
        let names: Option<Vec<&str>> =
            list.iter().map(|file| file.as_str().filter(|file| is_beside(file))).collect();
        let files = names.filter(|files| !files.is_empty()).ok_or_else(|| {
            wrong(format!(
                "weight_map: '{group}' is in {files}, expected names of .weights.h5 files beside the index"
            ))
        })?;
        let path = group.trim_start_matches('/');
        if !NOT_LAYERS.contains(&path.split('/').next().unwrap_or_default()) {
            groups.insert(path, files);
        }
    }
    Ok(groups)
}

/// Whether it is the name of a file of weights in the folder of the index, and no path.
fn is_beside(file: &str) -> bool {
    file.ends_with(".weights.h5") && !file.contains(['/', '\\', ':'])
}

/// Fails unless a file holds variables of every group that the index says is in it, and of no other.
fn held_against(
    groups: &BTreeMap<&str, Vec<&str>>,
    file: &str,
    tensors: &Tensors,
) -> Result<(), Error> {
    let said: BTreeSet<&str> =
        groups.iter().filter(|(_, files)| files.contains(&file)).map(|(group, _)| *group).collect();
    let held: BTreeSet<&str> =
        tensors.names().filter_map(|name| Some(name.rsplit_once('/')?.0)).collect();
    let wrong = |problem: String| Err(inside("the index", &problem));
    if let Some(group) = said.difference(&held).next() {
        return wrong(format!(
            "weight_map: '/{group}' is in '{file}', where there is no such group"
        ));
    }
    if let Some(group) = held.difference(&said).next() {
        return wrong(format!("weight_map: it does not say that '/{group}' is in '{file}'"));
    }
    Ok(())
}
