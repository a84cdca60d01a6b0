//! `.pt`: what `torch.save` writes of a state dict.
//!
//! Since PyTorch 1.6 a zip of `NAME/data.pkl`, a pickle in which every tensor is a view of a
//! storage, and of the storages `NAME/data/KEY`; before, pickles behind each other, and the
//! storages behind them. The pickle is read by a machine that can execute nothing.
//!
//! A dict that holds tensors is a state dict. Of a checkpoint, a dict that holds such dicts beside
//! the epoch and what else training needs, the one state dict is taken; of several, each with its
//! key and a dot before the names.

use std::collections::{HashMap, HashSet};

use super::pickle::{self, Heap, Id, Object};
use super::torch_tensor::{Part, Storage, Tensor, Torch};
use super::zip::Archive;
use crate::Error;
use crate::load::tensors::{Data, Tensors};

/// What to do about a pickle that holds more than weights.
pub(super) const SAVE: &str = "if you trust the file, save its weights alone, in Python: \
                               m = torch.load(\"model.pt\", weights_only=False); \
                               torch.save(m.state_dict(), \"weights.pt\")";

/// Reads the bytes of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Tensors, Error> {
    if bytes.starts_with(b"PK\x03\x04") { zipped(bytes) } else { legacy(bytes) }
}

fn broken(problem: impl Into<String>) -> Error {
    Error::Format { container: "PyTorch file".into(), problem: problem.into() }
}

fn big_endian() -> Error {
    Error::Unsupported {
        what: "a PyTorch file of a big-endian machine".into(),
        advice: "load it in Python with torch.load and save it again on a little-endian one".into(),
    }
}

/// Refuses archives of PyTorch that are no `torch.save` of data.
fn refuse_programs(names: &[String]) -> Result<(), Error> {
    let refused = |what: &str, advice: &str| {
        Err(Error::Unsupported { what: what.into(), advice: advice.into() })
    };
    let any = |part: &str| names.iter().any(|name| name.contains(part));
    if any("/code/") {
        return refused(
            "a TorchScript program",
            "save its weights alone, in Python: m = torch.jit.load(\"model.pt\"); \
             torch.save(m.state_dict(), \"weights.pt\")",
        );
    }
    if any("archive_format") || any("model_weights_config.json") || any("serialized_exported") {
        return refused(
            "a program of torch.export",
            "save its weights alone, in Python: m = torch.export.load(\"model.pt2\"); \
             torch.save(m.state_dict, \"weights.pt\")",
        );
    }
    Ok(())
}

fn zipped(bytes: &[u8]) -> Result<Tensors, Error> {
    let mut archive = Archive::of_model(bytes)?;
    let names = archive.names()?;
    refuse_programs(&names)?;
    let found: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix("data.pkl")).collect();
    let root = match found[..] {
        [root] => root,
        [] => return Err(broken(format!("it holds no data.pkl but {}", names.join(", ")))),
        _ => return Err(broken(format!("expected one data.pkl, it holds {}", names.join(", ")))),
    };
    let order = format!("{root}byteorder");
    if names.contains(&order) && archive.read(&order)? != b"little" {
        return Err(big_endian());
    }
    let program = archive.read(&format!("{root}data.pkl"))?;
    let (top, heap, _) = pickle::run(&program, &mut Torch::default())?;
    let mut storages = HashMap::new();
    let mut storage = |storage: &Storage| -> Result<Vec<u8>, Error> {
        archive.read(&format!("{root}data/{}", storage.key))
    };
    tensors(named(&heap, top)?, bytes.len(), |tensor| {
        let key = &tensor.storage.key;
        if !storages.contains_key(key) {
            storages.insert(key.clone(), storage(&tensor.storage)?);
        }
        Ok(tensor.data(&storages[key]))
    })
}

/// The first number of a file from before the zips.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i64 = 1001;

fn legacy(bytes: &[u8]) -> Result<Tensors, Error> {
    let mut rest = bytes;
    let mut maker = Torch::default();
    let mut next = |maker: &mut Torch| {
        let (top, heap, length) = pickle::run(rest, maker)?;
        rest = &rest[length..];
        Ok::<_, Error>((top, heap, rest))
    };
    let (top, heap, _) = next(&mut maker)?;
    if !matches!(heap.get(top), Object::Long(number) if **number == MAGIC) {
        return Err(broken("it begins neither as a zip nor with PyTorch's magic number"));
    }
    let (top, heap, _) = next(&mut maker)?;
    if !matches!(heap.get(top), Object::Int(PROTOCOL)) {
        return Err(broken(format!("its protocol is not {PROTOCOL}")));
    }
    let (top, heap, _) = next(&mut maker)?;
    let Object::Dict(system) = heap.get(top) else {
        return Err(broken("it does not say on what machine it was written"));
    };
    let little = system.iter().find(|(key, _)| heap.text(*key) == Some("little_endian"));
    if !little.is_some_and(|(_, value)| matches!(heap.get(*value), Object::Bool(true))) {
        return Err(big_endian());
    }
    let (top, heap, _) = next(&mut maker)?;
    let known: HashMap<String, Storage> =
        maker.storages.drain(..).map(|storage| (storage.key.clone(), storage)).collect();
    let (list, keys, rest) = next(&mut maker)?;
    let storages = behind(list, &keys, rest, &known)?;
    tensors(named(&heap, top)?, bytes.len(), |tensor| {
        let storage = storages.get(tensor.storage.key.as_str());
        Ok(storage.and_then(|bytes| tensor.data(bytes)))
    })
}

