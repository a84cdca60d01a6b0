//! Levels and threads that there cannot be are refused, asked for in code or by the environment.

mod models;
mod refusal;

use std::process::Command;

use refusal::{lstm, refused};
use ritornello::{Isa, Model, PlanOptions, Threads};

#[test]
fn there_is_at_least_one_thread() {
    refused(Threads::new(0), &["threads", "at least 1", "0"]);
    assert_eq!(Threads::new(1).unwrap().count(), 1);
    assert_eq!(Threads::one().count(), 1);
}

/// The name of the test that plays the role of a program in an environment.
const PROGRAM: &str = "a_program_that_plans";

/// Does nothing unless a test below runs it in a process of its own.
#[test]
fn a_program_that_plans() {
    if std::env::var_os("PLAN_AND_SAY").is_none() {
        return;
    }
    let model = Model::chain(3).recurrent(lstm()).build().unwrap();
    match model.plan(PlanOptions::default()) {
        Ok(plan) => {
            let explanation = plan.explain();
            println!("planned: {} {}", explanation.isa, explanation.threads);
        }
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn the_environment_is_checked() {
    let say = |variable: &str, value: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", PROGRAM, "--nocapture"])
            .env_remove("RITORNELLO_ISA")
            .env_remove("RITORNELLO_THREADS")
            .env("PLAN_AND_SAY", "1")
            .env(variable, value)
            .output()
            .unwrap();
        assert!(output.status.success(), "{variable}={value}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let expect = |(variable, value): (&str, &str), words: &[&str]| {
        let said = say(variable, value);
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} are not in: {said}");
    };
    let levels = ["refused", "instruction set", "portable, avx2, avx512"];
    for unknown in ["sse9", "", "AVX2 ", "Portable"] {
        let name = format!("'{unknown}'");
        expect(("RITORNELLO_ISA", unknown), &[levels[0], levels[1], levels[2], &name]);
    }
    expect(("RITORNELLO_ISA", "portable"), &["planned: portable 1"]);
    for isa in Isa::missing() {
        expect(("RITORNELLO_ISA", isa.name()), &["refused", "this CPU has no", isa.name()]);
    }
    for wrong in ["0", "-1", "two", "", "1.5"] {
        let value = format!("'{wrong}'");
        expect(
            ("RITORNELLO_THREADS", wrong),
            &["refused", "RITORNELLO_THREADS", "positive number", &value],
        );
    }
    expect(("RITORNELLO_THREADS", "2"), &["planned:", " 2\n"]);
}

#[test]
fn levels_have_names() {
    refused("avx1024".parse::<Isa>(), &["'avx1024'", "portable, avx2, avx512"]);
    for isa in Isa::available().into_iter().chain(Isa::missing()) {
        assert_eq!(isa.name().parse::<Isa>().unwrap(), isa);
    }
    for isa in Isa::missing() {
        let model = Model::chain(3).recurrent(lstm()).build().unwrap();
        refused(model.plan(PlanOptions::default().isa(isa)), &["this CPU has no", isa.name()]);
    }
}
