//! VNNI and AMX on CPUs without: instructions that they do not know are done in software, where they stand.
//!
//! Linux hands the registers of a thread that met such an instruction to a handler of `SIGILL`, and takes
//! them back when it returns. They lie as `XSAVE` writes them; CPUID leaf 13 says where what is.

#![allow(dead_code, reason = "each test takes what it needs")]

pub(crate) mod tiles;

use std::arch::x86_64::{
    __cpuid_count, _mm256_dpbusd_avx_epi32, _mm256_setzero_si256, _mm512_dpbusd_epi32,
    _mm512_setzero_si512, CpuidResult,
};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use ritornello_kernels::Isa;

/// Instructions that were done.
static DONE: AtomicUsize = AtomicUsize::new(0);

/// How many instructions have been done in software.
pub(crate) fn instructions_done() -> usize {
    DONE.load(Ordering::Relaxed)
}

/// Does these instructions from now on, if the CPU does not.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: all zeros are an action; the handler is one that takes three arguments.
        let refused = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_illegal_instruction as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGILL, &raw const action, ptr::null_mut())
        };
        assert_eq!(refused, 0, "a handler of SIGILL");
    });
}

/// Whether the CPU does the VNNI instruction of a level by itself. What it says of itself is no answer: a virtual
/// machine may hide an instruction that its CPU does.
///
/// # Safety
///
/// The CPU has the level. (The answer is right while no other instruction is emulated.)
pub(crate) unsafe fn is_vnni_native(isa: Isa) -> bool {
    #[target_feature(enable = "avxvnni")]
    fn of_avx2() {
        let zero = black_box(_mm256_setzero_si256());
        black_box(_mm256_dpbusd_avx_epi32(zero, zero, zero));
    }
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn of_avx512() {
        let zero = black_box(_mm512_setzero_si512());
        black_box(_mm512_dpbusd_epi32(zero, zero, zero));
    }
    install();
    let before = instructions_done();
    // SAFETY: the CPU has the level, for which the caller vouches, and knows the instruction or it is emulated.
    unsafe {
        match isa {
            Isa::Avx512 => of_avx512(),
            _ => of_avx2(),
        }
    }
    instructions_done() == before
}

/// What the CPU does not know and this does not either ends the process as ever.
unsafe extern "C" fn on_illegal_instruction(
    _: i32,
    _: *const libc::siginfo_t,
    context: *mut c_void,
) {
    // SAFETY: the system gives a context whose registers nobody else uses meanwhile.
    let done = unsafe { Thread::new(context).step() };
    if done {
        DONE.fetch_add(1, Ordering::Relaxed);
    } else {
        // SAFETY: the default is an action of every signal; the instruction is met again.
        unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) };
    }
}

/// The registers of a thread that waits.
struct Thread<'a> {
    general: &'a mut [i64],
    /// What `XSAVE` wrote.
    vectors: *mut u8,
}

/// Parts of `XSAVE`'s area, by their numbers: the halves of registers 0 to 15, and registers 16 to 31.
const LOW: u32 = 1;
const SECOND_QUARTER: u32 = 2;
const UPPER_HALF: u32 = 6;
const MORE_REGISTERS: u32 = 7;

/// Where the area says which of its parts are not all zeros.
const IN_USE: usize = 512;

