//! The module's memory.
//!
//! Blocks are powers of two, each at a multiple of its size; a list per size has those that are free. A larger one is
//! split where there is none, and they are never joined again: each size keeps what it needed at most, so memory is
//! bounded by the most of each size, whatever the order. A tenth of the size of the standard library's allocator.
#![expect(unsafe_code, reason = "memory by hand is what this is")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

const PAGE: usize = 65_536;
/// The smallest block has room for the link of its list.
const SMALLEST: usize = 16;

/// Blocks of memory that a function gets from the host: so many bytes, at a multiple of [`SMALLEST`]; 0 if there are none.
pub(crate) struct Blocks {
    free: UnsafeCell<Free>,
    grow: fn(usize) -> usize,
}

struct Free {
    /// The first free block of each power of two; it holds the address of the next one.
    lists: [usize; usize::BITS as usize],
    /// Memory that was never used.
    from: usize,
    to: usize,
}

// SAFETY: the module has one thread; tests use each in one.
unsafe impl Sync for Blocks {}

impl Blocks {
    pub(crate) const fn new(grow: fn(usize) -> usize) -> Self {
        Self { free: UnsafeCell::new(Free { lists: [0; _], from: 0, to: 0 }), grow }
    }
}

/// Returns the power of two that has room for this.
fn power(layout: Layout) -> u32 {
    layout.size().max(layout.align()).max(SMALLEST).next_power_of_two().trailing_zeros()
}

impl Free {
    /// # Safety
    /// Nobody uses the block any more.
    unsafe fn give(&mut self, block: usize, power: u32) {
        let Some(first) = self.lists.get_mut(power as usize) else { return };
        // SAFETY: it is aligned to its size, which is at least that of the link.
        unsafe { *(block as *mut usize) = *first };
        *first = block;
    }

    /// Takes a free block of this size, or splits a larger one.
    fn take(&mut self, power: u32) -> Option<usize> {
        let larger = self.lists.iter_mut().enumerate().skip(power as usize);
        let (of, first) = larger.into_iter().find(|(_, first)| **first != 0)?;
        let block = *first;
        // SAFETY: a block in the list holds the next one's address.
        *first = unsafe { *(block as *const usize) };
        for half in (power..of as u32).rev() {
            // SAFETY: the block is ours, and this is its upper half.
            unsafe { self.give(block + (1 << half), half) };
        }
        Some(block)
    }

    /// Takes a block from memory that was never used; what is left before it is free.
    fn fresh(&mut self, power: u32, grow: fn(usize) -> usize) -> Option<usize> {
        let size = 1_usize << power;
        let mut block = self.from.next_multiple_of(size);
        if block + size > self.to {
            let wanted = (size * 2).next_multiple_of(PAGE);
            let found = grow(wanted);
            if found == 0 {
                return None;
            }
            if found != self.to {
                self.spare(self.to);
                self.from = found;
            }
            self.to = found + wanted;
            block = self.from.next_multiple_of(size);
        }
        self.spare(block);
        self.from = block + size;
        Some(block)
    }

    /// Makes free blocks of the memory up to here.
    fn spare(&mut self, to: usize) {
        while self.from < to {
            let fits = (to - self.from).ilog2();
            let power = self.from.trailing_zeros().min(fits);
            // SAFETY: the memory was never used.
            unsafe { self.give(self.from, power) };
            self.from += 1 << power;
        }
    }
}

