//! HDF5: a tree of groups and datasets, as far as Keras uses it.

use std::collections::{BTreeMap, HashSet};

use hdf5_reader::group::Group;
use hdf5_reader::messages::datatype::StringSize;
use hdf5_reader::{Datatype, Hdf5File, OpenOptions};

use super::half;
use crate::Error;
use crate::load::tensors::{Data, Tensors};

/// Keras nests a handful of groups; a file that goes deeper is broken.
const DEEPEST: usize = 64;

/// The longest path of a group; those of Keras are names of a few models inside each other.
const LONGEST: usize = 4096;

/// A file taken apart.
#[derive(Default)]
pub(crate) struct Contents {
    /// The datasets, by path: `layers/dense/vars/0`.
    pub(crate) tensors: Tensors,
    /// The attribute `name` of each group that has one, by path.
    pub(crate) names: BTreeMap<String, String>,
    /// The attribute `weight_names` of each group that has one, by path: paths of datasets.
    pub(crate) lists: BTreeMap<String, Vec<String>>,
    /// The attributes of the root that are texts, of those that are asked for.
    pub(crate) texts: BTreeMap<&'static str, String>,
}

/// The attributes of the root that are of use.
const TEXTS: [&str; 2] = ["model_config", "keras_version"];

/// Reads all groups and datasets but those under the groups of the root that are in `skip`.
pub(crate) fn parse(bytes: Vec<u8>, skip: &[&str]) -> Result<Contents, Error> {
    let available = bytes.len();
    // No object can be larger than the file it is in.
    let options = OpenOptions::default()
        .with_max_read_bytes(available)
        .with_max_chunk_bytes(available)
        .with_max_object_header_bytes(available)
        .with_chunk_cache_bytes(0);
    let file = Hdf5File::from_vec_with_options(bytes, options).map_err(|e| broken("/", e))?;
    let root = file.root_group().map_err(|e| broken("/", e))?;
    let mut walk = Walk {
        contents: Contents::default(),
        skip,
        seen: HashSet::new(),
        left: available,
        texts_left: available,
    };
    walk.group(&root, "", 0)?;
    Ok(walk.contents)
}

struct Walk<'a> {
    contents: Contents,
    skip: &'a [&'a str],
    /// Objects met so far: each has one place in a Keras file, and a loop would have no end.
    seen: HashSet<u64>,
    /// Bytes of values that the file can still hold.
    left: usize,
    /// Bytes of texts that it can still hold.
    texts_left: usize,
}

impl Walk<'_> {
    fn group(&mut self, group: &Group, path: &str, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST || !self.seen.insert(group.address()) {
            return Err(broken(path, "the group is inside itself or has two places"));
        }
        if path.len() > LONGEST {
            let start: String = path.chars().take(40).collect();
            return Err(broken(&start, "a path that begins so is too long"));
        }
        self.count_texts(group, path)?;
        for key in TEXTS.into_iter().filter(|_| depth == 0) {
            if let Ok(text) = group.attribute(key).and_then(|text| text.read_string()) {
                self.contents.texts.insert(key, text);
            }
        }
        if let Ok(name) = group.attribute("name").and_then(|name| name.read_string()) {
            self.contents.names.insert(path.to_owned(), name);
        }
        if let Some(names) = weight_names(group) {
            let paths = names.iter().map(|name| joined(path, name)).collect();
            self.contents.lists.insert(path.to_owned(), paths);
        }
        let (groups, datasets) = group.members().map_err(|e| broken(path, e))?;
        for dataset in datasets {
            let path = joined(path, dataset.name());
            self.dataset(&dataset, path)?;
        }
        for child in groups {
            if depth == 0 && self.skip.contains(&child.name()) {
                continue;
            }
            let path = joined(path, child.name());
            self.group(&child, &path, depth + 1)?;
        }
        Ok(())
    }

    /// Looks that the texts of attributes, which lie in heaps of the file, are not more than it has:
    /// many could be one.
    fn count_texts(&mut self, group: &Group, path: &str) -> Result<(), Error> {
        let (before, after) = (4, usize::from(group.offset_size()) + 4);
        for attribute in group.raw_attributes().map_err(|e| broken(path, e))? {
            let message = attribute.message();
            let in_heap = match &message.datatype {
                Datatype::VarLen { .. } => true,
                Datatype::String { size, .. } => *size == StringSize::Variable,
                _ => false,
            };
            // Each is a length and a place.
            let places = message.raw_data.chunks_exact(before + after).filter(|_| in_heap);
            for place in places {
                let length = place[..before].iter().rev().fold(0, |n, &b| n << 8 | usize::from(b));
                self.texts_left = self.texts_left.checked_sub(length).ok_or_else(|| {
                    broken(path, "its attributes need more bytes than the file has")
                })?;
            }
        }
        Ok(())
    }

    fn dataset(&mut self, dataset: &hdf5_reader::Dataset, path: String) -> Result<(), Error> {
        let inside = |problem| broken(&path, problem);
        if !self.seen.insert(dataset.address()) {
            return Err(broken(&path, "the dataset has two places"));
        }
        let shape: Vec<usize> = dataset
            .shape()
            .iter()
            .map(|&axis| usize::try_from(axis))
            .collect::<Result<_, _>>()
            .map_err(|_| broken(&path, format!("its shape is {:?}", dataset.shape())))?;
        let data = match dataset.dtype() {
            Datatype::FloatingPoint { size: size @ (2 | 4 | 8), .. } => {
                let claimed = dataset.raw_byte_len().map_err(inside)?;
                self.left = self.left.checked_sub(claimed).ok_or_else(|| {
                    broken(&path, format!("its shape {shape:?} needs more bytes than the file has"))
                })?;
                let bytes = dataset.read_native_bytes().map_err(inside)?;
                Data::F32(floats(&bytes, *size))
            }
            Datatype::FixedPoint { size, signed, .. } => Data::Other(format!(
                "{}int{}",
                if *signed { "" } else { "u" },
                8 * u32::from(*size)
            )),
            other => Data::Other(format!("{other:?}")),
        };
        self.contents.tensors.insert(path, shape, data)
    }
}

/// The attribute `weight_names`, which is split into `weight_names0`, `weight_names1`, ... where it
/// is long.
fn weight_names(group: &Group) -> Option<Vec<String>> {
    let read = |key: &str| {
        let attribute = group.attribute(key).ok()?;
        // An empty list has no strings to be one of.
        if attribute.num_elements().ok()? == 0 {
            Some(Vec::new())
        } else {
            attribute.read_strings().ok()
        }
    };
    if let Some(names) = read("weight_names") {
        return Some(names);
    }
    let mut names = read("weight_names0")?;
    for number in 1.. {
        match read(&format!("weight_names{number}")) {
            Some(more) => names.extend(more),
            None => break,
        }
    }
    Some(names)
}

/// Floating point numbers of `size` bytes, as f32.
fn floats(bytes: &[u8], size: u8) -> Vec<f32> {
    match size {
        2 => each(bytes, |b| half::from_f16(u16::from_ne_bytes(b))),
        4 => each(bytes, f32::from_ne_bytes),
        _ => each(bytes, |b| half::from_f64(f64::from_ne_bytes(b))),
    }
}

fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}/{name}") }
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err as it is")]
fn broken(path: &str, problem: impl ToString) -> Error {
    Error::Format { container: format!("HDF5 '{path}'"), problem: problem.to_string() }
}
