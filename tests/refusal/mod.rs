//! What the tests of mistakes share: a plan to give wrong things to, and a look at what it says.

#![allow(dead_code, reason = "each test file uses a part")]

use ritornello::model::{Cell, Direction, Recurrent};
use ritornello::{Array, Isa, Model, Plan};

use crate::models::{self, layer};

/// Fails unless the result is an error whose message has all these words.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T, impl ToString>, words: &[&str]) {
    let Err(error) = result else { panic!("accepted, where the error should say {words:?}") };
    let error = error.to_string();
    for word in words {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
}

pub(crate) fn plan(model: &Model) -> Plan {
    models::plan(model, *Isa::available().last().unwrap())
}

pub(crate) fn zeros(shape: &[usize]) -> Array {
    Array::new(shape, vec![0.0; shape.iter().product()]).unwrap()
}

pub(crate) fn lstm() -> Recurrent {
    layer(Cell::LSTM, Direction::Forward, [3, 5], 1)
}

pub(crate) fn stream() -> Plan {
    plan(&Model::chain(3).recurrent(lstm()).build().unwrap())
}
