//! Files that a file names: those in its own folder, and in folders in it.

use std::path::{Component, Path, PathBuf};

use crate::Error;

/// The folder of a file.
pub(in crate::load) struct Folder(PathBuf);

impl Folder {
    /// That of the file at `path`.
    pub(in crate::load) fn of(path: &Path) -> Result<Self, Error> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let found = parent.canonicalize();
        found.map(Self).map_err(|source| Error::Io { path: parent.into(), source })
    }

    /// Where a file of this name is; nowhere, if the name or a link leads out of the folder.
    pub(in crate::load) fn file(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !plain {
            return Ok(None);
        }
        let path = self.0.join(name);
        let failed = |source| Error::Io { path: path.clone(), source };
        let found = path.canonicalize().map_err(failed)?;
        if !found.starts_with(&self.0) {
            return Ok(None);
        }
        // What is no file, such as a pipe, may wait for ever.
        if !found.is_file() {
            return Err(failed(std::io::Error::other("it is no file")));
        }
        Ok(Some(found))
    }
}
