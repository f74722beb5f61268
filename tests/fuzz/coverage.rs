//! What code an input reached, if the library was compiled by `.ci/with-coverage` to count it.
//!
//! Without that there are no counters, and nothing is ever new.

use std::{
    ptr, slice,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed},
};

const CHUNK: usize = 64;

static FIRST: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Called before `main`, once for each module, always with the counters of all:
/// <https://clang.llvm.org/docs/SanitizerCoverage.html#inline-8bit-counters>.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    FIRST.store(start, Relaxed);
    COUNT.store(stop.addr() - start.addr(), Relaxed);
}

/// What has been reached so far.
pub struct Reached {
    /// For each edge, how often it was taken, as a set of orders of magnitude.
    seen: Vec<u8>,
}

impl Reached {
    pub fn nothing() -> Self {
        Self { seen: vec![0; counters().len()] }
    }

    /// Runs `what`, and says whether it reached code that nothing before it did, or some more often.
    pub fn anew(&mut self, what: impl FnOnce()) -> bool {
        counters().fill(0);
        what();
        let mut anew = false;
        for (seen, counters) in self.seen.chunks_mut(CHUNK).zip(counters().chunks(CHUNK)) {
            // Nearly all are zero.
            if *counters != [0; CHUNK][..counters.len()] {
                for (seen, count) in seen.iter_mut().zip(counters) {
                    let before = *seen;
                    *seen |= magnitude(*count);
                    anew |= *seen != before;
                }
            }
        }
        anew
    }

    /// How many edges were reached, and how many there are.
    pub fn edges(&self) -> (usize, usize) {
        (self.seen.iter().filter(|seen| **seen != 0).count(), self.seen.len())
    }
}

fn magnitude(count: u8) -> u8 {
    match count {
        0 => 0,
        1..=3 => 1 << (count - 1),
        4..=7 => 1 << 3,
        8..=15 => 1 << 4,
        16..=31 => 1 << 5,
        32..=127 => 1 << 6,
        128.. => 1 << 7,
    }
}

fn counters() -> &'static mut [u8] {
    let first = FIRST.load(Relaxed);
    if first.is_null() {
        return &mut [];
    }
    // SAFETY: the linker laid out these bytes for the life of the program. The targets run one after the other, and each
    // on one thread, so that nothing counts while they are read.
    unsafe { slice::from_raw_parts_mut(first, COUNT.load(Relaxed)) }
}
