//! `.npz`: a zip of NumPy arrays.

use std::io::{Cursor, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::npy::{self, NpyArray};
use super::zip::Archive;
use crate::{Array, Error};

/// Reads an `.npz` file: its arrays with their names, in the order of the file.
///
/// # Errors
///
/// If the file cannot be read, is damaged, or holds anything but arrays of numbers.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<(String, NpyArray)>, Error> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

/// Writes named arrays: stored, in this order, always the same bytes.
///
/// # Errors
///
/// If two arrays have one name, or the file cannot be written.
pub fn write(path: impl AsRef<Path>, arrays: &[(String, Array)]) -> Result<(), Error> {
    let path = path.as_ref();
    let bytes = encode(arrays).map_err(|error| error.in_file(path))?;
    std::fs::write(path, bytes).map_err(|source| Error::Io { path: path.into(), source })
}

/// Reads the bytes of an `.npz` file.
///
/// # Errors
///
/// If they are damaged, or hold anything but arrays of numbers.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, NpyArray)>, Error> {
    let mut archive = Archive::open(bytes)?;
    let names = archive.names()?;
    names
        .iter()
        .map(|member| {
            let name = member.strip_suffix(".npy").ok_or_else(|| Error::Format {
                container: "npz".into(),
                problem: format!("member '{member}' is no array"),
            })?;
            let array = npy::parse(&archive.read(member)?).map_err(|error| Error::Format {
                container: format!("array '{name}'"),
                problem: error.to_string(),
            })?;
            Ok((name.to_owned(), array))
        })
        .collect()
}

/// The bytes of an `.npz` file.
///
/// # Errors
///
/// If two arrays have one name.
pub fn encode(arrays: &[(String, Array)]) -> Result<Vec<u8>, Error> {
    let broken = |problem: String| Error::Format { container: "npz".into(), problem };
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (index, (name, array)) in arrays.iter().enumerate() {
        if arrays[..index].iter().any(|(other, _)| other == name) {
            return Err(Error::DuplicateName { what: "array", name: name.clone() });
        }
        let bytes = npy::encode(array);
        let options = options.large_file(u32::try_from(bytes.len()).is_err());
        writer
            .start_file(format!("{name}.npy"), options)
            .map_err(|error| broken(error.to_string()))?;
        writer.write_all(&bytes).map_err(|error| broken(error.to_string()))?;
    }
    Ok(writer.finish().map_err(|error| broken(error.to_string()))?.into_inner())
}
