//! Why the command stops, and the exit code that says so.
//!
//! | code | what |
//! |---|---|
//! | 0 | fine |
//! | 1 | `verify` found a difference, or another check of an answer failed |
//! | 2 | the command line or an environment variable says something it may not say |
//! | 3 | the model file, or the spec that belongs to it |
//! | 4 | the data |
//! | 5 | input or output: a file cannot be read or written |

use std::process::ExitCode;

use ritornello::Error;

/// The end of a command that did not go well.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Whoever reads standard output wants no more of it: nothing went wrong.
    Closed = 0,
    Check = 1,
    Usage = 2,
    Model = 3,
    Data = 4,
    Io = 5,
}

impl Failure {
    /// An answer that is not what it must be.
    pub(crate) fn check(message: impl Into<String>) -> Self {
        Self { kind: Kind::Check, message: message.into() }
    }

    /// A mistake on the command line or in the environment.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into() }
    }

    /// A model file that cannot be used, said by the command itself.
    pub(crate) fn model_file(message: impl Into<String>) -> Self {
        Self { kind: Kind::Model, message: message.into() }
    }

    /// Data that does not fit, said by the command itself.
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self { kind: Kind::Data, message: message.into() }
    }

    /// What the operating system says of standard output.
    pub(crate) fn of_stdout(error: &std::io::Error) -> Self {
        let closed = error.kind() == std::io::ErrorKind::BrokenPipe;
        let kind = if closed { Kind::Closed } else { Kind::Io };
        Self { kind, message: format!("standard output: {error}") }
    }

    fn of(error: &Error, kind: Kind) -> Self {
        let kind = match error {
            Error::Io { .. } => Kind::Io,
            Error::Isa(_) => Kind::Usage,
            _ => kind,
        };
        Self { kind, message: error.to_string() }
    }

    /// Adds what to do about it.
    pub(crate) fn advise(mut self, advice: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(advice);
        self
    }

    /// Says so on standard error, and turns into the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.kind != Kind::Closed {
            crate::output::complain(&self.message);
        }
        ExitCode::from(self.kind as u8)
    }
}

/// Says what an error of the library is about.
pub(crate) trait Blame<T> {
    /// The command line or the environment.
    fn blame_usage(self) -> Result<T, Failure>;
    /// The model file, or the spec.
    fn blame_model(self) -> Result<T, Failure>;
    /// The arrays given.
    fn blame_data(self) -> Result<T, Failure>;
    /// The file to be written.
    fn blame_output(self) -> Result<T, Failure>;
}

impl<T> Blame<T> for Result<T, Error> {
    fn blame_usage(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(&error, Kind::Usage))
    }

    fn blame_model(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(&error, Kind::Model))
    }

    fn blame_data(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(&error, Kind::Data))
    }

    fn blame_output(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(&error, Kind::Io))
    }
}
