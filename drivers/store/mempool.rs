// SPDX-License-Identifier: GPL-2.0

//! Memory pools: values that can be allocated while memory is being freed.
//!
//! C header: [`include/linux/mempool.h`](srctree/include/linux/mempool.h)

use super::{
    atomic::Word,
    bindings as ours, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::Arc, //
};

/// A pool of values that are shared.
///
/// # Invariants
///
/// The pointer is that of a pool whose elements have room for a `Node<T>`.
pub(crate) struct Pool<T> {
    pool: NonNull<bindings::mempool_t>,
    _values: PhantomData<fn(T) -> T>,
}

// SAFETY: Any task may allocate from a pool, and destroy it.
unsafe impl<T> Send for Pool<T> {}
// SAFETY: As above, and any number of them at a time.
unsafe impl<T> Sync for Pool<T> {}

impl<T> Pool<T> {
    /// Creates a pool that always has room for `min` values. May sleep and
    /// allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(min: c_int) -> Result<Arc<Self>> {
        // What `kmalloc` aligns every size to.
        const { assert!(align_of::<Node<T>>() <= align_of::<u64>()) };
        // SAFETY: The functions are those of a pool of `kmalloc` memory, and
        // their argument is the size of an element.
        let pool = unsafe {
            bindings::mempool_create_node_noprof(
                min,
                Some(bindings::mempool_kmalloc),
                Some(bindings::mempool_kfree),
                size_of::<Node<T>>() as *mut c_void,
                bindings::GFP_KERNEL,
                bindings::NUMA_NO_NODE,
            )
        };
        // INVARIANT: As just created.
        let pool = Self {
            pool: NonNull::new(pool).ok_or(ENOMEM)?,
            _values: PhantomData,
        };
        Ok(Arc::new(pool, GFP_KERNEL)?)
    }

    /// Takes room for a value. Process context; when there is none, sleeps until
    /// another value of the pool is dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, which a sleeping allocation from a pool does not return.
    pub(crate) fn reserve(self: &Arc<Self>) -> Result<Room<T>> {
        // SAFETY: By the type invariant the pool exists.
        let node =
            unsafe { bindings::mempool_alloc_noprof(self.pool.as_ptr(), ours::STORE_GFP_NOIO) };
        // INVARIANT: By the type invariant elements are that large.
        Ok(Room {
            node: NonNull::new(node.cast()).ok_or(ENOMEM)?,
            pool: self.clone(),
        })
    }
}

impl<T> Drop for Pool<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the pool exists; each node has a
        // reference to it, so none is left.
        unsafe { bindings::mempool_destroy(self.pool.as_ptr()) };
    }
}

/// Room for a value.
///
/// # Invariants
///
/// The pointer is that of an element of the pool, which nobody else uses.
pub(crate) struct Room<T> {
    node: NonNull<Node<T>>,
    pool: Arc<Pool<T>>,
}

impl<T> Room<T> {
    /// Puts a value there.
    pub(crate) fn fill(self, value: T) -> Shared<T> {
        let this = ManuallyDrop::new(self);
        let node = Node {
            refs: Word::new(1),
            // SAFETY: Nobody uses or drops `this` any more.
            pool: unsafe { core::ptr::read(&this.pool) },
            value,
        };
        // SAFETY: By the type invariant there is room for it.
        unsafe { this.node.write(node) };
        // INVARIANT: The node has one reference.
        Shared(this.node)
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the element is of that pool.
        unsafe { bindings::mempool_free(self.node.as_ptr().cast(), self.pool.pool.as_ptr()) };
    }
}

struct Node<T> {
    refs: Word,
    pool: Arc<Pool<T>>,
    value: T,
}

/// A reference to a value in a pool. The last one drops the value, in any
/// context.
///
/// # Invariants
///
/// The pointer is that of a node, of which this value owns a reference.
pub(crate) struct Shared<T>(NonNull<Node<T>>);

// SAFETY: A reference shares the value with other tasks, and the last of them
// drops it.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn node(&self) -> &Node<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node().value
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        self.node().refs.add(1);
        // INVARIANT: The reference was just counted.
        Self(self.0)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.node().refs.sub(1) != 1 {
            return;
        }
        // SAFETY: This was the last reference; nobody uses the node again.
        let Node { pool, value, .. } = unsafe { self.0.read() };
        // SAFETY: The memory is of that pool, and its content was moved out.
        unsafe { bindings::mempool_free(self.0.as_ptr().cast(), pool.pool.as_ptr()) };
        // The value may hold the last reference but this to what owns the pool.
        drop(pool);
        drop(value);
    }
}
