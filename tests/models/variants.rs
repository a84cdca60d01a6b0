//! Layers that are not the usual ones, one of each kind, for tests that draw nothing.

use ritornello::model::{Activation, Cell, Coupling, Gru, GruReset, Lstm, SimpleRnn};

use super::recipe::{Extras, Recurrence};

/// Features of h in the layers of [`variants`] that have a projection.
const PROJECTED: usize = 7;

/// A cell, what is beside W and biases, and a word for both.
pub(crate) type Variant = (&'static str, (Cell, Extras));

/// Cells with bounds, coupled gates and other activations; peepholes and projections; diagonals and
/// identities. None of them has a kernel of its own, and none grows without bounds.
pub(crate) fn variants() -> Vec<Variant> {
    let (clip, cell_clip) = (Some(0.4), Some(0.3));
    let [after, before] = [GruReset::AfterMatmul, GruReset::BeforeMatmul];
    let gru = |reset| Cell::Gru(Gru { clip, ..Gru::new(reset) });
    let coupled = |coupling| Lstm { coupling, ..Lstm::DEFAULT };
    let softsign = Cell::lstm(Activation::Softsign, Activation::HARD_SIGMOID);
    let plain = Extras::NONE;
    let peepholes = Extras { peepholes: [true; 2], ..plain };
    let projection = Extras { projection: Some(PROJECTED), ..plain };
    let [diagonal, identity] = [Recurrence::Diagonal, Recurrence::Identity]
        .map(|recurrence| Extras { recurrence: [recurrence; 2], ..plain });
    let bounded = Lstm { projection_clip: Some(0.05), cell_clip, ..Lstm::DEFAULT };
    let all = Lstm { clip, projection_clip: Some(0.1), ..coupled(Coupling::InputFromForget) };
    vec![
        ("rnn, clip", (Cell::SimpleRnn(SimpleRnn { clip, ..SimpleRnn::DEFAULT }), plain)),
        ("gru, reset after, clip", (gru(after), plain)),
        ("gru, reset before, clip", (gru(before), plain)),
        ("lstm, both clips", (Cell::Lstm(Lstm { clip, cell_clip, ..Lstm::DEFAULT }), plain)),
        ("lstm, other activations", (softsign, plain)),
        ("lstm, f = 1 - i", (Cell::Lstm(coupled(Coupling::ForgetFromInput)), plain)),
        ("lstm, i = 1 - f, peepholes", (Cell::Lstm(coupled(Coupling::InputFromForget)), peepholes)),
        ("lstm, peepholes", (Cell::LSTM, peepholes)),
        ("lstm, projection", (Cell::LSTM, projection)),
        ("lstm, projection and its clip", (Cell::Lstm(bounded), projection)),
        (
            "lstm, all at once",
            (Cell::Lstm(all), Extras { projection: Some(PROJECTED), ..peepholes }),
        ),
        ("rnn, diagonal", (Cell::SIMPLE_RNN, diagonal)),
        ("lstm, diagonal", (Cell::LSTM, diagonal)),
        ("lstm, diagonal, peepholes", (Cell::LSTM, Extras { peepholes: [true; 2], ..diagonal })),
        ("gru, reset after, diagonal", (Cell::gru(after), diagonal)),
        ("gru, reset before, diagonal", (Cell::gru(before), diagonal)),
        ("rnn, identity", (Cell::SIMPLE_RNN, identity)),
        ("lstm, identity", (Cell::LSTM, identity)),
        ("gru, reset after, identity", (Cell::gru(after), identity)),
        ("gru, reset before, identity", (Cell::gru(before), identity)),
    ]
}

/// The cells that have kernels of their own.
pub(crate) const USUAL: [Cell; 5] = [
    Cell::SIMPLE_RNN,
    Cell::simple_rnn(Activation::Relu),
    Cell::LSTM,
    Cell::gru(GruReset::AfterMatmul),
    Cell::gru(GruReset::BeforeMatmul),
];

/// The usual ones and the variants.
pub(crate) fn all_layers() -> Vec<Variant> {
    let names = ["rnn", "rnn, relu", "lstm", "gru, reset after", "gru, reset before"];
    let usual = names.into_iter().zip(USUAL.map(|cell| (cell, Extras::NONE)));
    usual.chain(variants()).collect()
}
