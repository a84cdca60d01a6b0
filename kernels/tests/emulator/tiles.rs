//! AMX's tiles of a thread: their shapes and bytes, and what instructions do with them.
//!
//! As strict as a CPU: shapes that it would refuse, and tiles that have none or do not fit, are refused.

use std::cell::RefCell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use iced_x86::{Instruction, Mnemonic, Register};

/// Products of tiles that were done.
static DONE: AtomicUsize = AtomicUsize::new(0);

/// How many products of tiles have been done in software.
pub(crate) fn products_done() -> usize {
    DONE.load(Ordering::Relaxed)
}

/// Bytes of a row of a tile, and rows, at most.
const ROW: usize = 64;
const ROWS: usize = 16;
const TILES: usize = 8;

#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    bytes_of_row: usize,
    bytes: [[u8; ROW]; ROWS],
}

impl Tile {
    const NONE: Self = Self { rows: 0, bytes_of_row: 0, bytes: [[0; ROW]; ROWS] };
}

thread_local! {
    static OF_THREAD: RefCell<[Tile; TILES]> = const { RefCell::new([Tile::NONE; TILES]) };
}

/// Does an instruction of tiles, if it is one and may be done: `general` are the general registers.
pub(super) unsafe fn step(instruction: &Instruction, general: impl Fn(Register) -> u64) -> bool {
    if instruction.is_ip_rel_memory_operand() {
        return false;
    }
    OF_THREAD.with_borrow_mut(|tiles| {
        let tile = |operand: u32| instruction.op_register(operand).number();
        let base =
            general(instruction.memory_base()).wrapping_add(instruction.memory_displacement64());
        let stride = general(instruction.memory_index())
            .wrapping_mul(u64::from(instruction.memory_index_scale()));
        let row = |row: usize| base.wrapping_add(stride.wrapping_mul(row as u64)) as *mut u8;
        match instruction.mnemonic() {
            // SAFETY: 64 bytes are there.
            Mnemonic::Ldtilecfg => match shapes(unsafe { *(base as *const [u8; 64]) }) {
                Some(shaped) => *tiles = shaped,
                None => return false,
            },
            Mnemonic::Tilerelease => *tiles = [Tile::NONE; TILES],
            Mnemonic::Tileloadd => {
                let to = &mut tiles[tile(0)];
                if to.rows == 0 {
                    return false;
                }
                to.bytes = [[0; ROW]; ROWS];
                for (index, bytes) in to.bytes[..to.rows].iter_mut().enumerate() {
                    // SAFETY: its operands are what it says.
                    unsafe {
                        ptr::copy_nonoverlapping(row(index), bytes.as_mut_ptr(), to.bytes_of_row);
                    };
                }
            }
            Mnemonic::Tilestored => {
                let from = &tiles[tile(1)];
                if from.rows == 0 {
                    return false;
                }
                for (index, bytes) in from.bytes[..from.rows].iter().enumerate() {
                    // SAFETY: its operands are what it says.
                    unsafe {
                        ptr::copy_nonoverlapping(bytes.as_ptr(), row(index), from.bytes_of_row);
                    };
                }
            }
            Mnemonic::Tdpbf16ps | Mnemonic::Tdpbusd => {
                let names = [tile(0), tile(1), tile(2)];
                if names[0] == names[1] || names[0] == names[2] || names[1] == names[2] {
                    return false;
                }
                DONE.fetch_add(1, Ordering::Relaxed);
                let [rows, weights] = [tiles[tile(1)], tiles[tile(2)]];
                let sums = &mut tiles[tile(0)];
                if !fits(sums, &rows, &weights) {
                    return false;
                }
                if instruction.mnemonic() == Mnemonic::Tdpbusd {
                    multiply_bytes(sums, &rows, &weights);
                } else {
                    multiply(sums, &rows, &weights);
                }
            }
            _ => return false,
        }
        true
    })
}

