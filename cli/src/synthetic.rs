//! Models and data from a fixed formula: the same numbers on every machine.

use ritornello::model::{
    Activation, Cell, CellWeights, Direction, Element, Extent, GruReset, Matrix, Model, Op,
    Recurrent, RecurrentWeights, Shape, Value,
};
use ritornello::{Array, Error};

use crate::arrays::Named;
use crate::failure::Failure;

/// A sequence of numbers in [-1, 1) that f32 holds exactly.
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The 16 highest bits of Knuth's linear congruential generator.
    fn next_bits(&mut self) -> [u8; 2] {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        let [high, low, ..] = self.0.to_be_bytes();
        [high, low]
    }

    /// `count` numbers in [-scale, scale).
    pub(crate) fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let mut next = || f32::from(i16::from_be_bytes(self.next_bits())) / 32768.0 * scale;
        (0..count).map(|_| next()).collect()
    }

    /// `count` indices below `limit`.
    fn indices(&mut self, count: usize, limit: usize) -> Vec<i32> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX).max(1);
        (0..count).map(|_| i32::from(u16::from_be_bytes(self.next_bits())) % limit).collect()
    }

    fn matrix(&mut self, rows: usize, columns: usize, scale: f32) -> Result<Matrix, Error> {
        Matrix::new(rows, columns, self.take(rows * columns, scale))
    }

    fn layer(&mut self, layer: &Layer, input_size: usize, scale: f32) -> Result<Recurrent, Error> {
        let rows = layer.cell.gates().len() * layer.hidden_size;
        let mut weights = Vec::new();
        for _ in 0..layer.direction.count() {
            weights.push(CellWeights {
                input: self.matrix(rows, input_size, scale)?,
                recurrent: RecurrentWeights::Matrix(self.matrix(rows, layer.hidden_size, scale)?),
                bias: Some(self.take(rows, scale)),
                recurrent_bias: None,
                peepholes: None,
                projection: None,
            });
        }
        Recurrent::new(layer.cell, layer.direction, weights)
    }
}

/// What `--layer` describes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layer {
    cell: Cell,
    input_size: usize,
    hidden_size: usize,
    layers: usize,
    direction: Direction,
}

impl Layer {
    /// Reads `CELL:I:H[:layers=L][:bidirectional]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |problem: String| {
            Failure::usage(format!(
                "--layer {text}: {problem}; expected CELL:I:H[:layers=L][:bidirectional]"
            ))
        };
        let size = |what: &str, text: &str| match text.parse() {
            Ok(size @ 1..=65_536) => Ok(size),
            _ => Err(wrong(format!("{what} is '{text}', expected 1 to 65536"))),
        };
        let mut parts = text.split(':');
        let cell = match parts.next().unwrap_or_default() {
            "rnn" => Cell::SIMPLE_RNN,
            "rnn-relu" => Cell::simple_rnn(Activation::Relu),
            "lstm" => Cell::LSTM,
            "gru" => Cell::gru(GruReset::AfterMatmul),
            "gru-before" => Cell::gru(GruReset::BeforeMatmul),
            other => {
                let known = "rnn, rnn-relu, lstm, gru, gru-before";
                return Err(wrong(format!("there is no cell '{other}'; there are: {known}")));
            }
        };
        let (Some(input), Some(hidden)) = (parts.next(), parts.next()) else {
            return Err(wrong("the sizes are missing".into()));
        };
        let mut layer = Self {
            cell,
            input_size: size("the input size I", input)?,
            hidden_size: size("the hidden size H", hidden)?,
            layers: 1,
            direction: Direction::Forward,
        };
        for part in parts {
            match part.strip_prefix("layers=") {
                Some(count) => layer.layers = size("layers", count)?,
                None if part == "bidirectional" => layer.direction = Direction::Bidirectional,
                None => return Err(wrong(format!("'{part}' means nothing here"))),
            }
        }
        Ok(layer)
    }

    /// A model of such layers, with weights drawn evenly from within 1/√H.
    pub(crate) fn model(&self) -> Result<Model, Error> {
        let mut numbers = Numbers::new(2);
        #[allow(clippy::cast_possible_truncation, reason = "a scale of random weights")]
        let scale = (1.0 / (self.hidden_size as f64).sqrt()) as f32;
        let mut chain = Model::chain(self.input_size);
        let mut input_size = self.input_size;
        for _ in 0..self.layers {
            let layer = numbers.layer(self, input_size, scale)?;
            input_size = layer.output_size();
            chain = chain.recurrent(layer);
        }
        chain.build()
    }
}

/// An array for each input of a model; `time` is for sequences of open length.
pub(crate) fn inputs(model: &Model, batch: usize, time: usize) -> Result<Named, Error> {
    let mut numbers = Numbers::new(3);
    let mut arrays = Named::new();
    for (index, input) in model.inputs().iter().enumerate() {
        let axes = model.input_axes(index).iter();
        let shape: Vec<usize> = axes.map(|axis| axis.length([time, batch])).collect();
        let count = shape.iter().product();
        let array = match input.element {
            Element::F32 => Array::new(&shape, numbers.take(count, 1.0))?,
            Element::Index => {
                let limit = table_rows(model, Value::Input(index));
                Array::from_indices(&shape, numbers.indices(count, limit))?
            }
        };
        arrays.push((input.name.clone(), array));
    }
    Ok(arrays)
}

/// Rows of the smallest embedding that looks up `value`.
fn table_rows(model: &Model, value: Value) -> usize {
    let tables = model.nodes().iter().filter_map(|node| match &node.op {
        Op::Embedding(embedding) if node.inputs.contains(&value) => Some(embedding.table().rows()),
        _ => None,
    });
    tables.min().unwrap_or(1)
}

/// Additions and multiplications of all matrix products of a model: two for each weight and row.
pub(crate) fn operations(model: &Model, batch: usize, time: usize) -> Result<f64, Error> {
    let mut total = 0.0;
    for node in model.nodes() {
        let weights = match &node.op {
            Op::Recurrent(layer) => {
                // Matrices only: what each unit has for itself is no product.
                let tensors = layer.weights().iter().flat_map(CellWeights::tensors);
                let matrices = tensors.filter(|tensor| tensor.shape.len() == 2);
                matrices.map(|tensor| tensor.values.len()).sum()
            }
            Op::Dense(dense) => dense.weights().values().len(),
            _ => 0,
        };
        let rows = match node.inputs.first().map(|&input| model.shape(input)).transpose()? {
            Some(Shape::Sequence { time: Extent::Input(_), .. }) => batch * time,
            Some(Shape::Sequence { time: Extent::Fixed(steps), .. }) => batch * steps,
            Some(Shape::States { count, .. }) => batch * count,
            Some(Shape::Vector { .. }) | None => batch,
        };
        total += 2.0 * weights as f64 * rows as f64;
    }
    Ok(total)
}
