// SPDX-License-Identifier: GPL-2.0

//! Window: a staging buffer of two pages from a fixed pool.
//!
//! One operation may need several at once: a stable copy, what a codec makes of
//! it, what a cipher makes of that. Two operations that each hold one and wait
//! for another would wait for ever, so an operation takes all its windows in
//! one step, a [`Reservation`]. That is the only step that sleeps. The swapper
//! has windows of its own, for which it waits for no task, so swapout always
//! goes on.
//!
//! Lockdep knows who has a reservation, and reports whoever asks for another one
//! the first time, even if there are windows enough.
//!
//! Windows are for what lasts as long as a call. The copies of a whole batch, for
//! a driver whose pages must not change, are the batch's: it may be with the
//! driver until the deadline and after, and nobody else should wait for that.

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
    lockdep::{
        Reserver,
        Reserving, //
    },
    wait::{
        Signals,
        Turn,
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
    /// A task, such as one in a fault. It waits for as long as those before it take,
    /// or until it is killed.
    Task,
    /// The swapper, which has windows of its own.
    Swapper,
}

impl User {
    fn signals(self) -> Signals {
        match self {
            Self::Task => Signals::Kill,
            Self::Swapper => Signals::Ignore,
        }
    }
}

/// A fixed pool of windows.
///
/// # Invariants
///
/// A buffer is accessed only by the [`Window`] of its index, of which there is
/// one at most: its bit is set in exactly one place of the [`Free`] of one line,
/// [`Reservation::left`], or neither while the `Window` exists.
#[pin_data]
pub(crate) struct Pool {
    buffers: KVec<KBox<UnsafeCell<Room>>>,
    /// The pool is the driver `ram`'s.
    of_ram: bool,
    #[pin]
    tasks: Line,
    #[pin]
    swapper: Line,
}

// SAFETY: By the type invariant nobody shares a buffer.
unsafe impl Sync for Pool {}

/// Windows, and those who wait for some of them.
#[pin_data]
struct Line {
    /// How many windows there are.
    count: usize,
    free: Free,
    /// Who waits, or is about to. As long as there is somebody, whoever comes
    /// later waits as well: one who needs three is not passed by all who need one.
    waiting: Word,
    /// Those who wait have their turn in the order in which they came.
    #[pin]
    turn: Turn,
    /// Where the first of them sleeps.
    #[pin]
    queue: WaitQueue,
}

impl Line {
    fn new(windows: Set) -> impl PinInit<Self> {
        pin_init!(Self {
            count: windows.len(),
            free: Free::new(windows),
            waiting: Word::new(0),
            turn <- Turn::new(),
            queue <- WaitQueue::new(c"swapvma_windows", static_lock_class!()),
        })
    }

    /// Takes `count` windows if they are free and nobody waits: with one atomic
    /// operation.
    fn try_take(&self, count: usize) -> Option<Set> {
        if self.waiting.load() != 0 {
            return None;
        }
        self.free.take(count)
    }

    /// Takes `count` windows when it is the caller's turn. Whoever leaves early has
    /// none, and the next one gets the turn.
    fn wait(&self, count: usize, signals: Signals) -> Result<Set> {
        // Whoever gives windows back either sees the waiter after that, or gave
        // them back before the attempt below: both are full barriers.
        self.waiting.add(1);
        let taken = self.wait_for_turn(count, signals);
        self.waiting.sub(1);
        taken
    }

    fn wait_for_turn(&self, count: usize, signals: Signals) -> Result<Set> {
        let mut taken = None;
        let _turn = self.turn.wait(signals)?;
        self.queue.wait(signals, || {
            taken = self.free.take(count);
            taken.is_some()
        })?;
        taken.ok_or(code::EINTR)
    }

    fn give(&self, windows: Set) {
        self.free.give(windows);
        if self.waiting.load() != 0 {
            self.queue.wake_all();
        }
    }
}

impl Pool {
    /// Allocates `tasks` windows for tasks and `swapper` for the swapper. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for more than 64 windows.
    pub(crate) fn new(tasks: usize, swapper: usize) -> Result<Pin<KBox<Self>>> {
        Self::with_owner(tasks, swapper, false)
    }

    /// As [`Pool::new`], for the driver `ram`: its operations are parts of the
    /// subsystem's, which may have a reservation of their own meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::new`].
    pub(crate) fn of_ram(tasks: usize, swapper: usize) -> Result<Pin<KBox<Self>>> {
        Self::with_owner(tasks, swapper, true)
    }

