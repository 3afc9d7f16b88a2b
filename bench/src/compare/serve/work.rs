//! The job that the handlers of one mode give to the threads for calls that block.

/// Some 20 µs of arithmetic. `bench/go/serve.go` does the same.
pub(super) fn work() -> u64 {
    let mut value = std::hint::black_box(1_u64);
    for _ in 0..ROUNDS {
        value ^= value >> 12;
        value ^= value << 25;
        value ^= value >> 27;
        value = value.wrapping_mul(0x2545_f491_4f6c_dd1d);
    }
    value
}

/// Arbitrary: as long as a lookup in a small local database.
const ROUNDS: u32 = 5_000;
