// SPDX-License-Identifier: GPL-2.0

//! Reader: threads that read for faults that may not give up their lock.

use crate::{
    error::Result,
    read::Read,
    workqueue::{
        Running,
        Workqueue, //
    },
};
use kernel::sync::Arc;

static READERS: Workqueue = Workqueue::new();

/// Starts the readers, which end when the value is dropped. May sleep and allocate.
pub(crate) fn run() -> Result<Running> {
    READERS.run(c"swapvma_readers")
}

/// Reads in a reader thread. Called while a region is open, and thus the
/// module loaded. Any context.
pub(crate) fn enqueue(read: Arc<Read>) {
    // A read is queued once.
    let _ = READERS.enqueue(read);
}
