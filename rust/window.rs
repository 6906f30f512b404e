// SPDX-License-Identifier: GPL-2.0

//! Window: a staging buffer of two pages from a fixed pool.
//!
//! One operation may need several at once: a stable copy, what a codec makes of
//! it, what a cipher makes of that. Two operations that each hold one and wait
//! for another would wait for ever, so an operation takes all its windows in
//! one step, a [`Reservation`]. That is the only step that sleeps. The last
//! windows of a pool are the swapper's own: tasks cannot use them up, so
//! swapout always goes on.

mod set;

use self::set::{
    Free,
    Set, //
};
use crate::{
    atomic::Word,
    error::{
        code,
        Result, //
    },
    wait::{
        Signals,
        WaitQueue, //
    },
};
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    pr_warn_once,
    prelude::*,
    static_lock_class, //
};

/// A page in a window.
pub(crate) type Bytes = [u8; PAGE_SIZE];

/// What a window holds: two pages, because a codec that has room for whatever
/// becomes of a page need not look for the end at every step.
pub(crate) type Room = [u8; 2 * PAGE_SIZE];

/// Who asks for windows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// A task, such as one in a fault.
    #[allow(dead_code, reason = "the swapper is not a task that waits")]
    Task,
    /// The swapper, which may also use the windows kept for it.
    Swapper,
}

/// A fixed pool of windows.
///
/// # Invariants
///
/// A buffer is accessed only by the [`Window`] of its index, of which there is
/// one at most: its bit is set in exactly one place of [`Pool::free`],
/// [`Reservation::left`], or neither while the `Window` exists.
#[pin_data]
pub(crate) struct Pool {
    buffers: KVec<KBox<UnsafeCell<Room>>>,
    free: Free,
    shared: Set,
    all: Set,
    waiters: Word,
    #[pin]
    queue: WaitQueue,
}

// SAFETY: By the type invariant nobody shares a buffer.
unsafe impl Sync for Pool {}

impl Pool {
    /// Allocates `shared` windows for everybody and `swapper` more that only
    /// the swapper gets. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for more than 64 windows.
    pub(crate) fn new(shared: usize, swapper: usize) -> Result<Pin<KBox<Self>>> {
        let count = shared.saturating_add(swapper);
        if count > Set::CAPACITY {
            return Err(code::EINVAL);
        }
        let mut buffers = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            let buffer = KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?;
            buffers.push(buffer, GFP_KERNEL)?;
        }
        KBox::pin_init(
            // INVARIANT: All are free, and no `Window` exists.
            pin_init!(Self {
                buffers,
                free: Free::new(Set::below(count)),
                shared: Set::below(shared),
                all: Set::below(count),
                waiters: Word::new(0),
                queue <- WaitQueue::new(c"swapvma_windows", static_lock_class!()),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes `count` windows, all or none. May sleep until others give theirs
    /// back, so the caller holds no window, and no lock that such a holder may
    /// wait for.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `user` can never have so many at once; that warns once.
    pub(crate) fn reserve(&self, count: usize, user: User) -> Result<Reservation<'_>> {
        kernel::task::might_sleep();
        let eligible = match user {
            User::Task => self.shared,
            User::Swapper => self.all,
        };
        if count > eligible.len() {
            pr_warn_once!("windows: {count} asked for, {} exist\n", eligible.len());
            return Err(code::EINVAL);
        }
        let taken = match self.free.take(count, eligible) {
            Some(taken) => taken,
            None => self.wait(count, eligible)?,
        };
        Ok(Reservation {
            pool: self,
            taken,
            left: Cell::new(taken),
        })
    }

    /// Waits until [`Free::take`] succeeds. Woken by [`Reservation::drop`].
    fn wait(&self, count: usize, eligible: Set) -> Result<Set> {
        let mut taken = None;
        // A holder either sees the waiter after it gave its windows back, or
        // gave them back before the attempt below: both are full barriers.
        self.waiters.add(1);
        let result = self.queue.wait(Signals::Ignore, || {
            taken = self.free.take(count, eligible);
            taken.is_some()
        });
        self.waiters.sub(1);
        result.and_then(|()| taken.ok_or(code::EINTR))
    }
}

/// The windows of one operation. Dropping it gives them back.
pub(crate) struct Reservation<'a> {
    pool: &'a Pool,
    taken: Set,
    left: Cell<Set>,
}

impl Reservation<'_> {
    /// Takes one window out of the reservation, to which it returns when it is
    /// dropped. Any context; never sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` if more are taken than were reserved; that warns once.
    pub(crate) fn take(&self) -> Result<Window<'_>> {
        let mut left = self.left.get();
        let Some(index) = left.pop() else {
            pr_warn_once!(
                "windows: more taken than the {} reserved\n",
                self.taken.len()
            );
            return Err(code::EINVAL);
        };
        let buffer = self.pool.buffers.get(index).ok_or(code::EINVAL)?;
        self.left.set(left);
        Ok(Window {
            reservation: self,
            index,
            // SAFETY: The bit was in `left` and no longer is, so by the
            // invariant of `Pool` nobody else accesses the buffer.
            bytes: unsafe { &mut *buffer.get() },
        })
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.pool.free.give(self.taken);
        if self.pool.waiters.load() != 0 {
            self.pool.queue.wake_all();
        }
    }
}

