//! `cargo xtask rooms`: who may name whom, and what every file must be.

use std::path::Path;
use std::process::Command;

use crate::source::{Name, code, names};

/// What holds; the names that break it; where it holds, everywhere if nothing is said; where not.
///
/// Of names, `a::` is a path that begins so, `::a` a path with this segment, `a` this word anywhere.
/// Places are files, or folders that end in `/`.
type Rule = (&'static str, Words, Words, Words);
type Words = &'static [&'static str];

const RULES: &[Rule] = &[
    (
        "instruction sets are named in kernels/src/isa",
        &["std::arch::", "core::arch::", "is_x86_feature_detected"],
        &[],
        &["kernels/src/isa/", "kernels/tests/emulator/"],
    ),
    ("`wide` is the portable level's", &["wide::"], &[], &["kernels/src/isa/portable.rs"]),
    (
        "`matrixmultiply` is called in one file",
        &["matrixmultiply::"],
        &[],
        &["kernels/src/gemm/matmul.rs", "benches/", "kernels/benches/"],
    ),
    (
        "threads are src/parallel.rs's",
        &["rayon::"],
        &[],
        &["src/parallel.rs", "tests/threads.rs", "benches/"],
    ),
    (
        "`unsafe` is for kernels, bindings, tests that watch the allocator, and rivals in C",
        &["unsafe"],
        &[],
        &[
            "kernels/",
            "bindings/",
            "tests/allocator/",
            "tests/load_hostile.rs",
            "benches/peers/src/rivals/foreign.rs",
            "benches/peers/src/rivals/matmul.rs",
        ],
    ),
    (
        "cells of a fixed size are safe code over arrays",
        &["unsafe", "std::", "alloc::", "Simd"],
        &["kernels/src/fixed/"],
        &["kernels/src/fixed/fence.rs"],
    ),
    (
        "a model knows of the kernels only the names of activations and cells",
        &["ritornello_kernels::"],
        &["src/model/"],
        &["src/model/activation.rs", "src/model/cell.rs"],
    ),
    (
        "a model knows no file, plan, run or thread",
        &["crate::load::", "crate::plan::", "crate::Plan::", "crate::run::", "crate::Session::"],
        &["src/model/"],
        &[],
    ),
    (
        "loading ends at the model",
        &["crate::plan::", "crate::Plan::", "crate::run::", "crate::Session::"],
        &["src/load/"],
        &[],
    ),
    ("a plan and a run know no file", &["crate::load::"], &["src/plan/", "src/run/"], &[]),
    (
        "a container does not know what its tensors mean",
        &["::convention", "::keras_model", "crate::model::"],
        &["src/load/container/"],
        &[],
    ),
    (
        "a convention does not know where its tensors come from",
        &["::container", "::keras_model"],
        &["src/load/convention/"],
        &[],
    ),
    (
        "an algorithm knows `trait Simd` and no level",
        &["::isa"],
        &[
            "kernels/src/activation/",
            "kernels/src/arithmetic.rs",
            "kernels/src/fixed/",
            "kernels/src/formula.rs",
            "kernels/src/gemm/",
            "kernels/src/recurrence/",
            "kernels/src/pack/",
            "kernels/src/simd.rs",
            "kernels/src/times.rs",
        ],
        &["kernels/src/fixed/fence.rs"],
    ),
    (
        "the reference shares nothing with what it judges",
        &["ritornello::", "ritornello_kernels::"],
        &["tests/reference/"],
        &[],
    ),
];

/// Files that must forbid unsafe code for their whole crate.
const SAFE_CRATES: [&str; 4] =
    ["src/lib.rs", "cli/src/main.rs", "tests/reference/src/lib.rs", "xtask/src/main.rs"];

/// Names of files that say nothing.
const NOBODY: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];

const MOST_LINES: usize = 500;
const SHORT: [&str; 5] = ["src/", "kernels/src/", "cli/src/", "xtask/src/", "bindings/"];

/// Looks at every Rust file of the repository, new ones included.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.rs"]);
    let listed = git.current_dir(root).output().map_err(|reason| format!("git: {reason}"))?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr)));
    }
    let listed = String::from_utf8_lossy(&listed.stdout);
    let files: Vec<&str> =
        listed.split_terminator('\0').filter(|file| root.join(file).exists()).collect();
    let mut problems = Vec::new();
    for file in &files {
        let source = std::fs::read_to_string(root.join(file));
        problems.extend(look(file, &source.map_err(|reason| format!("{file}: {reason}"))?));
    }
    if problems.is_empty() {
        eprintln!("rooms: {} files, everything in its place", files.len());
        return Ok(());
    }
    Err(format!("{}\nrooms: {} out of place", problems.join("\n"), problems.len()))
}

