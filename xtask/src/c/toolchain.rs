//! The C side's tools: which there are, and how they are called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::output;
use crate::shell;

/// Everything that must hold of what is compiled.
const STRICT: [&str; 3] = ["-Wall", "-Wextra", "-Werror"];

/// A folder for programs, and the library that they are linked to.
pub(super) struct Toolchain<'a> {
    pub(super) prefix: &'a Path,
    pub(super) build: PathBuf,
}

/// How a program is linked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Linked {
    /// To the shared library.
    Shared,
    /// To the shared library, with the checks of AddressSanitizer.
    Checked,
    /// With the static library inside.
    Static,
}

/// Whether a program is found.
pub(super) fn exists(program: &str) -> bool {
    output(Command::new(program).arg("--version")).is_ok()
}

impl Toolchain<'_> {
    /// What pkg-config says.
    fn pkg_config(&self, words: &[&str]) -> Result<Vec<String>, String> {
        let mut command = Command::new("pkg-config");
        command.args(words).arg("ritornello").env("PKG_CONFIG_PATH", self.pkg_config_path());
        Ok(output(&mut command)?.split_whitespace().map(str::to_owned).collect())
    }

    pub(super) fn pkg_config_path(&self) -> PathBuf {
        self.prefix.join("lib/pkgconfig")
    }

    /// Compiles sources, C or C++ by the first one's name, as strictly as can be; gives the program.
    pub(super) fn compile(
        &self,
        name: &str,
        sources: &[PathBuf],
        linked: Linked,
    ) -> Result<PathBuf, String> {
        let is_c = sources.first().and_then(|path| path.extension()).is_some_and(|e| e == "c");
        let (compiler, standard) = if is_c { ("cc", "-std=c99") } else { ("c++", "-std=c++17") };
        let program = self.build.join(name);
        let mut command = Command::new(compiler);
        command.arg(standard).args(STRICT).arg("-pedantic").args(["-O1", "-g"]);
        command.args(self.pkg_config(&["--cflags"])?).args(sources).arg("-o").arg(&program);
        match linked {
            Linked::Shared => command.args(self.pkg_config(&["--libs"])?),
            Linked::Checked => {
                command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
                command.args(self.pkg_config(&["--libs"])?)
            }
            Linked::Static => {
                let private = self.pkg_config(&["--static", "--libs-only-l"])?;
                let archive = self.prefix.join("lib/libritornello.a");
                command.arg(archive).args(private.iter().filter(|word| *word != "-lritornello"))
            }
        };
        command.args(["-lm", "-ldl", "-lpthread"]);
        shell(&mut command)?;
        Ok(program)
    }

    /// A command that finds the shared library where it was installed.
    pub(super) fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.env("LD_LIBRARY_PATH", self.prefix.join("lib"));
        command
    }
}
