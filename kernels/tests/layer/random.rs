//! What proptest draws.

use proptest::prelude::*;
use proptest::sample::select;
use ritornello_kernels::{Activation, Cell, Coupling, Gru, GruReset, Lstm, SimpleRnn};
use ritornello_reference::Recurrence;

use super::{Extras, Layer};

/// Activations that keep a random recurrence from overflowing within the tests' steps.
const TAME: [Activation; 19] = [
    Activation::Linear,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Relu,
    Activation::Relu6,
    Activation::LeakyRelu { alpha: 0.2 },
    Activation::Elu { alpha: 0.7 },
    Activation::Selu,
    Activation::Softplus,
    Activation::Softsign,
    Activation::HARD_SIGMOID,
    Activation::HARD_SIGMOID_FIFTH,
    Activation::HardTanh,
    Activation::ScaledTanh { alpha: 1.7159, beta: 0.6667 },
    Activation::Affine { alpha: -0.5, beta: 0.25 },
    Activation::ThresholdedRelu { alpha: 0.3 },
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
];

/// Activations of gates: unbounded gates would make a state grow faster than exponentially.
const GATES: [Activation; 8] = [
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Softsign,
    Activation::HARD_SIGMOID,
    Activation::HARD_SIGMOID_FIFTH,
    Activation::HardSigmoid { slope: 0.4, offset: 0.3 },
    Activation::HardTanh,
    Activation::ScaledTanh { alpha: 0.9, beta: 1.5 },
];

/// Bounds that many sums of a random layer pass, or none.
fn clips() -> impl Strategy<Value = Option<f32>> {
    prop_oneof![2 => Just(None), 1 => (0.02_f32..1.0).prop_map(Some)]
}

/// Any cell: the default ones in nearly half of all cases.
pub(crate) fn kinds() -> impl Strategy<Value = Cell> {
    let (tame, gates) = (|| select(&TAME[..]), || select(&GATES[..]));
    let reset = || select(vec![GruReset::BeforeMatmul, GruReset::AfterMatmul]);
    let couplings =
        select(vec![Coupling::None, Coupling::ForgetFromInput, Coupling::InputFromForget]);
    let simple = (tame(), clips())
        .prop_map(|(activation, clip)| Cell::SimpleRnn(SimpleRnn { activation, clip }));
    let lstm = (tame(), gates(), tame(), couplings, [clips(), clips(), clips()]).prop_map(
        |(activation, recurrent_activation, output_activation, coupling, clips)| {
            let [clip, cell_clip, projection_clip] = clips;
            Cell::Lstm(Lstm {
                activation,
                recurrent_activation,
                output_activation,
                coupling,
                clip,
                cell_clip,
                projection_clip,
            })
        },
    );
    let gru = (reset(), tame(), gates(), clips()).prop_map(
        |(reset, activation, recurrent_activation, clip)| {
            Cell::Gru(Gru { reset, activation, recurrent_activation, clip })
        },
    );
    prop_oneof![
        1 => select(vec![Activation::Tanh, Activation::Relu]).prop_map(Cell::simple_rnn),
        1 => Just(Cell::LSTM),
        1 => reset().prop_map(Cell::gru),
        1 => simple,
        2 => lstm,
        1 => gru,
    ]
}

/// Often nothing beside a recurrent matrix; `of` says what the cell has a use for.
fn extras() -> impl Strategy<Value = Extras> {
    let recurrence = prop_oneof![
        4 => Just(Recurrence::Matrix),
        1 => Just(Recurrence::Diagonal),
        1 => Just(Recurrence::Identity),
    ];
    let projection = prop::option::of(1..=40_usize);
    let any =
        (recurrence, any::<bool>(), projection).prop_map(|(recurrence, peepholes, projection)| {
            Extras { recurrence, peepholes, projection }
        });
    prop_oneof![1 => Just(Extras::NONE), 2 => any]
}

impl Extras {
    /// Those that a cell may have.
    fn of(self, kind: Cell) -> Self {
        let lstm = kind.has_cell_state();
        let projection = self.projection.filter(|_| lstm && self.recurrence == Recurrence::Matrix);
        Self { peepholes: self.peepholes && lstm, projection, ..self }
    }
}

/// Any layer of moderate size: hidden sizes around vectors' lengths and the bounds of `chains`.
pub(crate) fn layers() -> impl Strategy<Value = Layer> {
    let hidden = prop_oneof![1..=20_usize, 30..=34_usize, 60..=70_usize, Just(100), Just(129)];
    let input = prop_oneof![1..=9_usize, Just(33), Just(64)];
    let time = prop_oneof![1..=8_usize, Just(0)];
    let batch = prop_oneof![1..=9_usize, Just(13), Just(0)];
    (kinds(), extras(), any::<[bool; 2]>(), (input, hidden, time, batch), any::<u64>()).prop_map(
        |(kind, extras, biases, (input, hidden, time, batch), seed)| {
            Layer::random(kind, extras.of(kind), biases, [input, hidden, time, batch], seed)
        },
    )
}