// SAFETY: a block is in a list, in unused memory, or in use, and at a multiple of its size, which has room for the layout.
unsafe impl GlobalAlloc for Blocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and nothing in here calls back.
        let free = unsafe { &mut *self.free.get() };
        let power = power(layout);
        free.take(power).or_else(|| free.fresh(power, self.grow)).map_or(null_mut(), |block| block as *mut u8)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; the caller does not use the block any more.
        unsafe { (*self.free.get()).give(block as usize, power(layout)) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps to the rules for sizes.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if power(wanted) == power(layout) {
            return block;
        }
        // SAFETY: the blocks are two, and the caller's has so many bytes.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, size.min(layout.size()));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static MEMORY: Blocks = Blocks::new(|bytes| {
    let pages = std::arch::wasm32::memory_grow::<0>(bytes / PAGE);
    if pages == usize::MAX { 0 } else { pages * PAGE }
});

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that gives memory in pieces that are no neighbours.
    fn pieces(bytes: usize) -> usize {
        let layout = Layout::from_size_align(bytes + PAGE, PAGE).unwrap();
        // SAFETY: the layout is not empty.
        unsafe { std::alloc::alloc(layout) as usize }
    }

    /// The memory that it was asked for since the beginning.
    fn counted(bytes: usize) -> usize {
        ASKED.with(|asked| asked.set(asked.get() + bytes));
        pieces(bytes)
    }

    thread_local! {
        static ASKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    struct Held {
        block: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Held {
        fn is_intact(&self) -> bool {
            // SAFETY: the block is held, and was filled.
            let bytes = unsafe { std::slice::from_raw_parts(self.block, self.layout.size()) };
            (self.block as usize).is_multiple_of(self.layout.align()) && bytes.iter().all(|byte| *byte == self.mark)
        }
    }

    fn hold(blocks: &Blocks, size: usize, align: usize, mark: u8) -> Held {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the layout is not empty, and the block has its size.
        unsafe {
            let block = blocks.alloc(layout);
            block.write_bytes(mark, size);
            Held { block, layout, mark }
        }
    }

    #[test]
    fn blocks_keep_what_is_in_them_whatever_comes_and_goes() {
        let blocks = Blocks::new(pieces);
        let mut held: Vec<Held> = Vec::new();
        let mut random = 7_u64;
        for round in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round | 1);
            let (dice, place) = (random >> 33, (random >> 40) as usize);
            match dice % 4 {
                0 | 1 if held.len() < 200 => {
                    let size = 1 + (dice as usize >> 4) % (1 << (place % 14));
                    held.push(hold(&blocks, size, 1 << (place % 5), dice as u8));
                }
                2 if !held.is_empty() => {
                    let index = place % held.len();
                    let old = &mut held[index];
                    let size = 1 + (dice as usize >> 4) % 5_000;
                    // SAFETY: the block is held, and its first bytes stay.
                    unsafe {
                        old.block = blocks.realloc(old.block, old.layout, size);
                        let kept = std::slice::from_raw_parts(old.block, size.min(old.layout.size()));
                        assert!(kept.iter().all(|byte| *byte == old.mark));
                        old.block.write_bytes(old.mark, size);
                    }
                    old.layout = Layout::from_size_align(size, old.layout.align()).unwrap();
                }
                _ if !held.is_empty() => {
                    let old = held.swap_remove(place % held.len());
                    assert!(old.is_intact());
                    // SAFETY: it is not used any more.
                    unsafe { blocks.dealloc(old.block, old.layout) };
                }
                _ => {}
            }
        }
        assert!(held.iter().all(Held::is_intact));
    }

    #[test]
    fn memory_that_was_given_back_is_used_again() {
        let blocks = Blocks::new(counted);
        let round = |size: usize| {
            let held: Vec<Held> = (0..100).map(|mark| hold(&blocks, size, 8, mark)).collect();
            for old in held {
                assert!(old.is_intact());
                // SAFETY: it is not used any more.
                unsafe { blocks.dealloc(old.block, old.layout) };
            }
        };
        [5_000, 100, 20, 1_000, 5_000].into_iter().for_each(round);
        let asked = ASKED.with(std::cell::Cell::get);
        for _ in 0..50 {
            [1_000, 20, 5_000, 100].into_iter().for_each(round);
        }
        assert_eq!(ASKED.with(std::cell::Cell::get), asked);
        // The most of each size.
        assert!(asked <= 100 * (8_192 + 128 + 32 + 1_024) + PAGE, "{asked}");
    }
}
