//! Where files of a race lie: shared objects, Python, and the row's files for the others.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::case::Case;
use crate::grid::Signal;
use crate::onnx;

/// What the rivals need from outside, as run.sh sets it up.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// `libpeer-NAME.so`, built from `shims/`.
    pub(crate) shims: PathBuf,
    /// The interpreter of the environment with PyTorch, OpenVINO, Keras and ONNX Runtime.
    pub(crate) python: PathBuf,
    /// `peers.py`.
    pub(crate) script: PathBuf,
    /// The row's files.
    pub(crate) scratch: PathBuf,
}

impl Places {
    /// ONNX Runtime's shared library inside the Python environment.
    pub(crate) fn onnxruntime(&self) -> Option<PathBuf> {
        let lib = self.python.parent()?.parent()?.join("lib");
        let packages = entries(&lib).into_iter().map(|p| p.join("site-packages/onnxruntime/capi"));
        let files = packages.flat_map(|folder| entries(&folder));
        files.into_iter().find(|file| name(file).starts_with("libonnxruntime.so"))
    }

    /// The network of the row, for those that read ONNX.
    pub(crate) fn model(&self) -> PathBuf {
        self.scratch.join("model.onnx")
    }

    /// Writes the files of a row, over those of the row before.
    pub(crate) fn write(&self, case: &Case) -> io::Result<()> {
        fs::create_dir_all(&self.scratch)?;
        let file = |name: &str| self.scratch.join(name);
        fs::write(self.model(), onnx::model(case))?;
        fs::write(file("weights.f32"), onnx::bytes(&case.flat_weights()))?;
        fs::write(file("x.f32"), onnx::bytes(&case.x))?;
        if case.shape.signal == Signal::Decay {
            fs::write(file("hidden.f32"), onnx::bytes(&case.hidden))?;
            fs::write(file("cell.f32"), onnx::bytes(&case.cell))?;
        }
        Ok(())
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        // Files that stay behind in a scratch folder are no reason to fail.
        let _ = fs::remove_dir_all(&self.0.scratch);
    }
}

/// A row's files, while they are needed.
pub(crate) struct Row<'a>(&'a Places);

impl<'a> Row<'a> {
    /// Writes them.
    pub(crate) fn new(places: &'a Places, case: &Case) -> io::Result<Self> {
        places.write(case)?;
        Ok(Self(places))
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
