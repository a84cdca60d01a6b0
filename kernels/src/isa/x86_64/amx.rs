//! AMX beside AVX-512: eight tiles of 16 rows of 64 bytes, and products of bf16 and of bytes.
//!
//! Tiles: 0 to 3 sums, one for each vector. Of numbers in parts 4 and 5 parts of the rows, 6 and 7 those of the
//! weights; of bytes 4 rows and 5 weights, 6 and 7 what is left of them behind whole tiles. A product waits for the
//! last one of the same sums, so those of different vectors follow each other.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

use super::avx512::{Avx512, vnni};
use crate::bf16::ALL_PARTS;
use crate::buffer::AlignedBuffer;
use crate::calibrate::unit::multiply_tiles;
use crate::gemm::weights::{BytesByUnit, InTiles};
use crate::kernels::{Kernels, Unit, kernel_table};
use crate::matrix_unit::{Bytes, MatrixUnit, ROWS, Tiles};

/// Proof that the CPU has AMX for bf16 and bytes, and that the process may use it: only the tables of this file
/// make one.
#[derive(Clone, Copy)]
pub(crate) struct Amx(());

kernel_table!(
    @products bf16,
    InTiles::<Amx, false>(Amx(())),
    ["avx512f,avx512bw,avx2,fma"],
    Avx512::<false>::new()
);

kernel_table!(
    @products split,
    InTiles::<Amx, true>(Amx(())),
    ["avx512f,avx512bw,avx2,fma"],
    Avx512::<false>::new()
);

kernel_table!(
    @products int8,
    BytesByUnit(Amx(())),
    ["avx512f,avx512bw,avx2,fma,avx512vnni"],
    Avx512::<true>::new()
);

/// The stage functions of AVX-512 with VNNI, and those that the unit does if it may.
pub(crate) static KERNELS: Kernels = with_unit(is_permitted);

/// The same for tests, where the unit is one that the process may use, or emulated.
pub(crate) static KERNELS_WITH_UNIT: Kernels = with_unit(|| true);

const fn with_unit(is_permitted: fn() -> bool) -> Kernels {
    let (bf16, split, int8) = (bf16::PRODUCTS, split::PRODUCTS, int8::PRODUCTS);
    Kernels { unit: Some(Unit { bf16, split, int8, is_permitted, probe }), ..vnni::KERNELS }
}

unsafe fn probe(words: &mut AlignedBuffer, rounds: usize) {
    // SAFETY: passed on.
    unsafe { multiply_tiles(Amx(()), words, rounds) }
}

/// Whether the CPU has all of it, and the system saves it.
pub(crate) fn detected() -> bool {
    static DETECTED: OnceLock<bool> = OnceLock::new();
    *DETECTED.get_or_init(|| vnni::detected() && has_tiles())
}

fn has_tiles() -> bool {
    const BF16_TILES_AND_BYTES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    const CONFIGURATION_AND_DATA: u64 = 1 << 17 | 1 << 18;
    /// What the system saves of a thread's registers. AVX-512, which was found before, is not found without.
    #[target_feature(enable = "xsave")]
    fn saved() -> u64 {
        // SAFETY: register 0 is there.
        unsafe { _xgetbv(0) }
    }
    // SAFETY: AVX-512 was found by what these read.
    let (leaf, saved) = unsafe { (__cpuid_count(7, 0), saved()) };
    leaf.edx & BF16_TILES_AND_BYTES == BF16_TILES_AND_BYTES
        && saved & CONFIGURATION_AND_DATA == CONFIGURATION_AND_DATA
}

/// Linux gives the registers of tiles to a process that asks for them, once for all threads. Signals then need
/// larger stacks, which is why it may refuse, and why nobody asks who has no use for them.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const REQUEST: libc::c_long = 0x1023;
    const TILES: libc::c_long = 18;
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    // SAFETY: the call reads no memory; kernels that do not know it say so.
    let ask = || unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILES) == 0 };
    *PERMITTED.get_or_init(ask)
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
/// Words of four bytes in a row of a tile.
const WORDS_OF_ROW: usize = 16;

