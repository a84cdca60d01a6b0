//! The C interface of ritornello: `libritornello` and `ritornello.h`.
//!
//! The text of these items is that of the header, which cbindgen writes from them; so it is
//! Doxygen's. Every function checks its pointers as far as that can be told, catches panics, and
//! gives a status whose message waits in [`rit_last_error`].

#![allow(
    clippy::doc_markdown,
    clippy::missing_safety_doc,
    reason = "the text is the header's, where Doxygen finds names, and which says once what pointers \
              must be"
)]

mod claim;
mod failure;
mod handle;
mod pointer;

mod status;
mod version;
mod model;
mod options;
mod plan;
mod session;
mod run;
mod state;

pub use model::*;
pub use options::*;
pub use plan::*;
pub use run::*;
pub use session::*;
pub use state::*;
pub use status::*;
pub use version::*;
