//! What proptest draws: moves that grow a graph, each from values that are there already.
//!
//! Every list of moves makes a model: a move names what it works on by counting back through the
//! values that fit, and one for which none fits is skipped. So a list may lose any of its moves,
//! which is how proptest makes a failure small.

use proptest::prelude::*;
use proptest::sample::select;
use ritornello::model::{
    Activation, Cell, Coupling, Direction, Gru, GruReset, Lstm, Merge, Op, OutputOrder, PadOutput,
    SequenceAxes, SimpleRnn, StateScope,
};

/// One node more. Numbers called `of` and `with` count back from the youngest value that fits.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    Recurrent {
        cell: Cell,
        extras: Extras,
        way: Way,
        hidden: usize,
        of: usize,
        initial: Initial,
        /// Which mask that fits, if any.
        mask: Option<usize>,
    },
    /// A forward layer and a reverse one, each with a cell, weights and a size of its own.
    BothWays {
        sides: [(Cell, Extras); 2],
        ways: [Way; 2],
        hidden: [usize; 2],
        of: usize,
    },
    Dense {
        activation: Activation,
        outputs: usize,
        bias: bool,
        of: usize,
    },
    Activation {
        activation: Activation,
        of: usize,
    },
    ScaleShift {
        of: usize,
    },
    Combine {
        op: Op,
        of: usize,
        with: usize,
    },
    Step {
        of: usize,
        step: usize,
    },
    Features {
        of: usize,
        start: usize,
        count: usize,
    },
    State {
        of: usize,
        index: usize,
    },
    States {
        of: usize,
        start: usize,
        count: usize,
    },
    Spread {
        op: Op,
        of: usize,
    },
    OverTime {
        op: Op,
        of: usize,
        mask: Option<usize>,
    },
    /// A mask with holes of what the sequence holds.
    Mask {
        of: usize,
    },
    /// The sequence where such a mask counts.
    Masked {
        of: usize,
        mask: usize,
    },
    Flatten {
        of: usize,
    },
    Embedding {
        rows: usize,
        features: usize,
    },
    /// An array of the model: states if there is a count of them, steps with a time.
    Constant {
        rows: Option<(usize, bool)>,
        features: usize,
    },
}

/// What a recurrent layer's weights are beside W and biases, forward and backward.
///
/// A projection is that of both directions: where it changes the size of h, it has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extras {
    pub(super) recurrence: [Recurrence; 2],
    pub(super) peepholes: [bool; 2],
    /// Features of a projected h.
    pub(super) projection: Option<usize>,
}

impl Extras {
    /// A recurrent matrix.
    pub(crate) const NONE: Self =
        Self { recurrence: [Recurrence::Matrix; 2], peepholes: [false; 2], projection: None };
}

/// What a recurrent layer multiplies its state by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Recurrence {
    Matrix,
    Diagonal,
    Identity,
}

/// The way of a recurrent layer through time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(super) direction: Direction,
    pub(super) merge: Merge,
    pub(super) order: OutputOrder,
    pub(super) pad: PadOutput,
    pub(super) scope: StateScope,
    /// Of each direction.
    pub(super) biases: [[bool; 2]; 2],
}

impl Way {
    /// With both biases, and all else as it is by default.
    pub(super) fn plain(direction: Direction) -> Self {
        Self {
            direction,
            merge: Merge::default(),
            order: OutputOrder::default(),
            pad: PadOutput::default(),
            scope: StateScope::default(),
            biases: [[true; 2]; 2],
        }
    }
}

/// Where a recurrent layer starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Initial {
    Zero,
    /// From inputs of the model: states, or vectors where that is allowed.
    Input {
        vectors: bool,
    },
    /// From constants of the model: states, or vectors where that is allowed; or from what an
    /// activation makes of them.
    Learned {
        vectors: bool,
        activated: bool,
    },
    /// From values of the right size, if there are any.
    Found,
}

/// Which models are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything there is.
    Any,
    /// Models that run in pieces, with any inputs and outputs but states given from outside.
    Causal,
    /// Of those, the ones with a sequence of numbers in and a value out.
    Stream,
}

/// A model and data in the making.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(super) kind: Kind,
    pub(super) moves: Vec<Move>,
    /// Which values are outputs beside the youngest.
    pub(super) outputs: Vec<usize>,
    pub(super) features: usize,
    pub(super) time: usize,
    pub(super) batch: usize,
    pub(super) axes: SequenceAxes,
    pub(super) seed: u64,
}

/// Activations that keep a random recurrence of a few steps from overflowing.
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

