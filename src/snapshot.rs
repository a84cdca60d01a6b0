//! States in files: what a run takes and gives, in a container that knows nothing of runs.

use std::path::Path;

use crate::load::npz;
use crate::{Error, State};

impl State {
    /// Writes the arrays to an `.npz` file under their names, every bit of them.
    ///
    /// # Errors
    ///
    /// If two arrays have one name, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        npz::write(path, self.arrays())
    }

    /// Reads the arrays of an `.npz` file. Whether they fit is found out by whoever takes them, such
    /// as [`Session::set_state`](crate::Session::set_state).
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is damaged, or holds numbers that are not float32: others would
    /// have to be rounded.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut arrays = Vec::new();
        for (name, read) in npz::read(path)? {
            let is_f32 = read.cast_from.is_none() && read.array.as_f32().is_some();
            if !is_f32 {
                let error = Error::Shape {
                    what: format!("state '{name}'"),
                    expected: "float32 (save it as that)".into(),
                    found: read.cast_from.unwrap_or_else(|| "int32".into()),
                };
                return Err(error.in_file(path));
            }
            arrays.push((name, read.array));
        }
        Ok(Self::from_arrays(arrays))
    }
}