impl Shapes {
    /// Rows and bytes of a row of each tile: both are 0 of one that is not used.
    fn new(shapes: [(u8, u16); 8]) -> Self {
        let mut all = Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_of_row: [0; 16],
            rows: [0; 16],
        };
        for (tile, (rows, bytes)) in shapes.into_iter().enumerate() {
            (all.rows[tile], all.bytes_of_row[tile]) = (rows, bytes);
        }
        all
    }

    /// Of numbers in parts: sums and rows have so many rows, weights always 16 pairs of k.
    fn of_parts(rows: usize) -> Self {
        let (rows, weights) = ((of_rows(rows), BYTES_OF_ROW), (16, BYTES_OF_ROW));
        Self::new([rows, rows, rows, rows, rows, rows, weights, weights])
    }

    /// Of so many bytes, four in a word: those in whole tiles, and those behind them.
    #[allow(clippy::cast_possible_truncation, reason = "less than a tile's words are left")]
    fn of_bytes(rows: usize, words: usize) -> Self {
        let (rows, weights) = ((of_rows(rows), BYTES_OF_ROW), (16, BYTES_OF_ROW));
        let left = (words % WORDS_OF_ROW) as u8;
        let (rows_left, weights_left) = match left {
            0 => ((0, 0), (0, 0)),
            left => ((rows.0, 4 * u16::from(left)), (left, BYTES_OF_ROW)),
        };
        Self::new([rows, rows, rows, rows, rows, weights, rows_left, weights_left])
    }

    /// Makes tiles so of this thread.
    #[inline(always)]
    fn apply(self, _: Amx) {
        // SAFETY: the proof is there that the CPU has tiles; these shapes are some that they can have. Tiles are
        // no registers that the compiler uses.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) &raw const self,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, readonly)
            );
        }
    }
}