/// The tiles that a configuration makes, all zeros.
fn shapes(configuration: [u8; 64]) -> Option<[Tile; TILES]> {
    let [palette, start_row] = [configuration[0], configuration[1]];
    let bytes_of_row = |tile: usize| {
        usize::from(u16::from_le_bytes([
            configuration[16 + 2 * tile],
            configuration[17 + 2 * tile],
        ]))
    };
    let rows = |tile: usize| usize::from(configuration[48 + tile]);
    let reserved =
        configuration[2..16].iter().chain(&configuration[32..48]).chain(&configuration[56..]);
    if palette != 1 || start_row != 0 || reserved.into_iter().any(|&byte| byte != 0) {
        return None;
    }
    let mut tiles = [Tile::NONE; TILES];
    for (index, tile) in tiles.iter_mut().enumerate() {
        (tile.rows, tile.bytes_of_row) = (rows(index), bytes_of_row(index));
        let fits = tile.rows <= ROWS && tile.bytes_of_row <= ROW;
        if !fits || (tile.rows == 0) != (tile.bytes_of_row == 0) {
            return None;
        }
    }
    Some(tiles)
}

/// Whether tiles can be multiplied.
fn fits(sums: &Tile, rows: &Tile, weights: &Tile) -> bool {
    sums.rows == rows.rows
        && sums.bytes_of_row == weights.bytes_of_row
        && rows.bytes_of_row == 4 * weights.rows
        && [sums, rows, weights].iter().all(|tile| tile.rows > 0 && tile.bytes_of_row % 4 == 0)
}

/// Products of four unsigned bytes of rows and signed ones of weights.
fn multiply_bytes(sums: &mut Tile, rows: &Tile, weights: &Tile) {
    for (sums, row) in sums.bytes[..sums.rows].iter_mut().zip(&rows.bytes) {
        let sums = sums[..weights.bytes_of_row].as_chunks_mut::<4>().0;
        for (output, sum) in sums.iter_mut().enumerate() {
            let mut all = i32::from_le_bytes(*sum);
            for (k, weights) in weights.bytes[..weights.rows].iter().enumerate() {
                for byte in 0..4 {
                    let weight = weights[4 * output + byte].cast_signed();
                    all = all.wrapping_add(i32::from(row[4 * k + byte]) * i32::from(weight));
                }
            }
            *sum = all.to_le_bytes();
        }
    }
}

/// Products of pairs of bf16, even and odd ones in sums of their own, which are then added.
fn multiply(sums: &mut Tile, rows: &Tile, weights: &Tile) {
    let pairs = rows.bytes_of_row / 4;
    let pair = |bytes: &[u8; ROW], index: usize| {
        let of = |at: usize| f32::from_bits(u32::from_le_bytes([0, 0, bytes[at], bytes[at + 1]]));
        [of(4 * index), of(4 * index + 2)]
    };
    for (sums, row) in sums.bytes[..sums.rows].iter_mut().zip(&rows.bytes) {
        for (output, sum) in
            sums[..weights.bytes_of_row].as_chunks_mut::<4>().0.iter_mut().enumerate()
        {
            let mut of_pairs = [0.0; 2];
            for (k, weights) in weights.bytes[..pairs].iter().enumerate() {
                let (x, weight) = (pair(row, k), pair(weights, output));
                for odd in 0..2 {
                    let product = normal(x[odd]).mul_add(normal(weight[odd]), of_pairs[odd]);
                    of_pairs[odd] = normal(product);
                }
            }
            let both = normal(of_pairs[0] + of_pairs[1]);
            let all = normal(normal(f32::from_le_bytes(*sum)) + both);
            *sum = all.to_le_bytes();
        }
    }
}

/// The number, or zero for one too small to be normal.
fn normal(number: f32) -> f32 {
    if number.is_subnormal() { 0.0_f32.copysign(number) } else { number }
}
