//! One file for each contestant.

#[cfg(feature = "burn")]
mod burn;
#[cfg(feature = "candle")]
mod candle;
mod foreign;
mod loops;
mod matmul;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod ours;
mod python;
#[cfg(feature = "rten")]
mod rten;
#[cfg(feature = "tract")]
mod tract;

pub(crate) use ours::level;

use crate::contest::Rival;
use crate::scratch::Places;

/// The name under which this library runs.
pub(crate) const OURS: &str = "ritornello";

/// Every contestant, this library first.
pub(crate) fn all(places: &Places) -> Vec<Box<dyn Rival>> {
    vec![
        Box::new(ours::Ours),
        #[cfg(feature = "onnxruntime")]
        Box::new(onnxruntime::OnnxRuntime::new(places)),
        Box::new(foreign::Foreign::new("onednn", places)),
        Box::new(foreign::Foreign::new("onednn-debian", places)),
        Box::new(foreign::Foreign::new("eigen", places)),
        #[cfg(feature = "rten")]
        Box::new(rten::Rten::new(places)),
        #[cfg(feature = "tract")]
        Box::new(tract::Tract::new(places)),
        #[cfg(feature = "candle")]
        Box::new(candle::Candle),
        #[cfg(feature = "burn")]
        Box::new(burn::Burn),
        Box::new(python::Python::new("pytorch", places)),
        Box::new(python::Python::new("openvino", places)),
        Box::new(python::Python::new("keras-xla", places)),
        Box::new(loops::Loops::matrixmultiply()),
        Box::new(loops::Loops::plain()),
    ]
}

/// The version of a crate that this workspace's lock file fixes.
fn locked(package: &str) -> Result<String, String> {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let versions: Vec<&str> = LOCK
        .split("[[package]]")
        .filter(|entry| entry.contains(&format!("\nname = \"{package}\"\n")))
        .filter_map(|entry| entry.split("version = \"").nth(1)?.split('"').next())
        .collect();
    if versions.is_empty() { Err("not in the lock file".into()) } else { Ok(versions.join(", ")) }
}
