//! The `ritornello` command: runs, explains, verifies, converts and times recurrent models.
//!
//! Results go to standard output, messages to standard error. The exit codes are in
//! [`failure`]; `ritornello --help` lists them too.

#![forbid(unsafe_code)]

mod args;
mod run;
mod steps;
mod inspect;
mod verify;
mod calibrate;
mod convert;
mod demo;
mod bench;
mod doctor;
mod arrays;
mod synthetic;
mod timing;
mod output;
mod failure;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;
use output::Console;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(text) => return output::usage(&text),
    };
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn execute(cli: &Cli) -> Result<(), Failure> {
    let options = cli.common.options()?;
    let console = Console::new(cli.common.json, cli.common.quiet);
    match &cli.command {
        Command::Demo => demo::demo(&options, &console),
        Command::Run(args) => run::run(args, &options, &console),
        Command::Inspect(args) => inspect::inspect(args, &options, &console),
        Command::Verify(args) => verify::verify(args, &options, &console),
        Command::Calibrate(args) => calibrate::calibrate(args, &options, &console),
        Command::Bench(args) => bench::bench(args, &options, &console),
        Command::Convert(args) => convert::convert(args, &console),
        Command::Doctor => doctor::doctor(&options, &console),
    }
}
