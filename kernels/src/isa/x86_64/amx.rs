//! AMX beside AVX-512: eight tiles of 16 rows of 64 bytes, and products of bf16.
//!
//! Tiles: 0 to 3 sums, one for each vector; 4 and 5 parts of the rows; 6 and 7 parts of the weights. A product
//! waits for the last one of the same sums, so those of different vectors follow each other.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

use super::avx512::{Avx512, vnni};
use crate::buffer::AlignedBuffer;
use crate::calibrate::unit::multiply_tiles;
use crate::gemm::weights::Split;
use crate::kernels::{Kernels, Unit, kernel_table};
use crate::matrix_unit::{MatrixUnit, ROWS, Tiles};

/// Proof that the CPU has AMX for bf16 and that the process may use it: only the table of this file makes one.
#[derive(Clone, Copy)]
pub(crate) struct Amx(());

kernel_table!(
    @products split,
    Split(Amx(())),
    ["avx512f,avx512bw,avx2,fma"],
    Avx512::<false>::new()
);

/// The stage functions of AVX-512 with VNNI, and those that the unit does.
pub(crate) static KERNELS: Kernels =
    Kernels { unit: Some(Unit { split: split::PRODUCTS, probe }), ..vnni::KERNELS };

unsafe fn probe(words: &mut AlignedBuffer, rounds: usize) {
    // SAFETY: passed on.
    unsafe { multiply_tiles(Amx(()), words, rounds) }
}

/// Whether the CPU has all of it, and the system lets this process use it.
pub(crate) fn detected() -> bool {
    static DETECTED: OnceLock<bool> = OnceLock::new();
    *DETECTED.get_or_init(|| vnni::detected() && has_tiles() && is_permitted())
}

fn has_tiles() -> bool {
    const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
    const CONFIGURATION_AND_DATA: u64 = 1 << 17 | 1 << 18;
    /// What the system saves of a thread's registers. AVX-512, which was found before, is not found without.
    #[target_feature(enable = "xsave")]
    fn saved() -> u64 {
        // SAFETY: register 0 is there.
        unsafe { _xgetbv(0) }
    }
    // SAFETY: AVX-512 was found by what these read.
    let (leaf, saved) = unsafe { (__cpuid_count(7, 0), saved()) };
    leaf.edx & BF16_AND_TILES == BF16_AND_TILES
        && saved & CONFIGURATION_AND_DATA == CONFIGURATION_AND_DATA
}

/// Linux gives the registers of tiles to a process that asks for them.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const REQUEST: libc::c_long = 0x1023;
    const TILES: libc::c_long = 18;
    // SAFETY: the call reads no memory; kernels that do not know it say so.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILES) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// The shapes of all tiles, as `ldtilecfg` reads them.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_of_row: [u16; 16],
    rows: [u8; 16],
}

const BYTES_OF_ROW: u16 = 64;

impl Shapes {
    /// Sums and parts of rows have so many rows, parts of weights always 16 pairs of k.
    fn of(rows: usize) -> Self {
        let rows = u8::try_from(rows).expect("rows of a tile");
        let weights = 16;
        let mut shapes = Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_of_row: [0; 16],
            rows: [0; 16],
        };
        shapes.bytes_of_row[..8].fill(BYTES_OF_ROW);
        shapes.rows[..8].copy_from_slice(&[rows, rows, rows, rows, rows, rows, weights, weights]);
        shapes
    }
}

/// All vectors' products of one part of the rows, which is in the tile `$rows`, and part `$part` of the weights.
macro_rules! products {
    ($rows:literal, $part:literal, $vectors:literal, [$($vector:literal => $tile:literal),*]) => {
        concat!($(
            "tileloadd ", $tile, ", [{weights} + {line}*1 + 1024*(", $part, "*", $vectors, "+", $vector, ")]\n",
            "tdpbf16ps tmm", $vector, ", ", $rows, ", ", $tile, "\n",
        )*)
    };
}

/// Adds the products of all blocks to the sums of `$vectors` vectors.
macro_rules! multiply {
    ($tiles:ident, $vectors:literal, [$($vector:literal),*], $alternating:tt) => {
        asm!(
            concat!($("tileloadd tmm", $vector, ", [{sums} + {apart}*1 + 64*", $vector, "]\n",)*),
            "2:",
            "tileloadd tmm4, [{rows} + {line}*1]",
            products!("tmm4", 0, $vectors, $alternating),
            products!("tmm4", 1, $vectors, $alternating),
            products!("tmm4", 2, $vectors, $alternating),
            "tileloadd tmm5, [{rows} + {line}*1 + 1024]",
            products!("tmm5", 0, $vectors, $alternating),
            products!("tmm5", 1, $vectors, $alternating),
            "tileloadd tmm4, [{rows} + {line}*1 + 2048]",
            products!("tmm4", 0, $vectors, $alternating),
            "add {rows}, 3072",
            concat!("add {weights}, 3072*", $vectors),
            "dec {blocks}",
            "jnz 2b",
            concat!($("tilestored [{sums} + {apart}*1 + 64*", $vector, "], tmm", $vector, "\n",)*),
            rows = inout(reg) $tiles.rows => _,
            weights = inout(reg) $tiles.weights => _,
            blocks = inout(reg) $tiles.blocks => _,
            sums = in(reg) $tiles.sums,
            line = in(reg) 64_usize,
            apart = in(reg) 64_usize * $vectors,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

impl MatrixUnit for Amx {
    #[inline(always)]
    fn prepare(self, rows: usize) {
        assert!((1..=ROWS).contains(&rows), "rows of a tile");
        let shapes = Shapes::of(rows);
        // SAFETY: `self` proves that the CPU has tiles; these shapes are some that they can have. Tiles are
        // no registers that the compiler uses.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, preserves_flags, readonly));
        }
    }

    #[inline(always)]
    fn release(self) {
        // SAFETY: `self` proves that the CPU has tiles, of which none is in use.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) }
    }

    #[inline(always)]
    unsafe fn multiply<const VECTORS: usize>(self, tiles: Tiles) {
        debug_assert!(tiles.blocks > 0, "blocks of a product");
        // SAFETY: `self` proves that the CPU has tiles; the caller vouches for their shapes and the memory.
        unsafe {
            match VECTORS {
                1 => multiply!(tiles, 1, [0], [0 => "tmm6"]),
                2 => multiply!(tiles, 2, [0, 1], [0 => "tmm6", 1 => "tmm7"]),
                3 => multiply!(tiles, 3, [0, 1, 2], [0 => "tmm6", 1 => "tmm7", 2 => "tmm6"]),
                4 => multiply!(
                    tiles,
                    4,
                    [0, 1, 2, 3],
                    [0 => "tmm6", 1 => "tmm7", 2 => "tmm6", 3 => "tmm7"]
                ),
                other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
            }
        }
    }
}
