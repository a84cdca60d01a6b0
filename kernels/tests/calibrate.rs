//! The numbers of a calibration can be times and speeds; how great they are is no test's business.

use ritornello_kernels::{Calibration, Kernels};

const SMALL: usize = 16 << 10;
const LARGE: usize = 64 << 20;

fn is_measure(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

#[test]
fn every_level_has_numbers() {
    for kernels in Kernels::available() {
        let calibration = kernels.calibrate();
        println!("{}: {calibration:?}", kernels.isa());
        let Calibration {
            peak_gflops,
            fma_latency,
            division_latency,
            division_interval,
            store_to_load,
            ..
        } = calibration;
        let numbers =
            [peak_gflops, fma_latency, division_latency, division_interval, store_to_load];
        assert!(numbers.into_iter().all(is_measure), "{}: {calibration:?}", kernels.isa());
        let split = calibration.split_gflops;
        assert_eq!(is_measure(split), kernels.has_matrix_unit(), "{}: {split}", kernels.isa());
        assert!(is_measure(kernels.spend(10)), "{}", kernels.isa());
    }
}

#[test]
fn near_memory_is_no_slower_than_far_memory() {
    for kernels in Kernels::available() {
        let [small, large] = [SMALL, LARGE].map(|bytes| kernels.read_bandwidth(bytes));
        println!("{}: 16 KiB {small:.1} GB/s, 64 MiB {large:.1} GB/s", kernels.isa());
        assert!(is_measure(small) && is_measure(large), "{}: {small} {large}", kernels.isa());
        assert!(small >= 0.5 * large, "{}: {small} {large}", kernels.isa());
    }
}

#[test]
fn any_number_of_bytes_can_be_read() {
    for kernels in Kernels::available() {
        for bytes in [0, 1, 4096, 4100, 12_345] {
            assert!(is_measure(kernels.read_bandwidth(bytes)), "{}: {bytes}", kernels.isa());
        }
    }
}
