// SPDX-License-Identifier: GPL-2.0

//! Notifiers: what the core calls when something happens to the whole machine.
//!
//! C header: [`include/linux/notifier.h`](srctree/include/linux/notifier.h)

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// What is called.
pub(crate) type Call =
    unsafe extern "C" fn(*mut bindings::notifier_block, c_ulong, *mut c_void) -> c_int;

/// Puts a notifier on a chain, or takes it off.
pub(crate) type Change = unsafe extern "C" fn(*mut bindings::notifier_block) -> c_int;

/// A registered notifier.
///
/// # Invariants
///
/// The block is on the chain that `unregister` takes it off.
#[pin_data(PinnedDrop)]
pub(crate) struct Notifier {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    unregister: Change,
}

// SAFETY: A notifier may be unregistered from any task.
unsafe impl Send for Notifier {}
// SAFETY: Nothing can be done with a shared one.
unsafe impl Sync for Notifier {}

impl Notifier {
    /// Registers the notifier. May sleep.
    ///
    /// # Safety
    ///
    /// `register` and `unregister` are of the same chain, which may call `call`.
    pub(crate) unsafe fn new(
        call: Call,
        register: Change,
        unregister: Change,
    ) -> impl PinInit<Self, Error> {
        let block = Opaque::try_ffi_init(move |block: *mut bindings::notifier_block| {
            // SAFETY: `block` points at room for one.
            unsafe {
                block.write(bindings::notifier_block {
                    notifier_call: Some(call),
                    ..Default::default()
                })
            };
            // SAFETY: The block is initialised, and stays until `drop`.
            to_result(unsafe { register(block) })
        });
        // INVARIANT: Just registered.
        try_pin_init!(Self {
            block <- block,
            unregister,
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Notifier {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant.
        let _ = unsafe { (self.unregister)(self.block.get()) };
    }
}
