//! Zip archives: named members, stored or deflated.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::Error;

/// An archive in memory.
pub(crate) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Bytes that may still be read.
    left: u64,
}

/// How many times the archive's own length is read of a model: configurations repeat themselves,
/// weights do not.
#[cfg(any(feature = "keras", feature = "pytorch"))]
const MOST: u64 = 64;

impl<'a> Archive<'a> {
    /// Reads the table of contents.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        // Members that share bytes could make a small file grow without bound.
        if zip.has_overlapping_files().map_err(broken)? {
            return Err(broken("its members overlap"));
        }
        Ok(Self { zip, left: u64::MAX })
    }

    /// The same for a model, which does not unpack to much more than the archive.
    #[cfg(any(feature = "keras", feature = "pytorch"))]
    pub(crate) fn of_model(bytes: &'a [u8]) -> Result<Self, Error> {
        let left = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(MOST);
        Ok(Self { left, ..Self::open(bytes)? })
    }

    /// The members' names.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        self.zip.file_names().map(|name| Ok(name.map_err(broken)?.into_owned())).collect()
    }

    /// A member's bytes, checked against its checksum.
    pub(crate) fn read(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        let inside = |problem: String| broken(format!("member '{name}': {problem}"));
        let member = self.zip.by_name(name).map_err(|error| inside(error.to_string()))?;
        // The size is a claim: it bounds what is read, and nothing is allocated for it.
        let claimed = member.size();
        let Some(left) = self.left.checked_sub(claimed) else {
            return Err(inside(format!(
                "it unpacks to {claimed} bytes, which is many times the file's; store it without \
                 compression if that is right"
            )));
        };
        self.left = left;
        let mut bytes = Vec::new();
        member
            .take(claimed.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| inside(error.to_string()))?;
        if u64::try_from(bytes.len()) != Ok(claimed) {
            return Err(inside(format!("it has {} bytes, not {claimed} as it says", bytes.len())));
        }
        Ok(bytes)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err as it is")]
fn broken(problem: impl ToString) -> Error {
    Error::Format { container: "zip".into(), problem: problem.to_string() }
}