    fn with_owner(tasks: usize, swapper: usize, of_ram: bool) -> Result<Pin<KBox<Self>>> {
        let count = tasks.saturating_add(swapper);
        if count > Set::CAPACITY {
            return Err(code::EINVAL);
        }
        let swappers = Set::below(count).without(Set::below(tasks));
        let mut buffers = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            let buffer = KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?;
            buffers.push(buffer, GFP_KERNEL)?;
        }
        KBox::pin_init(
            // INVARIANT: All are free, each in one line, and no `Window` exists.
            pin_init!(Self {
                buffers,
                of_ram,
                tasks <- Line::new(Set::below(tasks)),
                swapper <- Line::new(swappers),
            }),
            GFP_KERNEL,
        )
    }

    fn line(&self, user: User) -> &Line {
        match user {
            User::Task => &self.tasks,
            User::Swapper => &self.swapper,
        }
    }

    /// Runs `f` with a window that was not taken at once, for lockdep.
    fn crowded(&self, user: User, f: impl FnOnce()) -> Result {
        let line = self.line(user);
        line.waiting.add(1);
        let result = self.reserve(1, user).and_then(|_reservation| {
            f();
            // As whoever finds too few free at first.
            let mut looked = false;
            let look = || core::mem::replace(&mut looked, true);
            line.queue.wait(user.signals(), look)
        });
        line.waiting.sub(1);
        result
    }

    /// Takes `count` windows, all or none. May sleep until others give theirs
    /// back, so the caller has no reservation, and no lock that such a holder may
    /// wait for. Whoever asks first gets his first.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `user` can never have so many at once; that warns once. `EINTR`
    /// if the task was killed while it waited.
    pub(crate) fn reserve(&self, count: usize, user: User) -> Result<Reservation<'_>> {
        kernel::task::might_sleep();
        let line = self.line(user);
        if count > line.count {
            pr_warn_once!("windows: {count} asked for, {} exist\n", line.count);
            return Err(code::EINVAL);
        }
        let reserving = Reserving::enter(match user {
            _ if self.of_ram => Reserver::Ram,
            User::Task => Reserver::Task,
            User::Swapper => Reserver::Swapper,
        });
        let taken = match line.try_take(count) {
            Some(taken) => taken,
            None => line.wait(count, user.signals())?,
        };
        Ok(Reservation {
            pool: self,
            line,
            taken,
            left: Cell::new(taken),
            _reserving: reserving,
        })
    }
}

/// The windows of one operation, which one task does. Dropping it gives them
/// back.
pub(crate) struct Reservation<'a> {
    pool: &'a Pool,
    line: &'a Line,
    taken: Set,
    left: Cell<Set>,
    _reserving: Reserving,
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
        self.line.give(self.taken);
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

/// For lockdep: takes everybody's windows, as if there were others who wait, and runs
/// `f` with those of a task. May sleep and allocate.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn prime(f: impl FnOnce()) -> Result {
    let pool = Pool::new(1, 1)?;
    let of_ram = Pool::of_ram(0, 1)?;
    pool.crowded(User::Task, f)?;
    pool.crowded(User::Swapper, || ())?;
    of_ram.crowded(User::Swapper, || ())
}