/// Any cell: the default ones in half of all cases.
pub(crate) fn cells() -> impl Strategy<Value = Cell> {
    let reset = || select(vec![GruReset::BeforeMatmul, GruReset::AfterMatmul]);
    prop_oneof![
        select(vec![Activation::Tanh, Activation::Relu]).prop_map(Cell::simple_rnn),
        Just(Cell::LSTM),
        reset().prop_map(Cell::gru),
        (select(&TAME[..]), clips())
            .prop_map(|(activation, clip)| Cell::SimpleRnn(SimpleRnn { activation, clip })),
        lstms().prop_map(Cell::Lstm),
        (reset(), select(&TAME[..]), select(&GATES[..]), clips()).prop_map(
            |(reset, activation, recurrent_activation, clip)| {
                Cell::Gru(Gru { reset, activation, recurrent_activation, clip })
            }
        ),
    ]
}

fn lstms() -> impl Strategy<Value = Lstm> {
    let couplings =
        select(vec![Coupling::None, Coupling::ForgetFromInput, Coupling::InputFromForget]);
    let activations = (select(&TAME[..]), select(&GATES[..]), select(&TAME[..]));
    // A clip of a projection is drawn with the projection.
    (activations, couplings, [clips(), clips()]).prop_map(|(activations, coupling, clips)| {
        let (activation, recurrent_activation, output_activation) = activations;
        let [clip, cell_clip] = clips;
        Lstm {
            activation,
            recurrent_activation,
            output_activation,
            coupling,
            clip,
            cell_clip,
            projection_clip: None,
        }
    })
}

/// Bounds that many sums of a random layer pass, or none.
fn clips() -> impl Strategy<Value = Option<f32>> {
    prop_oneof![2 => Just(None), 1 => (0.02_f32..1.0).prop_map(Some)]
}

/// Something for each direction, the same for both in half of all cases.
fn sides<S: Strategy<Value: Clone>>(one: impl Fn() -> S) -> impl Strategy<Value = [S::Value; 2]> {
    (one(), one(), any::<bool>()).prop_map(|(first, second, same)| {
        if same { [first.clone(), first] } else { [first, second] }
    })
}

/// A cell, and what is beside W and its biases: nothing but a matrix in half of all cases.
pub(crate) fn layers() -> impl Strategy<Value = (Cell, Extras)> {
    let recurrence = || {
        prop_oneof![
            3 => Just(Recurrence::Matrix),
            1 => Just(Recurrence::Diagonal),
            1 => Just(Recurrence::Identity),
        ]
    };
    let projection = prop::option::of((1..=24_usize, clips()));
    let any = (cells(), sides(recurrence), sides(any::<bool>), projection).prop_map(
        |(mut cell, recurrence, peepholes, projection)| {
            let mut extras = Extras { recurrence, peepholes, projection: None };
            match (&mut cell, projection) {
                (Cell::Lstm(lstm), Some((size, clip))) if recurrence[0] == Recurrence::Matrix => {
                    extras.recurrence = [Recurrence::Matrix; 2];
                    extras.projection = Some(size);
                    lstm.projection_clip = clip;
                }
                (Cell::Lstm(_), _) => {}
                _ => extras.peepholes = [false; 2],
            }
            (cell, extras)
        },
    );
    prop_oneof![cells().prop_map(|cell| (cell, Extras::NONE)), any]
}

fn ways(kind: Kind) -> impl Strategy<Value = Way> {
    let directions = match kind {
        Kind::Any => vec![Direction::Forward, Direction::Reverse, Direction::Bidirectional],
        _ => vec![Direction::Forward],
    };
    let merges = select(vec![Merge::Concat, Merge::Sum, Merge::Mul, Merge::Average]);
    let orders = select(vec![OutputOrder::Time, OutputOrder::Processing]);
    let pads = select(vec![PadOutput::Zero, PadOutput::Hold, PadOutput::HoldState]);
    let scopes = select(vec![StateScope::Run, StateScope::Session]);
    (select(directions), merges, orders, pads, scopes, sides(any::<[bool; 2]>)).prop_map(
        |(direction, merge, order, pad, scope, biases)| Way {
            direction,
            merge,
            order,
            pad,
            scope,
            biases,
        },
    )
}

fn initials(kind: Kind) -> BoxedStrategy<Initial> {
    let learned = any::<(bool, bool)>()
        .prop_map(|(vectors, activated)| Initial::Learned { vectors, activated });
    if kind != Kind::Any {
        return prop_oneof![2 => Just(Initial::Zero), 1 => learned].boxed();
    }
    prop_oneof![
        3 => Just(Initial::Zero),
        2 => learned,
        2 => any::<bool>().prop_map(|vectors| Initial::Input { vectors }),
        2 => Just(Initial::Found),
    ]
    .boxed()
}

