//! What a file is: by its extension, or by its first bytes.

use std::path::{Path, PathBuf};

#[cfg(any(feature = "npz", feature = "keras", feature = "pytorch"))]
use super::container::zip::Archive;
use crate::Error;

/// How a PyTorch file from before the zips begins: a pickle of a magic number.
const LEGACY_TORCH: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc";

const SAVED_MODEL: Kind =
    Kind::Refused("a TensorFlow SavedModel", "open it in Keras and save it as `.keras`");

/// What a file is, by its extension, or by its first bytes.
pub(super) enum Kind {
    Keras,
    Hdf5,
    /// The index of weights of Keras in several files, at this path.
    #[cfg_attr(
        not(all(feature = "keras", any(feature = "safetensors", feature = "audio"))),
        allow(dead_code, reason = "nobody looks there")
    )]
    Shards(PathBuf),
    Onnx,
    Safetensors,
    Torch,
    Npz,
    /// A model of an audio plugin, or tensors as text.
    Json,
    /// Known, and not read here.
    Refused(&'static str, &'static str),
    Unknown,
}

impl Kind {
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Self {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "keras" => Self::Keras,
            "safetensors" => Self::Safetensors,
            "npz" => Self::Npz,
            "json" if is_index(path, bytes) => Self::Shards(path.to_owned()),
            "json" | "nam" => Self::Json,
            "h5" | "hdf5" => Self::Hdf5,
            "pt" | "pth" | "ckpt" | "bin" | "pt2" => Self::Torch,
            "onnx" => Self::Onnx,
            "pb" => SAVED_MODEL,
            _ if bytes.starts_with(b"PK\x03\x04") => Self::of_zip(bytes),
            _ if is_json(bytes) => Self::Json,
            _ if bytes.get(8) == Some(&b'{') => Self::Safetensors,
            _ if bytes.starts_with(b"\x89HDF\r\n") => Self::Hdf5,
            _ if bytes.starts_with(LEGACY_TORCH) => Self::Torch,
            // The first field of an ONNX file is its version, a small number.
            _ if bytes.first() == Some(&8) => Self::Onnx,
            _ => Self::Unknown,
        }
    }

    /// What a folder is, by what is in it.
    pub(super) fn of_folder(path: &Path) -> Self {
        if path.join("saved_model.pb").is_file() {
            return SAVED_MODEL;
        }
        Self::Refused("a folder", "give the file of a model that is in it")
    }

    /// What a zip is, by the names of its members; one that cannot be opened is a `.keras` file, whose
    /// reader says why.
    #[cfg(any(feature = "npz", feature = "keras", feature = "pytorch"))]
    fn of_zip(bytes: &[u8]) -> Self {
        let names = Archive::open(bytes).and_then(|archive| archive.names()).unwrap_or_default();
        let some = |end: &str| names.iter().any(|name| name.ends_with(end));
        if some("/data.pkl") {
            Self::Torch
        } else if some(".npy") && !some("config.json") {
            Self::Npz
        } else {
            Self::Keras
        }
    }

    #[cfg(not(any(feature = "npz", feature = "keras", feature = "pytorch")))]
    fn of_zip(_bytes: &[u8]) -> Self {
        Self::Keras
    }

    /// The error that such a file is not read.
    pub(super) fn refused(&self) -> Error {
        let (what, advice) = match self {
            Self::Keras | Self::Hdf5 | Self::Shards(_) => {
                ("a file of Keras", "build ritornello with the feature `keras`")
            }
            Self::Onnx => ("an ONNX file", "build ritornello with the feature `onnx`"),
            Self::Safetensors => {
                ("a .safetensors file", "build ritornello with the feature `safetensors`")
            }
            Self::Torch => ("a PyTorch file", "build ritornello with the feature `pytorch`"),
            Self::Npz if cfg!(feature = "npz") => (
                "an .npz file by itself",
                "say with a spec which layers its arrays belong to \
                 (load_with_spec, or --spec SPEC.json)",
            ),
            Self::Npz => ("an .npz file", "build ritornello with the feature `npz`"),
            Self::Json => ("JSON", "build ritornello with the feature `audio`"),
            Self::Refused(what, advice) => (*what, *advice),
            Self::Unknown => (
                "a file that looks like nothing known",
                "give a .keras, .h5, .onnx or .safetensors file, or JSON of RTNeural, AIDA-X, GuitarML or NAM",
            ),
        };
        Error::Unsupported { what: what.into(), advice: advice.into() }
    }
}

/// Whether a JSON file is named as Keras names an index of weights, and says where they are.
fn is_index(path: &Path, bytes: &[u8]) -> bool {
    const MAP: &[u8] = b"\"weight_map\"";
    let stem = path.file_stem().map(Path::new).and_then(Path::extension);
    stem.is_some_and(|stem| stem == "weights") && bytes.windows(MAP.len()).any(|part| part == MAP)
}

/// Whether a file begins like a JSON object: a safetensors file that has a `{` so early has zeros among
/// its first eight bytes, the length of its header.
fn is_json(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'{') && !text.iter().take(8).any(|&byte| byte == 0)
}
