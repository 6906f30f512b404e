// SPDX-License-Identifier: GPL-2.0

//! A driver in Rust that does not care, for the tests: it answers for every second
//! page and drops the batch, and drops each read as it is.
//!
//! Of a region with the algorithm `keep` it keeps the batch beyond the deadline, and
//! drops it when a mapping goes away. What regions hold with it is lost.

use kernel::{
    prelude::*,
    sync::SpinLock, //
};
use swapvma_driver::prelude::*;

struct Careless;
swapvma_driver::module_swap_driver! {
    type: Careless,
    name: "rust_careless",
    description: "A swap driver that drops what it gets",
    license: "GPL",
}

#[pin_data]
struct State {
    keeps: bool,
    #[pin]
    batch: SpinLock<Option<Batch>>,
}

impl Driver for Careless {
    const NAME: &'static CStr = c"rust_careless";
    const DEADLINE_MS: u32 = 1000;
    type Handle = Pin<KBox<State>>;

    fn attach(args: &Attach<'_>) -> Result<Self::Handle> {
        let keeps = match args.algorithm().to_bytes() {
            b"" => false,
            b"keep" => true,
            _ => return Err(EINVAL),
        };
        KBox::pin_init(
            pin_init!(State {
                keeps,
                batch <- kernel::new_spinlock!(None, "rust_careless"),
            }),
            GFP_KERNEL,
        )
    }

    fn swapout(state: Pin<&State>, mut batch: Batch) {
        if state.keeps {
            *state.batch.lock() = Some(batch);
            return;
        }
        for i in 0..batch.len() {
            if let Some(index) = batch.index(i).filter(|index| index % 2 == 0) {
                batch.answer(i, Slot::try_from(index));
            }
        }
    }

    fn swapin(_state: Pin<&State>, _read: Read) {}

    fn discard(_state: Pin<&State>, _slot: Slot) {}

    fn vma_close(state: Pin<&State>, _first: u64, _nr: u64) {
        let batch = state.batch.lock().take();
        drop(batch);
    }
}
