//! What is tried with the installed library. What a machine lacks the tools for is said, not passed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::toolchain::{Linked, Toolchain, exists};
use super::{CRATE, copy, npz, output, read, write};
use crate::{python, shell};

/// The documents whose programs in C and C++ are compiled and run.
const DOCUMENTS: [&str; 4] =
    ["README.md", "bindings/c/README.md", "docs/from-rtneural.md", "docs/from-onnxruntime-c.md"];

/// Without these nothing can be tried.
const TOOLS: [&str; 6] = ["cc", "c++", "make", "pkg-config", "nm", "readelf"];

/// A model of one input and one output of one number each, with its case.
const MONO: &str = "tests/fixtures/mono-lstm";

/// Everything in order; the first that fails ends it.
pub(super) fn run(root: &Path, folder: &Path, prefix: &Path) -> Result<(), String> {
    if let Some(tool) = TOOLS.iter().find(|tool| !exists(tool)) {
        return Err(format!("c: there is no {tool}; needed are {}", TOOLS.join(", ")));
    }
    let build = folder.join("build");
    std::fs::create_dir_all(&build).map_err(|reason| format!("{}: {reason}", build.display()))?;
    let trials = Trials { root, tools: Toolchain { prefix, build }, missing: Vec::new() };
    trials.all()
}

struct Trials<'a> {
    root: &'a Path,
    tools: Toolchain<'a>,
    /// What was not run, and why.
    missing: Vec<String>,
}