/// The storages of the keys in `list`: each a count of 8 bytes, and its numbers.
fn behind<'a>(
    list: Id,
    keys: &Heap<Part>,
    mut rest: &'a [u8],
    known: &HashMap<String, Storage>,
) -> Result<HashMap<String, &'a [u8]>, Error> {
    let Object::List(list) = keys.get(list) else {
        return Err(broken("its storages have no list of keys"));
    };
    let mut storages = HashMap::new();
    for &key in list {
        let key = keys.text(key).ok_or_else(|| broken("the key of a storage is no text"))?;
        let storage = known.get(key).ok_or_else(|| broken(format!("no tensor uses '{key}'")))?;
        let cut = || broken(format!("the file ends inside the storage '{key}'"));
        let (count, behind) = rest.split_first_chunk().ok_or_else(cut)?;
        if usize::try_from(u64::from_le_bytes(*count)) != Ok(storage.count) {
            let problem = format!(
                "storage '{key}' has {} numbers, expected {}",
                u64::from_le_bytes(*count),
                storage.count
            );
            return Err(broken(problem));
        }
        let length = storage.count.checked_mul(storage.kind.size()).ok_or_else(cut)?;
        let (bytes, behind) = behind.split_at_checked(length).ok_or_else(cut)?;
        storages.insert(key.to_owned(), bytes);
        rest = behind;
    }
    if rest.is_empty() { Ok(storages) } else { Err(broken("there is more behind its storages")) }
}

/// What is in a state dict under a name: a tensor, or something that is none.
type Named<'a> = Vec<(String, Option<&'a Tensor>)>;

/// The entries of the state dict that the object at `top` is, or holds.
fn named(heap: &Heap<Part>, top: Id) -> Result<Named<'_>, Error> {
    let Object::Dict(entries) = heap.get(top) else {
        return Err(no_state_dict("it holds no dict"));
    };
    let mut seen = HashSet::new();
    let dicts = entries.iter().filter(|(_, value)| matches!(heap.get(*value), Object::Dict(_)));
    for (_, dict) in dicts {
        if !seen.insert(*dict) {
            return Err(broken("two keys of its dict hold one dict"));
        }
    }
    let inner: Vec<(&str, &[(Id, Id)])> = entries
        .iter()
        .filter_map(|&(key, value)| Some((heap.text(key)?, state_dict(heap, value)?)))
        .collect();
    let itself = has_tensors(heap, entries);
    if !itself && inner.is_empty() {
        let keys: Vec<&str> =
            entries.iter().filter_map(|&(key, _)| heap.text(key)).take(40).collect();
        let found = if keys.is_empty() { "nothing".into() } else { keys.join(", ") };
        return Err(no_state_dict(&format!("no dict of tensors is in it; it holds {found}")));
    }
    let mut found = Vec::new();
    let mut add = |prefix: &str, key: Id, value: Id| {
        let key = heap.text(key);
        let key = key.ok_or_else(|| broken("a key of its state dict is no text"))?;
        found.push((format!("{prefix}{key}"), tensor(heap, value)));
        Ok::<_, Error>(())
    };
    for (outer, entries) in &inner {
        let alone = inner.len() == 1 && !itself;
        let prefix = if alone { String::new() } else { format!("{outer}.") };
        entries.iter().try_for_each(|&(key, value)| add(&prefix, key, value))?;
    }
    // Beside state dicts stands what training needs; in a state dict everything counts.
    for &(key, value) in entries.iter().filter(|_| itself) {
        if state_dict(heap, value).is_none() {
            add("", key, value)?;
        }
    }
    Ok(found)
}

fn tensor(heap: &Heap<Part>, id: Id) -> Option<&Tensor> {
    let Object::Made(part) = heap.get(id) else { return None };
    match &**part {
        Part::Tensor(tensor) => Some(tensor),
        // Of a tensor, whatever made it.
        Part::Parameter(data) => match heap.get(*data) {
            Object::Made(part) => match &**part {
                Part::Tensor(tensor) => Some(tensor),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn has_tensors(heap: &Heap<Part>, entries: &[(Id, Id)]) -> bool {
    entries.iter().any(|&(_, value)| tensor(heap, value).is_some())
}

/// The entries of a dict that holds tensors.
fn state_dict(heap: &Heap<Part>, id: Id) -> Option<&[(Id, Id)]> {
    match heap.get(id) {
        Object::Dict(entries) if has_tensors(heap, entries) => Some(entries),
        _ => None,
    }
}

/// Reads the tensors, which may have `left` numbers: an expanded one has more than its storage.
fn tensors(
    named: Named<'_>,
    mut left: usize,
    mut read: impl FnMut(&Tensor) -> Result<Option<Data>, Error>,
) -> Result<Tensors, Error> {
    let mut tensors = Tensors::default();
    for (name, tensor) in named {
        let Some(tensor) = tensor else {
            tensors.insert(name, Vec::new(), Data::Other("no tensor".into()))?;
            continue;
        };
        let shape = tensor.shape.clone();
        let outside = || {
            let Storage { key, count, .. } = &tensor.storage;
            let view = format!("tensor '{name}' {shape:?} is not inside its storage");
            broken(format!("{view} '{key}' of {count} numbers, or that is not whole"))
        };
        let count = tensor.count().ok_or_else(outside)?;
        left = left.checked_sub(count).ok_or_else(|| {
            let problem = "its tensors have more numbers than the file has bytes";
            broken(format!("tensor '{name}' {shape:?}: {problem}"))
        })?;
        let data = read(tensor)?.ok_or_else(outside)?;
        tensors.insert(name, shape, data)?;
    }
    Ok(tensors)
}

fn no_state_dict(found: &str) -> Error {
    Error::Unsupported {
        what: format!("a PyTorch file without a state dict ({found})"),
        advice: "save torch.save(module.state_dict(), \"weights.pt\")".into(),
    }
}
