//! Numbers of ONNX tensors that stand in files of their own, in the folder of the file with the graph.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::beside::Folder;
use super::onnx::{Content, Graph, Tensor};
use crate::Error;

/// What a tensor says of where its numbers are: keys and values.
pub(super) type Entries<'a> = Vec<(&'a str, &'a str)>;

/// A file of numbers.
struct Numbers {
    file: File,
    length: u64,
    /// Bytes that no tensor has taken yet.
    left: u64,
}

/// The folder of a file, and the files in it that were opened.
struct Files {
    folder: Folder,
    opened: HashMap<PathBuf, Numbers>,
}

/// Reads the numbers of all tensors that are in files beside the one at `path`, and says how many bytes
/// they are.
///
/// Only files in the same folder, or in folders in it, are opened. No more is read than they hold, and
/// each byte for one tensor.
pub(crate) fn attach(graph: &mut Graph<'_>, path: &Path) -> Result<usize, Error> {
    let (mut files, mut bytes) = (None, 0);
    let mut graphs = vec![graph];
    while let Some(graph) = graphs.pop() {
        let values = graph.nodes.iter_mut().flat_map(|node| &mut node.attributes);
        let mut tensors: Vec<&mut Tensor<'_>> = graph.initializers.iter_mut().collect();
        for attribute in values {
            match &mut attribute.value {
                Content::Tensor(tensor) => tensors.push(tensor),
                Content::Graph(inner) => graphs.push(inner),
                _ => {}
            }
        }
        for tensor in tensors {
            let Some(entries) = tensor.external.take() else { continue };
            let files = match &mut files {
                Some(files) => files,
                none => none.insert(Files { folder: Folder::of(path)?, opened: HashMap::new() }),
            };
            let raw = files.read(tensor, &entries)?;
            bytes += raw.len();
            tensor.raw = Some(Cow::Owned(raw));
        }
    }
    Ok(bytes)
}

impl Files {
    fn read(&mut self, tensor: &Tensor<'_>, entries: &Entries<'_>) -> Result<Vec<u8>, Error> {
        let broken = |problem: String| Error::Format {
            container: format!("ONNX: tensor '{}'", tensor.name),
            problem,
        };
        if tensor.has_numbers() {
            return Err(broken("its numbers are in the file and in another one".into()));
        }
        let (mut location, mut offset, mut length) = (None, None, None);
        for &(key, value) in entries {
            let slot = match key {
                "location" => &mut location,
                "offset" => &mut offset,
                "length" => &mut length,
                other => {
                    return Err(Error::Unsupported {
                        what: format!("'{other}' of the tensor '{}' in another file", tensor.name),
                        advice: "location, offset and length are read: save the model anew with \
                                 onnx.save"
                            .into(),
                    });
                }
            };
            if slot.replace(value).is_some() {
                return Err(broken(format!("it says its {key} twice")));
            }
        }
        let location = location.ok_or_else(|| broken("it does not say in which file".into()))?;
        let number = |text: Option<&str>, what: &str| {
            let number = text.map(str::parse::<u64>).transpose();
            number.map_err(|_| broken(format!("its {what} {text:?} is no number of bytes")))
        };
        let offset = number(offset, "offset")?.unwrap_or(0);
        let length = number(length, "length")?;
        let path = self.folder.file(location)?.ok_or_else(|| Error::Unsupported {
            what: format!(
                "tensor '{}', whose numbers are in '{location}', outside of the folder of the model",
                tensor.name
            ),
            advice: "put that file beside the model, and name it without folders: \
                     onnx.save(onnx.load(\"model.onnx\"), \"one-file.onnx\") joins them"
                .into(),
        })?;
        let numbers = match self.opened.entry(path.clone()) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => free.insert(Numbers::open(&path)?),
        };
        let rest = numbers.length.checked_sub(offset);
        let length = length.or(rest);
        let Some(length) = length.filter(|&length| rest.is_some_and(|rest| length <= rest)) else {
            return Err(broken(format!(
                "{} bytes from {offset} of '{location}', which has {}",
                length.map_or_else(|| "all".into(), |length| length.to_string()),
                numbers.length
            )));
        };
        let (Some(left), Ok(size)) = (numbers.left.checked_sub(length), usize::try_from(length))
        else {
            return Err(broken(format!("tensors take more than all of '{location}'")));
        };
        numbers.left = left;
        let mut raw = vec![0; size];
        let read = numbers
            .file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| numbers.file.read_exact(&mut raw));
        read.map_err(|source| Error::Io { path, source })?;
        Ok(raw)
    }
}

impl Numbers {
    fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: path.into(), source };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok(Self { file, length, left: length })
    }
}
