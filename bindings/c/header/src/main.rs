//! Prints the header of the C interface, from the sources beside it.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match header(&here) {
        Ok(bindings) => {
            bindings.write(std::io::stdout());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("ritornello-header: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn header(folder: &Path) -> Result<cbindgen::Bindings, String> {
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml"))?;
    // In the order in which a reader needs them.
    let sources = ["version", "status", "model", "options", "plan", "session", "run", "state"];
    let builder = sources.iter().fold(cbindgen::Builder::new(), |builder, source| {
        builder.with_src(folder.join("src").join(format!("{source}.rs")))
    });
    builder.with_config(config).generate().map_err(|reason| reason.to_string())
}
