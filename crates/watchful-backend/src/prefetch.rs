//! What a walk will look at next, on its way to the processor before it is asked for.
//!
//! The rows of a walk are small and lie in pages that were written one after the other. Where none of it is in the
//! processor's caches each row waits for memory by itself: of 42 µs that a walk over 100 rows of 340 bytes among a
//! million took, some 25 were such waits (2026-11). So with each row what lies one page on is asked for.

/// The size of LMDB's pages on the machines this is for. Another size makes it less useful, and nothing wrong.
const PAGE: usize = 4096;

/// What the processor fetches at once.
const LINE: usize = 64;

/// What LMDB keeps of a row before its key.
const NODE_HEADER: usize = 8;

/// Where a walk is.
#[derive(Default)]
pub(crate) struct Ahead {
    page: usize,
}

impl Ahead {
    /// The walk has come to this entry.
    pub(crate) fn come_to(&mut self, key: &[u8], value: &[u8]) {
        let start = key.as_ptr().addr();
        let page = start & !(PAGE - 1);
        let page_end = page.wrapping_add(PAGE);
        if page != self.page {
            let is_expected = page == self.page.wrapping_add(PAGE);
            self.page = page;
            // Where its rows are is in its first line.
            prefetch(page_end, LINE);
            if !is_expected {
                prefetch(page, PAGE);
            }
        }
        // The rows of a page fill it, whatever their sizes are; so what lies a page on from this one is a part of others.
        let end = value.as_ptr().addr().wrapping_add(value.len());
        if (start..page_end).contains(&end) {
            prefetch(start - NODE_HEADER + PAGE, end - start + NODE_HEADER);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the standard library has no other word for it")]
fn prefetch(start: usize, len: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for ahead in (0..len).step_by(LINE) {
        let at = std::ptr::without_provenance::<i8>(start.wrapping_add(ahead));
        // SAFETY: a prefetch is a hint. It reads nothing that the program sees, and an address where nothing is, or nothing
        // that may be read, is passed over by the processor.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_start: usize, _len: usize) {
    // Stable Rust has no prefetch for other processors yet.
    const _: usize = LINE;
}
