//! Which levels were run, and what is said about those that could not be.

use std::process::{Command, Output};

use ritornello_kernels::{Isa, IsaError, Kernels};

/// Names the levels, separated by commas, that must have been run for the tests to count.
const REQUIRED: &str = "RITORNELLO_REQUIRE_ISA";

/// Every level, known by its name.
const NAMES: [&str; 3] = ["portable", "avx2", "avx512"];

/// Runs one test of this program in a process of its own, with a variable of its own.
fn run_alone(test: &str, variable: &str, value: &str) -> Output {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env_remove(Isa::VARIABLE)
        .env_remove(REQUIRED)
        .env(variable, value)
        .output()
        .expect("this program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A missing level is a failure where `RITORNELLO_REQUIRE_ISA` names it, and is named in any case.
#[test]
fn required_levels_are_run() {
    for isa in Isa::available() {
        println!("run: {isa}");
    }
    for isa in Isa::missing() {
        println!("not run, this CPU lacks it: {isa}");
    }
    let required = std::env::var(REQUIRED).unwrap_or_default();
    for name in required.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let isa: Isa = name.parse().unwrap_or_else(|error| panic!("{REQUIRED}: {error}"));
        assert!(
            Isa::available().contains(&isa),
            "{REQUIRED} names {isa}: {}",
            IsaError::Absent(isa)
        );
    }
}

#[test]
fn a_required_level_that_is_missing_fails() {
    let run = |levels: &str| run_alone("required_levels_are_run", REQUIRED, levels);
    let all: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
    let output = run(&all.join(", "));
    assert!(output.status.success(), "what is there may be required: {}", stdout(&output));
    for isa in Isa::available() {
        assert!(stdout(&output).contains(&format!("run: {isa}")), "{isa} is listed");
    }
    for isa in Isa::missing() {
        assert!(stdout(&output).contains(&format!("lacks it: {isa}")), "{isa} is listed");
        assert!(!run(isa.name()).status.success(), "{isa} is missing and was required");
        assert!(!run(&format!("portable,{isa}")).status.success(), "{isa} in a list");
    }
    assert!(!run("avx3").status.success(), "no level has this name");
}

#[test]
fn levels_are_available_or_missing() {
    let (available, missing) = (Isa::available(), Isa::missing());
    assert_eq!(available[0], Isa::Portable, "every CPU has the portable level");
    assert!(available.is_sorted(), "the best is last");
    let mut all = [&available[..], &missing[..]].concat();
    all.sort();
    assert_eq!(all.iter().map(|isa| isa.name()).collect::<Vec<_>>(), NAMES);
    let tables: Vec<Isa> = Kernels::available().iter().map(|kernels| kernels.isa()).collect();
    assert_eq!(tables, available, "a table for each level");
    for isa in available {
        assert_eq!(isa.kernels().map(Kernels::isa), Ok(isa));
    }
    for isa in missing {
        assert_eq!(isa.kernels().map(Kernels::isa), Err(IsaError::Absent(isa)));
    }
}

#[test]
fn names_are_read_back() {
    for name in NAMES {
        let isa: Isa = name.parse().expect("a level");
        assert_eq!((isa.name(), isa.to_string().as_str()), (name, name));
    }
    for wrong in ["", "AVX2", "avx2 ", "avx", "best", "neon2"] {
        assert_eq!(wrong.parse::<Isa>(), Err(IsaError::Unknown(wrong.into())));
    }
}

#[test]
fn errors_say_what_there_is() {
    let unknown = IsaError::Unknown("sse9".into()).to_string();
    assert_eq!(unknown, "'sse9' is no instruction set; there are: portable, avx2, avx512");
    for isa in Isa::missing() {
        let absent = IsaError::Absent(isa).to_string();
        assert!(
            absent.starts_with(&format!("this CPU has no {isa}; it has: portable")),
            "{absent}"
        );
        for there in Isa::available() {
            assert!(absent.contains(there.name()), "{absent} names {there}");
        }
    }
}

/// What `Isa::detect` says in this process.
#[test]
fn tells_the_level_detected() {
    println!("detected: {:?}", Isa::detect());
}

#[test]
fn the_variable_lowers_the_level_and_never_falls_back() {
    let detected =
        |value: &str| stdout(&run_alone("tells_the_level_detected", Isa::VARIABLE, value));
    for isa in Isa::available() {
        assert!(detected(isa.name()).contains(&format!("detected: Ok({isa:?})")), "{isa} by name");
    }
    for isa in Isa::missing() {
        assert!(detected(isa.name()).contains(&format!("detected: Err(Absent({isa:?}))")), "{isa}");
    }
    assert!(detected("fastest").contains("detected: Err(Unknown(\"fastest\"))"), "a wrong name");
    let best = Isa::available().pop().expect("portable at least");
    let without = stdout(&run_alone("tells_the_level_detected", "RITORNELLO_UNUSED", "1"));
    assert!(without.contains(&format!("detected: Ok({best:?})")), "without it the best");
}