/// What is wrong with one file.
fn look(file: &str, source: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for name in names(source) {
        for (what, banned, within, except) in RULES {
            let holds = lies_in(file, within, true) && !lies_in(file, except, false);
            if holds && banned.iter().any(|banned| is(banned, &name)) {
                problems.push(format!("{file}:{}: `{}`: {what}", name.line, name.path));
            }
        }
    }
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folders = Path::new(file).parent().into_iter().flat_map(Path::iter);
    let mut words = folders.filter_map(|folder| folder.to_str()).chain([stem]);
    if let Some(word) = words.find(|word| NOBODY.contains(word)) {
        problems.push(format!("{file}: the name '{word}' does not say what lives here"));
    }
    let lines = source.lines().count();
    if lines > MOST_LINES && lies_in(file, &SHORT, false) {
        problems.push(format!("{file}: {lines} lines, at most {MOST_LINES}"));
    }
    let forbids = || code(source).split_whitespace().collect::<String>();
    if SAFE_CRATES.contains(&file) && !forbids().contains("#![forbid(unsafe_code)]") {
        problems.push(format!("{file}: `#![forbid(unsafe_code)]` is missing"));
    }
    problems
}

fn lies_in(file: &str, places: &[&str], nothing_means: bool) -> bool {
    let inside = |place: &&str| file == *place || place.ends_with('/') && file.starts_with(*place);
    if places.is_empty() { nothing_means } else { places.iter().any(inside) }
}

/// Whether a name is one that a rule bans.
fn is(banned: &str, name: &Name) -> bool {
    let parts = || name.path.split("::");
    if let Some(segment) = banned.strip_prefix("::") {
        return name.is_path && parts().any(|part| part == segment);
    }
    if banned.ends_with("::") {
        return name.is_path && format!("{}::", name.path).starts_with(banned);
    }
    parts().any(|part| part == banned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_caught_where_it_stands() {
        let cases = [
            ("src/run/mod.rs", "use std::arch::x86_64::*;"),
            ("kernels/src/pack/mod.rs", "use core::{arch::x86_64, mem};"),
            ("cli/src/doctor.rs", "if std::is_x86_feature_detected!(\"avx2\") {}"),
            ("kernels/src/simd.rs", "use wide as vectors;"),
            ("kernels/src/gemm/mod.rs", "let c = matrixmultiply::sgemm;"),
            ("src/run/mod.rs", "fn f() { rayon::join(a, b) }"),
            ("src/run/mod.rs", "use ::rayon;"),
            ("src/run/mod.rs", "let x = unsafe { f() };"),
            ("tests/models.rs", "unsafe impl A for B {}"),
            ("src/model/dense.rs", "use ritornello_kernels::Isa;"),
            ("src/model/dense.rs", "use crate::{Error, Session};"),
            ("src/load/mod.rs", "use crate::{Error, plan::{Stage}};"),
            ("src/plan/mod.rs", "use crate::load::tensors::Tensors;"),
            ("src/load/container/npz.rs", "use super::super::convention::keras;"),
            ("src/load/convention/keras.rs", "use crate::load::container;"),
            ("kernels/src/recurrence/lstm.rs", "use crate::isa::Isa;"),
            ("kernels/src/fixed/lstm.rs", "use crate::isa::with_multiply_add;"),
            ("kernels/src/fixed/product.rs", "let x = unsafe { f() };"),
            ("kernels/src/fixed/source.rs", "let x = std::vec::Vec::new();"),
            ("tests/reference/src/cell.rs", "use ritornello::Model;"),
        ];
        for (file, line) in cases {
            let found = look(file, &format!("//! First.\n\n{line}\n"));
            assert_eq!(found.len(), 1, "{file}: {line}: {found:?}");
            assert!(found[0].starts_with(&format!("{file}:3: ")), "{found:?}");
        }
    }

    #[test]
    fn what_is_allowed_or_only_said_passes() {
        let cases = [
            ("kernels/src/isa/x86_64/avx2.rs", "use std::arch::x86_64::*;"),
            ("kernels/src/isa/portable.rs", "use wide::f32x8;"),
            ("src/parallel.rs", "rayon::join(a, b);"),
            ("src/run/mod.rs", "/// As `rayon::join`.\nfn join() { log(\"unsafe std::arch::a\") }"),
            ("src/run/mod.rs", "let wide = isa; #[cfg(target_arch = \"x86_64\")] fn f<'a>() {}"),
            ("src/load/mod.rs", "let scope = StateScope::Session;"),
            ("src/model/activation.rs", "pub use ritornello_kernels::Activation;"),
            ("kernels/src/gemm/mod.rs", "unsafe { f(self.isa) }"),
            ("tests/reference/src/lib.rs", "#![forbid(unsafe_code)]\n//! ritornello::Model"),
        ];
        for (file, text) in cases {
            assert_eq!(look(file, text), Vec::<String>::new(), "{file}: {text}");
        }
    }

    #[test]
    fn files_have_a_name_a_length_and_no_way_out_of_safety() {
        let found = |file: &str, text: &str| look(file, text).len();
        assert_eq!(found("src/run/utils.rs", ""), 1);
        assert_eq!(found("tests/common/mod.rs", ""), 1);
        assert_eq!(found("src/run/flow.rs", &"\n".repeat(500)), 0);
        assert_eq!(found("src/run/flow.rs", &"\n".repeat(501)), 1);
        assert_eq!(found("tests/models.rs", &"\n".repeat(501)), 0);
        assert_eq!(found("src/lib.rs", "// #![forbid(unsafe_code)]"), 1);
        assert_eq!(found("src/lib.rs", "#![forbid(unsafe_code)]"), 0);
    }
}