impl Thread<'_> {
    /// # Safety
    ///
    /// A handler's context, which nobody else uses.
    unsafe fn new(context: *mut c_void) -> Self {
        // SAFETY: passed on.
        let machine = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext };
        Self { general: &mut machine.gregs, vectors: machine.fpregs.cast() }
    }

    /// Does the instruction that the thread has come to, if it is one of those.
    unsafe fn step(&mut self) -> bool {
        const LONGEST: usize = 15;
        let at = self.general(Register::RIP);
        // SAFETY: the instruction is there, and behind it the rest of a kernel.
        let code = unsafe { std::slice::from_raw_parts(at as *const u8, LONGEST) };
        let instruction = Decoder::with_ip(64, code, at, DecoderOptions::NONE).decode();
        if instruction.mnemonic() == Mnemonic::Vpdpbusd && !instruction.has_op_mask() {
            // SAFETY: its operands are what it says.
            unsafe { self.dot_bytes(&instruction) };
        // SAFETY: likewise.
        } else if !unsafe { tiles::step(&instruction, |register| self.general(register)) } {
            return false;
        }
        self.general[libc::REG_RIP as usize] = instruction.next_ip().cast_signed();
        true
    }

    /// Adds the products of unsigned and signed bytes, four to each integer.
    unsafe fn dot_bytes(&mut self, instruction: &Instruction) {
        let to = instruction.op0_register();
        let mut sums = self.vector(to);
        let unsigned = self.vector(instruction.op1_register());
        let signed = match instruction.op2_kind() {
            OpKind::Register => self.vector(instruction.op2_register()),
            // SAFETY: passed on.
            _ => unsafe { self.memory(instruction, to.size()) },
        };
        let fours = unsigned.as_chunks::<4>().0.iter().zip(signed.as_chunks::<4>().0);
        for (sum, (a, b)) in sums.as_chunks_mut::<4>().0.iter_mut().zip(fours) {
            let products =
                a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b.cast_signed()));
            *sum = products.fold(i32::from_le_bytes(*sum), i32::wrapping_add).to_le_bytes();
        }
        sums[to.size()..].fill(0);
        self.set_vector(to, sums);
    }

    /// What an instruction reads from memory: so many bytes, or four of them again and again.
    unsafe fn memory(&self, instruction: &Instruction, size: usize) -> [u8; 64] {
        let value = |register, _, _| Some(self.general(register));
        let at = instruction.virtual_address(2, 0, value).expect("an address of registers");
        let mut bytes = [0; 64];
        let step = if instruction.is_broadcast() { 4 } else { size };
        for to in bytes[..size].chunks_exact_mut(step) {
            // SAFETY: passed on.
            unsafe { ptr::copy_nonoverlapping(at as *const u8, to.as_mut_ptr(), step) };
        }
        bytes
    }

    fn general(&self, register: Register) -> u64 {
        let index = match register {
            Register::RAX => libc::REG_RAX,
            Register::RBX => libc::REG_RBX,
            Register::RCX => libc::REG_RCX,
            Register::RDX => libc::REG_RDX,
            Register::RSI => libc::REG_RSI,
            Register::RDI => libc::REG_RDI,
            Register::RBP => libc::REG_RBP,
            Register::RSP => libc::REG_RSP,
            Register::R8 => libc::REG_R8,
            Register::R9 => libc::REG_R9,
            Register::R10 => libc::REG_R10,
            Register::R11 => libc::REG_R11,
            Register::R12 => libc::REG_R12,
            Register::R13 => libc::REG_R13,
            Register::R14 => libc::REG_R14,
            Register::R15 => libc::REG_R15,
            Register::RIP => libc::REG_RIP,
            // Segments start at 0.
            _ => return 0,
        };
        self.general[usize::try_from(index).expect("an index")].cast_unsigned()
    }

    /// The bytes of a vector register of any size, behind them zeros where it is a smaller one's.
    fn vector(&self, register: Register) -> [u8; 64] {
        let mut bytes = [0; 64];
        for (part, at, range) in parts(register) {
            if self.in_use() & 1 << part != 0 {
                // SAFETY: the part is inside the area.
                unsafe {
                    let to = bytes[range.clone()].as_mut_ptr();
                    ptr::copy_nonoverlapping(self.vectors.add(at), to, range.len());
                }
            }
        }
        bytes[register.size()..].fill(0);
        bytes
    }

    fn set_vector(&mut self, register: Register, bytes: [u8; 64]) {
        for (part, at, range) in parts(register) {
            let (in_use, CpuidResult { eax: size, ebx: start, .. }) = (self.in_use(), leaf(part));
            // SAFETY: the part is inside the area, which says so from now on.
            unsafe {
                if in_use & 1 << part == 0 && part != LOW {
                    ptr::write_bytes(self.vectors.add(start as usize), 0, size as usize);
                }
                self.vectors.add(IN_USE).cast::<u64>().write_unaligned(in_use | 1 << part);
                ptr::copy_nonoverlapping(
                    bytes[range.clone()].as_ptr(),
                    self.vectors.add(at),
                    range.len(),
                );
            }
        }
    }

    fn in_use(&self) -> u64 {
        // SAFETY: the area is longer.
        unsafe { self.vectors.add(IN_USE).cast::<u64>().read_unaligned() }
    }
}

/// Where the bytes of a vector register are: parts of the area, places, and which bytes.
fn parts(register: Register) -> Vec<(u32, usize, std::ops::Range<usize>)> {
    let number = register.number();
    let place = |part, size: usize| leaf(part).ebx as usize + size * (number % 16);
    if number >= 16 {
        return vec![(MORE_REGISTERS, place(MORE_REGISTERS, 64), 0..64)];
    }
    let mut parts =
        vec![(LOW, 160 + 16 * number, 0..16), (SECOND_QUARTER, place(SECOND_QUARTER, 16), 16..32)];
    if is_x86_feature_detected!("avx512f") {
        parts.push((UPPER_HALF, place(UPPER_HALF, 32), 32..64));
    }
    parts
}

/// Where a part of the area is and how long.
fn leaf(part: u32) -> CpuidResult {
    #[allow(unused_unsafe, reason = "newer compilers know that there is this instruction")]
    // SAFETY: a CPU with AVX has this leaf.
    unsafe {
        __cpuid_count(13, part)
    }
}
