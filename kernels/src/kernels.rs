//! The table of stage functions of one level: dispatch happens once, when a table is chosen.

use std::ops::Range;

use crate::activation::Activation;
use crate::buffer::AlignedBuffer;
use crate::calibrate::Probe;
use crate::cell::{Cell, Gru, GruReset, SimpleRnn};
use crate::contract::chains;
use crate::gemm::ProjectArgs;
use crate::isa::Isa;
use crate::matrix_unit;
use crate::pack::{Format, MatrixSource, PackedMatrix, Packing, StepOrder};
use crate::precision::Precision;
use crate::recurrence::{self, CellSource, PackedCell, ProductArgs, RecurArgs};
use crate::simd::Registers;
use crate::tune::Tune;
use crate::tuning::{BYTES_FOR_UNIT, max_rows};
use crate::view::{View, ViewMut};

type Recurrence = unsafe fn(&PackedCell, &mut RecurArgs<'_>);

/// The stage functions of one level.
///
/// A table is only to be had where the CPU has what it needs, its level and VNNI if it says so:
/// [`Isa::kernels`] makes sure of that, another function leaves it to an unsafe caller. And a packed
/// matrix or cell only works with the level that packed it.
#[derive(Debug)]
pub struct Kernels {
    pub(crate) isa: Isa,
    /// Whether bytes are multiplied by the dot products that some CPUs of the level have.
    pub(crate) vnni: bool,
    pub(crate) registers: Registers,
    pub(crate) f32: Products,
    pub(crate) bf16: Products,
    pub(crate) int8: Products,
    /// Where the CPU has a matrix unit: to be had by [`unit`](Self::unit).
    pub(crate) unit: Option<Unit>,
    pub(crate) activate: unsafe fn(Activation, &mut ViewMut<'_>),
    pub(crate) activate_vectors: unsafe fn(Activation, &mut [f32], [usize; 2]),
    pub(crate) probe: unsafe fn(Probe, &mut AlignedBuffer, usize),
}

/// The stages that multiply, for weights that are written down in one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Products {
    pub(crate) project: unsafe fn(&mut ProjectArgs<'_>),
    pub(crate) simple_tanh: Recurrence,
    pub(crate) simple_relu: Recurrence,
    pub(crate) lstm: Recurrence,
    pub(crate) gru_after: Recurrence,
    pub(crate) gru_before: Recurrence,
    pub(crate) product: unsafe fn(&mut ProductArgs<'_>),
}

/// What a matrix unit does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// Of weights rounded to bf16, in tiles.
    pub(crate) bf16: Products,
    /// Of weights split into three of them.
    pub(crate) split: Products,
    /// Of those of bytes, for many rows.
    pub(crate) int8: Products,
    /// Whether the system lets this process use it: asked once, the first time that something is to be.
    pub(crate) is_permitted: fn() -> bool,
    pub(crate) probe: unsafe fn(&mut AlignedBuffer, usize),
}

/// Makes the table `KERNELS` of a level from its name, its features and its token.
///
/// Each entry is one function that enables the features and takes in the whole generic stage. A
/// level without features of its own leaves them out. `@vnni` makes the table of a level that has a table
/// already, with products of bytes of its own; `@products` makes those of one way of writing weights down.
macro_rules! kernel_table {
    ($isa:expr, $token_type:ty, [$($features:literal)?], $token:expr) => {
        kernel_table!(@products f32, $crate::gemm::weights::F32, [$($features)?], $token);
        kernel_table!(@products bf16, $crate::gemm::weights::Bf16, [$($features)?], $token);
        kernel_table!(@products int8, $crate::gemm::weights::Int8, [$($features)?], $token);

        #[allow(clippy::missing_safety_doc, reason = "each is the generic stage of its name")]
        mod fences {
            use super::*;
            use $crate::activation::{self, Activation};
            use $crate::buffer::AlignedBuffer;
            use $crate::calibrate::{self, Probe};
            use $crate::recurrence;
            use $crate::view::ViewMut;

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn activate(activation: Activation, rows: &mut ViewMut<'_>) {
                activation::activate_rows($token, activation, rows);
            }

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn activate_vectors(
                activation: Activation,
                numbers: &mut [f32],
                which: [usize; 2],
            ) {
                recurrence::activate_vectors($token, activation, numbers, which);
            }

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn probe(probe: Probe, numbers: &mut AlignedBuffer, rounds: usize) {
                // SAFETY: passed on.
                unsafe { calibrate::probe($token, probe, numbers, rounds) }
            }
        }

        /// The stage functions of this level.
        pub(crate) static KERNELS: $crate::kernels::Kernels = $crate::kernels::Kernels {
            isa: $isa,
            vnni: false,
            registers: $crate::simd::Registers::of::<$token_type>(),
            f32: f32::PRODUCTS,
            bf16: bf16::PRODUCTS,
            int8: int8::PRODUCTS,
            unit: None,
            activate: fences::activate,
            activate_vectors: fences::activate_vectors,
            probe: fences::probe,
        };
    };
    (@vnni [$features:literal], $token:expr) => {
        kernel_table!(@products int8, $crate::gemm::weights::Int8, [$features], $token);

        /// The stage functions of this level, with those products of bytes.
        pub(crate) static KERNELS: $crate::kernels::Kernels =
            $crate::kernels::Kernels { vnni: true, int8: int8::PRODUCTS, ..super::KERNELS };
    };
    (@products $name:ident, $written:expr, [$($features:literal)?], $token:expr) => {
        #[allow(clippy::missing_safety_doc, reason = "each is the generic stage of its name")]
        mod $name {
            use super::*;
            use $crate::gemm::{self, ProjectArgs};
            use $crate::kernels::Products;
            use $crate::recurrence::{self, PackedCell, ProductArgs, RecurArgs};

            $(#[target_feature(enable = $features)])?
            unsafe fn project(args: &mut ProjectArgs<'_>) {
                // SAFETY: passed on.
                unsafe { gemm::project($token, $written, args) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn product(args: &mut ProductArgs<'_>) {
                // SAFETY: passed on.
                unsafe { recurrence::product($token, $written, args) }
            }

            kernel_table!(
                @recurrences $token, $written, [$($features)?],
                simple_tanh, simple_relu, lstm, gru_after, gru_before
            );

            pub(super) const PRODUCTS: Products = Products {
                project,
                simple_tanh,
                simple_relu,
                lstm,
                gru_after,
                gru_before,
                product,
            };
        }
    };
    (@recurrences $token:expr, $written:expr, $features:tt, $($name:ident),*) => {
        $(kernel_table!(@recurrence $token, $written, $features, $name);)*
    };
    (@recurrence $token:expr, $written:expr, [$($features:literal)?], $name:ident) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn $name(cell: &PackedCell, args: &mut RecurArgs<'_>) {
            // SAFETY: passed on.
            unsafe { recurrence::$name($token, $written, cell, args) }
        }
    };
}
pub(crate) use kernel_table;

impl Kernels {
    /// The tables of all levels this CPU has, the best last.
    #[must_use]
    pub fn available() -> Vec<&'static Self> {
        Isa::available().into_iter().filter_map(|isa| isa.kernels().ok()).collect()
    }

    /// The level.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How many products of recurrent layers' weights in a precision an instruction adds to each number of
    /// a vector, on average: 1, or of bytes with VNNI 4.
    #[must_use]
    pub fn products_at_once(&self, precision: Precision) -> usize {
        if self.vnni && self.format(precision) == Format::Int8 { 4 } else { 1 }
    }

    /// How many terms of a cell's recurrent sums are added in the latency of a multiply-add: those of
    /// [`chains`], or of bytes the four of a word; without VNNI sums of bytes only wait for an
    /// addition of integers, which takes a quarter of it. A matrix unit adds those of a tile.
    #[must_use]
    pub fn terms_at_once(&self, cell: &PackedCell) -> usize {
        match cell.recurrent_format() {
            Format::F32 | Format::Bf16 => chains(cell.state_size),
            Format::Int8 if self.vnni => 4,
            Format::Int8 => 16,
            Format::Bf16Tiles | Format::Split => matrix_unit::DEPTH,
        }
    }

    /// How many products of a cell's projection, and of its recurrence, a matrix unit does in the time of one of
    /// f32 in parts ([`Calibration::split_gflops`](crate::Calibration)), which are six of bf16; 0 if it does none.
    #[must_use]
    pub fn unit_products(&self, cell: &PackedCell) -> [usize; 2] {
        [cell.projection.format, cell.recurrent_format()].map(|format| match format {
            Format::Split => 1,
            Format::Bf16Tiles => 6,
            Format::Int8 if self.has_matrix_unit() => 12,
            _ => 0,
        })
    }

    /// Whether there is a matrix unit, which every precision but [`Precision::F32`] uses: whether the CPU has one,
    /// and the system lets this process use it, which is asked then.
    #[must_use]
    pub fn has_matrix_unit(&self) -> bool {
        self.unit().is_some()
    }

    pub(crate) fn unit(&self) -> Option<&Unit> {
        self.unit.as_ref().filter(|unit| (unit.is_permitted)())
    }

    /// That for which weights are in tiles.
    fn expected_unit(&self) -> &Unit {
        self.unit().expect("weights packed for a matrix unit")
    }

    /// How a precision writes down the weights of recurrent layers.
    fn format(&self, precision: Precision) -> Format {
        match precision.format() {
            format if format.parts() > 0 && self.unit().is_none() => format.of_vectors(),
            format => format,
        }
    }

    /// Packs one direction of a recurrent layer in a precision, for an aim.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    #[must_use]
    pub fn pack_cell(
        &self,
        source: &CellSource<'_>,
        precision: Precision,
        tune: Tune,
    ) -> PackedCell {
        let mut cell = PackedCell::new(source, self.packing(self.format(precision)), tune);
        if self.isa == Isa::Portable {
            cell.projection.lay_out_for_matrixmultiply();
        }
        cell
    }

    /// Packs a dense layer in a precision: `weights` are `[outputs, inputs]`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    #[must_use]
    pub fn pack_dense(
        &self,
        source: &MatrixSource<'_>,
        outputs: usize,
        precision: Precision,
    ) -> PackedMatrix {
        assert_eq!(source.weights.len(), outputs * source.depth, "dense weights");
        PackedMatrix::from_outputs(*source, outputs, self.packing(precision.dense_format()))
    }

    fn packing(&self, format: Format) -> Packing {
        Packing { registers: self.registers, format }
    }

    /// The input projection: `output = input Wᵀ + b` for every row, in the packed order of gates.
    ///
    /// `input` is `[time, batch, input_size]`, `output` `[time, batch, projection_width]`; `scratch` is
    /// [`projection_scratch_len`](PackedCell::projection_scratch_len) numbers of so many rows, or more.
    ///
    /// # Panics
    ///
    /// If the shapes do not fit, or the cell was packed for another level.
    #[inline]
    pub fn project(
        &self,
        cell: &PackedCell,
        input: View<'_>,
        output: ViewMut<'_>,
        scratch: &mut [f32],
    ) {
        self.project_panels(cell, 0..cell.projection.panels(), input, output, scratch);
    }

    /// The same for the units of some panels alone; the columns of others stay as they are.
    ///
    /// # Panics
    ///
    /// As [`project`](Self::project), and if these are no [panels](PackedCell::panels).
    #[inline]
    pub fn project_panels(
        &self,
        cell: &PackedCell,
        panels: Range<usize>,
        input: View<'_>,
        output: ViewMut<'_>,
        scratch: &mut [f32],
    ) {
        assert_eq!(output.features(), cell.projection_width(), "columns of a projection");
        let (weights, order) = (&cell.projection, StepOrder::Rows);
        self.multiply(ProjectArgs { input, weights, output, order, panels, scratch });
    }

    /// The same for all units, in the order that the recurrence reads fastest
    /// ([`step_order`](PackedCell::step_order)): `output` is `[time, batch × projection_width]`.
    ///
    /// # Panics
    ///
    /// As [`project`](Self::project).
    #[inline]
    pub fn project_steps(
        &self,
        cell: &PackedCell,
        input: View<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (weights, order) = (&cell.projection, cell.step_order());
        let shape = [input.time(), input.batch(), cell.projection_width()];
        let output = ViewMut::time_major(output, shape);
        let panels = 0..weights.panels();
        self.multiply(ProjectArgs { input, weights, output, order, panels, scratch });
    }

    /// A dense layer without its activation: `output = input Wᵀ + b` for every row.
    ///
    /// `input` is `[time, batch, inputs]`, `output` `[time, batch, outputs]`.
    ///
    /// # Panics
    ///
    /// If the shapes do not fit, or the weights were packed for another level.
    #[inline]
    pub fn dense(&self, weights: &PackedMatrix, input: View<'_>, output: ViewMut<'_>) {
        let (panels, order) = (0..weights.panels(), StepOrder::Rows);
        let scratch = &mut [];
        self.multiply(ProjectArgs { input, weights, output, order, panels, scratch });
    }

    fn multiply(&self, mut args: ProjectArgs<'_>) {
        let weights = args.weights;
        assert_eq!(weights.layout.registers, self.registers, "weights packed for another level");
        args.check();
        let rows = args.input.time() * args.input.batch();
        // SAFETY: a table is only to be had where the CPU has what it needs; `check` passed;
        // the weights are packed for vectors of this length, and written down as these products read.
        unsafe { (self.products(weights.format, rows).project)(&mut args) }
    }

    /// The recurrence: the whole time loop of one direction of a layer.
    ///
    /// # Panics
    ///
    /// If a length does not fit, or the cell was packed for another level.
    #[inline]
    pub fn recur(&self, cell: &PackedCell, args: &mut RecurArgs<'_>) {
        let registers = cell.projection.layout.registers;
        assert_eq!(registers, self.registers, "a cell packed for another level");
        cell.check(args);
        if !cell.is_fused {
            recurrence::general(self, cell, args);
            return;
        }
        let products = self.products(cell.recurrent().format, args.batch);
        let recurrence = match cell.kind() {
            Cell::SimpleRnn(SimpleRnn { activation: Activation::Relu, .. }) => products.simple_relu,
            Cell::SimpleRnn(_) => products.simple_tanh,
            Cell::Lstm(_) => products.lstm,
            Cell::Gru(Gru { reset: GruReset::AfterMatmul, .. }) => products.gru_after,
            Cell::Gru(Gru { reset: GruReset::BeforeMatmul, .. }) => products.gru_before,
        };
        // SAFETY: a table is only to be had where the CPU has what it needs; `check` passed;
        // the cell is packed for vectors of this length, and each kind has its own kernel.
        unsafe { recurrence(cell, args) }
    }

    /// The product of one step, for the general recurrence.
    pub(crate) fn product(&self, args: &mut ProductArgs<'_>) {
        args.check();
        // SAFETY: a table is only to be had where the CPU has what it needs; `check` passed;
        // `recur` made sure that the weights are packed for vectors of this length; these products read
        // what is so written down.
        unsafe { (self.products(args.weights.format, args.rows.batch).product)(args) }
    }

    /// What multiplies so many rows at once by weights so written down. Of bytes a matrix unit and vectors make the
    /// same integers.
    fn products(&self, format: Format, rows: usize) -> &Products {
        match format {
            Format::F32 => &self.f32,
            Format::Bf16 => &self.bf16,
            Format::Int8 if rows < BYTES_FOR_UNIT => &self.int8,
            Format::Int8 => self.unit().map_or(&self.int8, |unit| &unit.int8),
            Format::Bf16Tiles => &self.expected_unit().bf16,
            Format::Split => &self.expected_unit().split,
        }
    }

    /// The activation of every `every`-th vector from `first` on, for the general recurrence.
    pub(crate) fn activate_vectors(
        &self,
        activation: Activation,
        numbers: &mut [f32],
        [first, every]: [usize; 2],
    ) {
        if activation != Activation::Linear {
            // SAFETY: a table is only to be had where the CPU has what it needs.
            unsafe { (self.activate_vectors)(activation, numbers, [first, every]) }
        }
    }

    /// Applies an activation to every row, in place.
    #[inline]
    pub fn activate(&self, activation: Activation, mut rows: ViewMut<'_>) {
        if activation == Activation::Linear {
            return;
        }
        // SAFETY: a table is only to be had where the CPU has what it needs.
        unsafe { (self.activate)(activation, &mut rows) }
    }

    /// The name of the kernel that runs a cell: stage, cell, type, level, tile; before it that of its
    /// projection, if that is multiplied in another way.
    #[must_use]
    pub fn cell_name(&self, cell: &PackedCell) -> String {
        let variant = match cell.kind() {
            Cell::SimpleRnn(SimpleRnn { activation, .. }) => format!("rnn_{}", activation.name()),
            Cell::Lstm(_) => "lstm".into(),
            Cell::Gru(Gru { reset: GruReset::AfterMatmul, .. }) => "gru".into(),
            Cell::Gru(Gru { reset: GruReset::BeforeMatmul, .. }) => "gru_before".into(),
        };
        let format = cell.recurrent_format();
        let tile = match cell.is_fused {
            true => self.tile(format, cell.recurrent().widest_tile()),
            false => "general".into(),
        };
        let recurrence = format!("recurrence-{variant}-{}-{tile}", self.of_format(format));
        let projection = &cell.projection;
        if projection.format == format {
            return recurrence;
        }
        let (format, tile) = (projection.format, projection.widest_tile());
        let tile = self.tile(format, tile);
        format!("projection-{}-{tile}, {recurrence}", self.of_format(format))
    }

    /// A format and the level, with what the level has for it alone.
    fn of_format(&self, format: Format) -> String {
        let instructions = match format {
            Format::Int8 if self.has_matrix_unit() => "amx",
            Format::Int8 if self.vnni => "vnni",
            Format::Bf16Tiles | Format::Split => "amx",
            _ => "",
        };
        format!("{}-{}{instructions}", format.name(), self.isa)
    }

    /// The name of the kernel that runs a dense layer.
    #[must_use]
    pub fn dense_name(&self, weights: &PackedMatrix) -> String {
        let format = weights.format;
        format!("head-{}-{}", self.of_format(format), self.tile(format, weights.widest_tile()))
    }

    fn tile(&self, format: Format, vectors: usize) -> String {
        let Registers { lanes, accumulators } = self.registers;
        let rows = match format {
            Format::Bf16Tiles | Format::Split => matrix_unit::ROWS,
            Format::Int8 if self.has_matrix_unit() => matrix_unit::ROWS,
            _ => max_rows(accumulators, vectors),
        };
        format!("{rows}x{}", vectors * lanes)
    }
}