#[kunit_tests(swapvma_window)]
mod tests {
    use super::*;
    use crate::kthread::{
        self,
        Main,
        Thread, //
    };
    use kernel::{
        sync::Arc,
        time::{
            delay::fsleep,
            Delta, //
        }, //
    };

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
        let mut last = Set::below(64).without(Set::below(63));
        assert_eq!(last.pop(), Some(63));
        last.insert(64);
        assert_eq!(last.pop(), None);
    }

    #[test]
    fn free_gives_all_or_none() {
        let free = Free::new(Set::below(5));
        let first = free.take(2);
        assert_eq!(first, Some(Set::below(2)));
        assert_eq!(free.take(4), None);
        let second = free.take(3);
        assert!(second.is_some());
        assert_eq!(free.take(1), None);
        for set in [first, second].into_iter().flatten() {
            free.give(set);
        }
        assert_eq!(free.take(5), Some(Set::below(5)));
    }

    #[test]
    fn windows_are_distinct_and_counted() -> Result {
        let pool = Pool::new(3, 2)?;
        assert!(pool.reserve(4, User::Task).is_err());
        assert!(pool.reserve(3, User::Swapper).is_err());
        let task = pool.reserve(3, User::Task)?;
        let (mut a, mut b, mut c) = (task.take()?, task.take()?, task.take()?);
        a.fill(1);
        b.fill(2);
        c.fill(3);
        assert!(task.take().is_err());
        for (window, byte) in [(&a, 1), (&b, 2), (&c, 3)] {
            assert!(window.iter().all(|found| *found == byte));
        }
        drop(b);
        assert!(task.take().is_ok());
        Ok(())
    }

    /// What many threads do to one pool.
    struct Crowd {
        pool: Pin<KBox<Pool>>,
        act: fn(&Crowd, u8) -> Result,
        /// The threads end what they repeat.
        end: Word,
        /// Operations that were done.
        operations: Word,
        /// Threads that came through, and what they found wrong.
        done: Word,
        wrong: Word,
    }

    impl Crowd {
        fn new(pool: Pin<KBox<Pool>>, act: fn(&Crowd, u8) -> Result) -> Result<Arc<Self>> {
            let crowd = Self {
                pool,
                act,
                end: Word::new(0),
                operations: Word::new(0),
                done: Word::new(0),
                wrong: Word::new(0),
            };
            Ok(Arc::new(crowd, GFP_KERNEL)?)
        }

        /// Starts `threads` threads.
        fn start(self: &Arc<Self>, threads: u8) -> Result<KVec<Thread>> {
            let mut started = KVec::with_capacity(threads.into(), GFP_KERNEL)?;
            for id in 0..threads {
                let crowd = self.clone();
                let member = Arc::new(Member { crowd, id }, GFP_KERNEL)?;
                started.push(Thread::spawn(c"window", member)?, GFP_KERNEL)?;
            }
            Ok(started)
        }

        /// Waits until `count` threads came through. Returns whether they did in
        /// time.
        fn wait(&self, count: u64) -> bool {
            for _ in 0..20_000 {
                if self.done.load() >= count {
                    return self.wrong.load() == 0;
                }
                fsleep(Delta::from_millis(1));
            }
            false
        }

        /// One operation with `count` windows, which nobody else touches.
        fn operate(&self, count: usize, user: User, id: u8) -> Result {
            let reservation = self.pool.reserve(count, user)?;
            for _ in 0..2 {
                let mut windows = KVec::with_capacity(count, GFP_KERNEL)?;
                for _ in 0..count {
                    let mut window = reservation.take()?;
                    window.fill(id);
                    windows.push(window, GFP_KERNEL)?;
                }
                fsleep(Delta::from_millis(1));
                if windows
                    .iter()
                    .any(|window| window.iter().any(|byte| *byte != id))
                {
                    return Err(EIO);
                }
            }
            self.operations.add(1);
            Ok(())
        }
    }

    struct Member {
        crowd: Arc<Crowd>,
        id: u8,
    }

    impl Main for Member {
        fn main(self: Arc<Self>) {
            let crowd = &self.crowd;
            crowd.wrong.add((crowd.act)(crowd, self.id).is_err().into());
            crowd.done.add(1);
            while !kthread::should_stop() {
                fsleep(Delta::from_millis(1));
            }
        }
    }

    #[test]
    fn many_operations_all_get_through() -> Result {
        const MANY: u8 = 64;
        let crowd = Crowd::new(Pool::new(3, 0)?, |crowd, id| {
            (0..2).try_for_each(|turn| crowd.operate((id + turn) as usize % 3 + 1, User::Task, id))
        })?;
        let threads = crowd.start(MANY)?;
        assert!(crowd.wait(MANY.into()));
        drop(threads);
        assert!(crowd.pool.reserve(3, User::Task).is_ok());
        assert_eq!(crowd.pool.tasks.waiting.load(), 0);
        Ok(())
    }

    #[test]
    fn who_needs_many_is_not_passed() -> Result {
        const OTHERS: u8 = 7;
        // The first needs all windows, of which the others have some at any time.
        let crowd = Crowd::new(Pool::new(3, 0)?, |crowd, id| {
            while id != 0 && crowd.end.load() == 0 {
                crowd.operate(1, User::Task, id)?;
            }
            for _ in 0..if id == 0 { 8 } else { 0 } {
                let before = crowd.operations.load();
                crowd.operate(3, User::Task, id)?;
                // Those who came before, those who had windows, and its own.
                if crowd.operations.load() - before > 2 * u64::from(OTHERS) {
                    crowd.end.store_release(1);
                    return Err(EBUSY);
                }
            }
            crowd.end.store_release(1);
            Ok(())
        })?;
        let threads = crowd.start(OTHERS + 1)?;
        let done = crowd.wait(u64::from(OTHERS) + 1);
        crowd.end.store_release(1);
        drop(threads);
        assert!(done);
        Ok(())
    }

    #[test]
    fn tasks_leave_the_swapper_its_own() -> Result {
        // Each of the tasks wants all there are for tasks, again and again.
        let crowd = Crowd::new(Pool::new(2, 2)?, |crowd, id| {
            while crowd.end.load() == 0 {
                crowd.operate(2, User::Task, id)?;
            }
            Ok(())
        })?;
        let threads = crowd.start(4)?;
        for _ in 0..8 {
            let swapper = crowd.pool.reserve(2, User::Swapper)?;
            assert!(swapper.take().is_ok());
            // Nobody waits for the swapper's.
            assert_eq!(crowd.pool.swapper.waiting.load(), 0);
        }
        crowd.end.store_release(1);
        let done = crowd.wait(4);
        drop(threads);
        assert!(done);
        Ok(())
    }
}