/// A staging buffer. What it holds at first is undefined.
pub(crate) struct Window<'a> {
    reservation: &'a Reservation<'a>,
    index: usize,
    bytes: &'a mut Room,
}

impl Deref for Window<'_> {
    type Target = Room;

    #[inline]
    fn deref(&self) -> &Room {
        self.bytes
    }
}

impl DerefMut for Window<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Room {
        self.bytes
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        let mut left = self.reservation.left.get();
        left.insert(self.index);
        self.reservation.left.set(left);
    }
}

#[kunit_tests(swapvma_window)]
mod tests {
    use super::*;

    #[test]
    fn sets_pop_in_order() {
        let mut set = Set::below(3);
        assert_eq!(set.len(), 3);
        assert_eq!(set.pop(), Some(0));
        assert_eq!(set.pop(), Some(1));
        set.insert(0);
        assert_eq!(set.pop(), Some(0));
        assert_eq!(set.pop(), Some(2));
        assert_eq!(set.pop(), None);
        assert_eq!(Set::below(64).len(), 64);
        assert_eq!(Set::below(1000).len(), 64);
        let mut last = Set::below(0);
        last.insert(63);
        assert_eq!(last.pop(), Some(63));
        last.insert(64);
        assert_eq!(last.pop(), None);
    }

    #[test]
    fn free_gives_all_or_none() {
        let free = Free::new(Set::below(5));
        let tasks = Set::below(3);
        assert_eq!(free.take(4, tasks), None);
        let first = free.take(2, tasks);
        assert_eq!(first, Some(Set::below(2)));
        assert_eq!(free.take(2, tasks), None);
        let second = free.take(3, Set::below(5));
        assert!(second.is_some());
        assert_eq!(free.take(1, Set::below(5)), None);
        for set in [first, second].into_iter().flatten() {
            free.give(set);
        }
        assert_eq!(free.take(5, Set::below(5)), Some(Set::below(5)));
    }

    #[test]
    fn tasks_leave_the_swapper_its_own() -> Result {
        let pool = Pool::new(2, 2)?;
        assert!(pool.reserve(3, User::Task).is_err());
        let task = pool.reserve(2, User::Task)?;
        let swapper = pool.reserve(2, User::Swapper)?;
        let mut a = task.take()?;
        let mut b = task.take()?;
        let mut c = swapper.take()?;
        a.fill(1);
        b.fill(2);
        c.fill(3);
        assert!(task.take().is_err());
        assert!(a.iter().all(|byte| *byte == 1));
        assert!(b.iter().all(|byte| *byte == 2));
        drop(b);
        assert!(task.take().is_ok());
        drop((a, c));
        drop((task, swapper));
        let _all = pool.reserve(3, User::Swapper)?;
        Ok(())
    }
}