impl Trials<'_> {
    fn all(mut self) -> Result<(), String> {
        self.symbols()?;
        self.make()?;
        self.cmake()?;
        self.promises()?;
        self.misuse()?;
        self.plugin()?;
        self.documents()?;
        for missing in &self.missing {
            eprintln!("c: not run: {missing}");
        }
        eprintln!("c: all else passed");
        Ok(())
    }

    fn native(&self, name: &str) -> PathBuf {
        self.root.join(CRATE).join("tests/native").join(name)
    }

    fn fixture(&self, name: &str, file: &str) -> PathBuf {
        self.root.join("tests/fixtures").join(name).join(file)
    }

    fn mono(&self) -> PathBuf {
        self.root.join(MONO).join("model.keras")
    }

    /// The shared library has its name, and shows nothing but the header's functions.
    fn symbols(&mut self) -> Result<(), String> {
        let library = self.tools.prefix.join("lib/libritornello.so");
        let header = read(&self.tools.prefix.join("include/ritornello.h"))?;
        let shown = output(Command::new("nm").args(["-D", "--defined-only"]).arg(&library))?;
        let shown: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').nth(2)).collect();
        let strange = shown.iter().find(|name| !header.contains(&format!("{name}(")));
        if let Some(name) = strange {
            return Err(format!("c: the library shows '{name}', which the header has not"));
        }
        if shown.is_empty() {
            return Err("c: the library shows nothing".into());
        }
        let dynamic = output(Command::new("readelf").arg("-d").arg(&library))?;
        let soname = dynamic.split("Library soname: [").nth(1).and_then(|s| s.split(']').next());
        let real = std::fs::read_link(&library).map_err(|reason| format!("c: {reason}"))?;
        if soname.map(Path::new) != Some(&real) {
            return Err(format!("c: the soname is {soname:?}, the link is to {}", real.display()));
        }
        Ok(())
    }

    /// The examples, by pkg-config and make.
    fn make(&mut self) -> Result<(), String> {
        let build = self.tools.build.join("make");
        let mut make = Command::new("make");
        make.arg("-C").arg(self.root.join(CRATE).join("examples"));
        make.arg(format!("BUILD={}", build.display()));
        shell(make.env("PKG_CONFIG_PATH", self.tools.pkg_config_path()))?;
        self.examples(&build)
    }

    /// The examples, by CMake's `find_package`.
    fn cmake(&mut self) -> Result<(), String> {
        let ours = || python::program(self.root, "cmake");
        let Some(cmake) = exists("cmake").then(|| "cmake".into()).or_else(ours) else {
            self.missing.push("the CMake project: there is no cmake".into());
            return Ok(());
        };
        let build = self.tools.build.join("cmake");
        let mut configure = Command::new(&cmake);
        configure.arg("-S").arg(self.root.join(CRATE).join("examples")).arg("-B").arg(&build);
        configure.arg(format!("-DCMAKE_PREFIX_PATH={}", self.tools.prefix.display()));
        shell(&mut configure)?;
        shell(Command::new(&cmake).arg("--build").arg(&build))?;
        self.examples(&build)
    }

    fn examples(&self, build: &Path) -> Result<(), String> {
        for program in ["run_c", "run_cpp"] {
            for fixture in ["mono-lstm", "lstm-sequence"] {
                let model = self.fixture(fixture, "model.keras");
                shell(Command::new(build.join(program)).arg(model).arg("300"))?;
            }
        }
        self.golden(Command::new(build.join("plugin")))
    }

    /// Real-time calls neither allocate nor lock, of the shared and of the static library.
    fn promises(&mut self) -> Result<(), String> {
        let sources = [self.native("promises.c"), self.native("counting.c")];
        let folder = self.root.join("tests/fixtures");
        let listed = std::fs::read_dir(&folder).map_err(|reason| format!("c: {reason}"))?;
        let names = ["model.keras", "model.json", "model.nam"];
        let folders = listed.filter_map(|entry| Some(entry.ok()?.path()));
        let models = folders.flat_map(|folder| names.map(|name| folder.join(name)));
        let mut models: Vec<PathBuf> = models.filter(|model| model.is_file()).collect();
        models.sort();
        for (name, linked) in [("promises", Linked::Shared), ("promises_static", Linked::Static)] {
            let program = self.tools.compile(name, &sources, linked)?;
            eprint!("{}", output(self.tools.command(program).args(&models))?);
        }
        Ok(())
    }

    /// Whatever C can get wrong; under checkers of memory where there are.
    fn misuse(&mut self) -> Result<(), String> {
        let spec = "torch-rnn-relu-2-layers";
        let words =
            [self.mono(), self.fixture(spec, "model.safetensors"), self.fixture(spec, "spec.json")];
        let source = [self.native("misuse.c")];
        let program = self.tools.compile("misuse", &source, Linked::Shared)?;
        shell(self.tools.command(&program).args(&words))?;
        shell(self.tools.command(&program).arg("--freed").arg(self.mono()))?;
        match self.tools.compile("misuse_checked", &source, Linked::Checked) {
            Ok(checked) => {
                let mut command = self.tools.command(checked);
                command.env("ASAN_OPTIONS", "allocator_may_return_null=1");
                shell(command.args(&words))?;
            }
            Err(problem) => self.missing.push(format!("misuse with AddressSanitizer: {problem}")),
        }
        if !exists("valgrind") {
            self.missing.push("misuse under valgrind: there is none".into());
            return Ok(());
        }
        let mut command = self.tools.command("valgrind");
        command.args(["-q", "--error-exitcode=9", "--leak-check=full", "--fair-sched=yes"]);
        shell(command.arg(program).args(&words))
    }

    /// A plugin's blocks, against goldens, with its times.
    fn plugin(&mut self) -> Result<(), String> {
        let source = [self.root.join(CRATE).join("examples/plugin.cpp")];
        for (name, linked) in [("plugin", Linked::Shared), ("plugin_checked", Linked::Checked)] {
            let program = self.tools.compile(name, &source, linked);
            match program {
                Ok(program) => self.golden(self.tools.command(program))?,
                Err(problem) if linked == Linked::Checked => {
                    self.missing.push(format!("the plugin with AddressSanitizer: {problem}"));
                }
                Err(problem) => return Err(problem),
            }
        }
        let Some(models) = std::env::var_os("RITORNELLO_MODELS").map(PathBuf::from) else {
            self.missing
                .push("the plugin with models of RTNeural: RITORNELLO_MODELS is unset".into());
            return Ok(());
        };
        let folder = models.join("rtneural");
        for name in ["lstm", "gru", "lstm_1d", "gru_1d", "lstm_torch", "gru_torch"] {
            let model = folder.join(format!("{name}.json"));
            if !model.is_file() {
                self.missing.push(format!("the plugin with {}: no such file", model.display()));
                continue;
            }
            let mut command = self.tools.command(self.tools.build.join("plugin"));
            command.arg(model).arg(folder.join(format!("{name}_x.csv")));
            shell(command.arg(folder.join(format!("{name}_y.csv"))))?;
        }
        Ok(())
    }

    /// The plugin on the fixture that Keras wrote.
    fn golden(&self, mut plugin: Command) -> Result<(), String> {
        let case = self.fixture("mono-lstm", "case.npz");
        let files = [("x.csv", "input.x"), ("y.csv", "output.y")];
        plugin.arg(self.mono());
        for (file, array) in files {
            let path = self.tools.build.join(file);
            write(&path, &npz::as_csv(&case, array)?)?;
            plugin.arg(path);
        }
        shell(&mut plugin)
    }

    /// Every program in the documents, as it is written, beside a file `model.keras`.
    fn documents(&mut self) -> Result<(), String> {
        for document in DOCUMENTS {
            let text = read(&self.root.join(document))?;
            let programs = programs(&text);
            if programs.is_empty() {
                return Err(format!("{document}: no program in C or C++"));
            }
            for (index, (extension, program)) in programs.into_iter().enumerate() {
                let name = document.replace(['/', '.'], "-");
                let folder = self.tools.build.join(format!("{name}-{index}"));
                let source = folder.join(format!("program.{extension}"));
                write(&source, program)?;
                copy(&self.mono(), &folder.join("model.keras"))?;
                let name = format!("{name}-{index}.run");
                let program = self.tools.compile(&name, &[source], Linked::Shared)?;
                shell(self.tools.command(program).current_dir(folder))?;
            }
        }
        Ok(())
    }
}

/// The fenced programs of a document, with the extension of their language.
fn programs(text: &str) -> Vec<(&'static str, &str)> {
    let mut programs = Vec::new();
    for (fence, extension) in [("\n```c\n", "c"), ("\n```cpp\n", "cpp")] {
        let blocks = text.split(fence).skip(1);
        programs.extend(blocks.filter_map(|block| Some((extension, block.split_once("\n```")?.0))));
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_between_fences() {
        let text = "a\n```c\nint main;\n```\nb\n```sh\nls\n```\n```cpp\nclass A;\nint b;\n```\n";
        assert_eq!(programs(text), [("c", "int main;"), ("cpp", "class A;\nint b;")]);
    }
}