fn moves(kind: Kind) -> BoxedStrategy<Move> {
    let hidden = || prop_oneof![4 => 1..=20_usize, 1 => 30..=34_usize, 1 => 63..=69_usize];
    let of = || prop_oneof![3 => Just(0_usize), 1 => 0..6_usize];
    let mask = || prop_oneof![2 => Just(None), 1 => (0..3_usize).prop_map(Some)];
    let recurrent = (layers(), ways(kind), hidden(), of(), initials(kind), mask()).prop_map(
        |((cell, extras), way, hidden, of, initial, mask)| Move::Recurrent {
            cell,
            extras,
            way,
            hidden,
            of,
            initial,
            mask,
        },
    );
    let activation = || select(&Activation::ALL[..]);
    let dense = (activation(), 1..=19_usize, any::<bool>(), of())
        .prop_map(|(activation, outputs, bias, of)| Move::Dense { activation, outputs, bias, of });
    let alone =
        (activation(), of()).prop_map(|(activation, of)| Move::Activation { activation, of });
    let affine = of().prop_map(|of| Move::ScaleShift { of });
    let ops = select(vec![Op::Concat, Op::Add, Op::Multiply]);
    let combine = (ops, of(), 0..6_usize).prop_map(|(op, of, with)| Move::Combine { op, of, with });
    let features = (of(), 0..20_usize, 0..20_usize).prop_map(|(of, start, count)| Move::Features {
        of,
        start,
        count,
    });
    let made = of().prop_map(|of| Move::Mask { of });
    let masked = (of(), 0..3_usize).prop_map(|(of, mask)| Move::Masked { of, mask });
    let common = prop_oneof![
        6 => recurrent, 4 => dense, 1 => alone, 1 => affine, 3 => combine, 1 => features,
        3 => made, 1 => masked,
    ];
    let embedding =
        (1..=9_usize, 1..=7_usize).prop_map(|(rows, features)| Move::Embedding { rows, features });
    let last = of().prop_map(|of| Move::Step { of, step: 0 });
    match kind {
        Kind::Stream => common.boxed(),
        Kind::Causal => prop_oneof![10 => common, 1 => embedding, 1 => last].boxed(),
        Kind::Any => {
            let steps = (of(), any::<usize>()).prop_map(|(of, step)| Move::Step { of, step });
            let state = (of(), 0..9_usize).prop_map(|(of, index)| Move::State { of, index });
            let states = (of(), 0..9_usize, 0..9_usize)
                .prop_map(|(of, start, count)| Move::States { of, start, count });
            let stack =
                (of(), 0..6_usize).prop_map(|(of, with)| Move::Combine { op: Op::Stack, of, with });
            let spread = (any::<bool>(), 1..=6_usize, of()).prop_map(|(repeat, steps, of)| {
                let op = if repeat { Op::Repeat { steps } } else { Op::Unroll { steps } };
                Move::Spread { op, of }
            });
            let over_time = (select(vec![Op::MeanOverTime, Op::MaxOverTime]), of(), mask())
                .prop_map(|(op, of, mask)| Move::OverTime { op, of, mask });
            let flatten = of().prop_map(|of| Move::Flatten { of });
            let rows = prop::option::of((1..=3_usize, any::<bool>()));
            let constant =
                (rows, 1..=9_usize).prop_map(|(rows, features)| Move::Constant { rows, features });
            let pairs = (sides(layers), sides(move || ways(kind)), sides(hidden), of());
            let both = pairs.prop_map(|(sides, ways, hidden, of)| Move::BothWays {
                sides,
                ways,
                hidden,
                of,
            });
            prop_oneof![
                16 => common, 2 => both, 1 => embedding, 1 => steps, 1 => state, 1 => states, 1 => stack,
                2 => spread, 2 => over_time, 1 => flatten, 2 => constant,
            ]
            .boxed()
        }
    }
}

/// Models of a kind, of up to seven nodes that matter, with data of odd sizes.
pub(crate) fn recipes(kind: Kind) -> impl Strategy<Value = Recipe> {
    let moves = prop::collection::vec(moves(kind), 1..=7);
    let outputs = prop::collection::vec(0..8_usize, 0..=3);
    let features = prop_oneof![4 => 1..=9_usize, 1 => Just(17), 1 => Just(65)];
    let time = prop_oneof![6 => 1..=8_usize, 1 => Just(0)];
    let batch = prop_oneof![8 => 1..=5_usize, 1 => Just(0)];
    let axes = select(vec![SequenceAxes::BatchTime, SequenceAxes::TimeBatch]);
    (moves, outputs, (features, time, batch), axes, any::<u64>()).prop_map(
        move |(moves, outputs, (features, time, batch), axes, seed)| Recipe {
            kind,
            moves,
            outputs: if kind == Kind::Stream { Vec::new() } else { outputs },
            features,
            time,
            batch,
            axes,
            seed,
        },
    )
}