/// Rows of a tile, 1 to 16.
fn of_rows(rows: usize) -> u8 {
    assert!((1..=ROWS).contains(&rows), "rows of a tile");
    u8::try_from(rows).expect("rows of a tile")
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

/// All products of a block: of the one part, or of all two whose product is large enough.
macro_rules! block {
    (1, $vectors:literal, $alternating:tt) => {
        concat!(
            "tileloadd tmm4, [{rows} + {line}*1]\n",
            products!("tmm4", 0, $vectors, $alternating),
        )
    };
    (3, $vectors:literal, $alternating:tt) => {
        concat!(
            "tileloadd tmm4, [{rows} + {line}*1]\n",
            products!("tmm4", 0, $vectors, $alternating),
            products!("tmm4", 1, $vectors, $alternating),
            products!("tmm4", 2, $vectors, $alternating),
            "tileloadd tmm5, [{rows} + {line}*1 + 1024]\n",
            products!("tmm5", 0, $vectors, $alternating),
            products!("tmm5", 1, $vectors, $alternating),
            "tileloadd tmm4, [{rows} + {line}*1 + 2048]\n",
            products!("tmm4", 0, $vectors, $alternating),
        )
    };
}

/// Adds the products of all blocks, of numbers of `$parts` parts, to the sums of `$vectors` vectors.
macro_rules! multiply {
    ($tiles:ident, $parts:tt, $vectors:literal, [$($vector:literal),*], $alternating:tt) => {
        asm!(
            concat!($("tileloadd tmm", $vector, ", [{sums} + {apart}*1 + 64*", $vector, "]\n",)*),
            "2:",
            block!($parts, $vectors, $alternating),
            concat!("add {rows}, 1024*", $parts),
            concat!("add {weights}, 1024*", $parts, "*", $vectors),
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

/// Adds the products of all bytes to the integers of `$vectors` vectors.
macro_rules! multiply_bytes {
    ($bytes:ident, $vectors:literal, [$($vector:literal),*]) => {
        asm!(
            concat!($("tileloadd tmm", $vector, ", [{sums} + {apart}*1 + 64*", $vector, "]\n",)*),
            "test {tiles}, {tiles}",
            "jz 3f",
            "2:",
            "tileloadd tmm4, [{rows} + {row}*1]",
            concat!($(
                "tileloadd tmm5, [{weights} + {apart}*1 + 64*", $vector, "]\n",
                "tdpbusd tmm", $vector, ", tmm4, tmm5\n",
            )*),
            "add {rows}, 64",
            concat!("add {weights}, 1024*", $vectors),
            "dec {tiles}",
            "jnz 2b",
            "3:",
            "test {left}, {left}",
            "jz 4f",
            "tileloadd tmm6, [{rows} + {row}*1]",
            concat!($(
                "tileloadd tmm7, [{weights} + {apart}*1 + 64*", $vector, "]\n",
                "tdpbusd tmm", $vector, ", tmm6, tmm7\n",
            )*),
            "4:",
            concat!($("tilestored [{sums} + {apart}*1 + 64*", $vector, "], tmm", $vector, "\n",)*),
            rows = inout(reg) $bytes.rows => _,
            weights = inout(reg) $bytes.weights => _,
            tiles = inout(reg) $bytes.words / WORDS_OF_ROW => _,
            left = in(reg) $bytes.words % WORDS_OF_ROW,
            sums = in(reg) $bytes.sums,
            row = in(reg) 4 * $bytes.apart,
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
        Shapes::of_parts(rows).apply(self);
    }

    #[inline(always)]
    fn prepare_bytes(self, rows: usize, words: usize) {
        Shapes::of_bytes(rows, words).apply(self);
    }

    #[inline(always)]
    fn release(self) {
        // SAFETY: `self` proves that the CPU has tiles, of which none is in use.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, nomem)
            );
        }
    }

    #[inline(always)]
    unsafe fn multiply<const PARTS: usize, const VECTORS: usize>(self, tiles: Tiles) {
        debug_assert!(tiles.blocks > 0, "blocks of a product");
        macro_rules! of_vectors {
            ($parts:tt) => {
                match VECTORS {
                    1 => multiply!(tiles, $parts, 1, [0], [0 => "tmm6"]),
                    2 => multiply!(tiles, $parts, 2, [0, 1], [0 => "tmm6", 1 => "tmm7"]),
                    3 => multiply!(
                        tiles,
                        $parts,
                        3,
                        [0, 1, 2],
                        [0 => "tmm6", 1 => "tmm7", 2 => "tmm6"]
                    ),
                    4 => multiply!(
                        tiles,
                        $parts,
                        4,
                        [0, 1, 2, 3],
                        [0 => "tmm6", 1 => "tmm7", 2 => "tmm6", 3 => "tmm7"]
                    ),
                    other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
                }
            };
        }
        // SAFETY: `self` proves that the CPU has tiles; the caller vouches for their shapes and the memory.
        unsafe {
            match PARTS {
                1 => of_vectors!(1),
                ALL_PARTS => of_vectors!(3),
                other => unreachable!("a number has one part or all, not {other}"),
            }
        }
    }

    #[inline(always)]
    unsafe fn multiply_bytes<const VECTORS: usize>(self, bytes: Bytes) {
        // SAFETY: `self` proves that the CPU has tiles; the caller vouches for their shapes and the memory.
        unsafe {
            match VECTORS {
                1 => multiply_bytes!(bytes, 1, [0]),
                2 => multiply_bytes!(bytes, 2, [0, 1]),
                3 => multiply_bytes!(bytes, 3, [0, 1, 2]),
                4 => multiply_bytes!(bytes, 4, [0, 1, 2, 3]),
                other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
            }
        }
    }
}
