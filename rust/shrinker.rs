// SPDX-License-Identifier: GPL-2.0

//! Shrinker: what memory pressure may do at once.
//!
//! It drops pages that need no write and wakes the swapper for the others. It
//! never calls a driver: it runs in somebody's allocation. A direct reclaimer
//! that may wait then waits for the swappers, at most 100 ms, and gets the credit
//! for what they freed. It does not wait where there is nothing to expect. That the
//! core does not lose patience all the same is the business of [`crate::oom`].
//!
//! What it looks at belongs to one cgroup and lies on one node; see
//! [`crate::owner`].
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use crate::{
    bindings as ours,
    candidates::Candidates,
    error::{
        code,
        Result, //
    },
    fault,
    limit::BATCH_PAGES,
    lockdep,
    owner::{
        Lists,
        Target, //
    },
    policy, priority,
    record::{
        self,
        Age, //
    },
    region::Region,
    regions, report, swapout, swapper,
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// A registered shrinker.
///
/// # Invariants
///
/// The shrinker is registered.
pub(crate) struct Shrinker {
    shrinker: NonNull<bindings::shrinker>,
    _lists: Pin<KBox<Lists>>,
}

// SAFETY: A shrinker may be freed from any task.
unsafe impl Send for Shrinker {}
// SAFETY: As above.
unsafe impl Sync for Shrinker {}

impl Shrinker {
    /// Creates what it looks at and registers the shrinker. At module load, before
    /// there is a region. May sleep and allocate.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The name is a format without arguments.
        let shrinker = unsafe {
            bindings::shrinker_alloc(ours::SWAPVMA_SHRINKER_FLAGS, c"swapvma".as_char_ptr())
        };
        let shrinker = NonNull::new(shrinker).ok_or(code::ENOMEM)?;
        // SAFETY: The shrinker is valid.
        let lists = unsafe { Lists::new(shrinker.as_ptr()) }.inspect_err(|_| {
            // SAFETY: Nobody knows the shrinker.
            unsafe { bindings::shrinker_free(shrinker.as_ptr()) }
        })?;
        // SAFETY: The shrinker is new and not yet registered.
        unsafe {
            (*shrinker.as_ptr()).seeks = SEEKS;
            (*shrinker.as_ptr()).count_objects = Some(count);
            (*shrinker.as_ptr()).scan_objects = Some(scan);
        }
        // SAFETY: The callbacks are set.
        unsafe { bindings::shrinker_register(shrinker.as_ptr()) };
        // INVARIANT: Just registered.
        Ok(Self {
            shrinker,
            _lists: lists,
        })
    }
}

impl Drop for Shrinker {
    fn drop(&mut self) {
        // For whoever still walks the list of shrinkers.
        lockdep::remote_wait();
        // SAFETY: By the type invariant.
        unsafe { bindings::shrinker_free(self.shrinker.as_ptr()) };
    }
}

/// # Safety
///
/// Called by the core in an allocation, with a valid control.
unsafe extern "C" fn count(
    _shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: By the safety requirement.
    let target = unsafe { target(control) };
    // Records belong to no cgroup, and are on whatever nodes they are.
    let records = if target.is_root() {
        record::empty_pages()
    } else {
        0
    };
    match target.pages() + records {
        // Until something comes, the core does not ask again for this cgroup.
        0 => EMPTY,
        pages => pages as c_ulong,
    }
}

/// What bringing a page back costs, where 2 is usual: the core looks at a quarter as many
/// pages. Writing and reading them again costs more than reading a file, which is often
/// needed once. Regions of up to 4 GiB of a cgroup have nothing to give while clean pages
/// of files are found at the first try.
const SEEKS: c_int = 8;

/// SHRINK_EMPTY, and SHRINK_STOP: a macro with a cast.
const EMPTY: c_ulong = c_ulong::MAX - 1;
const STOP: c_ulong = c_ulong::MAX;

/// # Safety
///
/// `control` is valid.
unsafe fn target(control: *mut bindings::shrink_control) -> Target {
    // SAFETY: By the safety requirement.
    let (nid, cgroup) = unsafe { ((*control).nid, (*control).memcg) };
    Target { nid, cgroup }
}

/// # Safety
///
/// As [`count`].
unsafe extern "C" fn scan(
    _shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: By the safety requirement.
    let target = unsafe { target(control) };
    // SAFETY: By the safety requirement.
    let wanted = unsafe { (*control).nr_to_scan } as u64;
    // SAFETY: By the safety requirement.
    let may_wait = unsafe { ours::swapvma_reclaim_may_wait((*control).gfp_mask) };
    if may_wait {
        lockdep::wait_for_swapper();
    }
    let most = effort(target);
    if most == 0 {
        return STOP;
    }
    report::shrink_begin(target, wanted, may_wait);
    let records = if target.is_root() {
        record::shrink_idle()
    } else {
        0
    };
    let look = look_around(target, wanted.min(most), most);
    let dropped = look.freed;
    let mut freed = dropped + records;
    // SAFETY: By the safety requirement.
    unsafe { (*control).nr_scanned = look.pages as c_ulong };
    if freed == 0 && look.is_promising && may_wait && turn::take(target) {
        freed = wait_for_swapper(target, most);
    }
    report::shrink_end(target, wanted, look.pages, dropped + records, freed);
    if freed == 0 {
        // Nothing to drop: do not ask again at once.
        return STOP;
    }
    // SAFETY: No precondition.
    unsafe { ours::swapvma_account_reclaimed(freed as c_ulong) };
    freed as c_ulong
}

/// Returns how many pages may leave, at most; 0 if this task's reclaim has freed enough.
///
/// The core does not count for a cgroup what a shrinker frees, and goes on until
/// everything has left: for one page that a cgroup at its limit is charged, and 17 times
/// for each write to `memory.reclaim`.
fn effort(target: Target) -> u64 {
    // SAFETY: No precondition.
    let reclaimed = unsafe { ours::swapvma_task_reclaimed() };
    if reclaimed < 0 || !target.has_room() {
        return policy::PRESS_MOST;
    }
    let taken = walk::taken(target, reclaimed as u64);
    policy::share(target.pages()).saturating_sub(taken)
}

/// Which pages reclaim takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Those of regions that have more than memory pressure is to leave them.
    Spare,
    /// All.
    All,
}

/// What became of the oldest pages.
#[derive(Default)]
struct Look {
    /// Pages looked at.
    pages: u64,
    /// Pages that are free now.
    freed: u64,
    /// The swappers may bring more.
    is_promising: bool,
}

/// Looks at regions that have something to spare, from the lowest priority on, and
/// then at others, until some have something to give.
fn look_around(target: Target, wanted: u64, press: u64) -> Look {
    let mut look = Look::default();
    for reach in [Reach::Spare, Reach::All] {
        for priority in priority::each() {
            look = drop_some(target, wanted, press, reach, priority);
            if look.freed != 0 || look.is_promising {
                return look;
            }
        }
    }
    look
}

/// Drops the clean ones of the `wanted` oldest pages of regions of a priority, and asks
/// the swappers for others, up to `press` of a region. Pages of regions that have nothing
/// to give do not count: they come by first each time.
fn drop_some(target: Target, wanted: u64, press: u64, reach: Reach, priority: i64) -> Look {
    let mut look = Look::default();
    // Rounds that bring nothing: regions that are not meant come by as well.
    let mut rounds = 2 + target.looks();
    let mut left = wanted;
    while left != 0 && rounds != 0 {
        let (before, freed) = (look.pages, look.freed);
        let mut any_spared = false;
        for id in target.next_regions() {
            let Some(region) = regions::open(id) else {
                // Its last user is gone, and its pages are on their way.
                look.is_promising = true;
                continue;
            };
            let pages = match reach {
                _ if region.priority.get() != priority => 0,
                Reach::Spare => region.residency.spare(),
                Reach::All => u64::MAX,
            };
            if pages == 0 {
                any_spared = true;
                continue;
            }
            let most = left.min(BATCH_PAGES as u64).min(pages);
            let mut candidates = Candidates::new();
            let (looked, from_stock) = choose(&region, target.nid, most, &mut candidates);
            look.pages += looked;
            let dropped = swapout::drop_clean(&region, &mut candidates);
            look.freed += dropped;
            region.counters.direct_drops.count(dropped);
            let is_promising = region.is_promising();
            if dropped != 0 || is_promising {
                left = left.saturating_sub(looked);
            }
            if dropped < looked {
                let most = policy::pressure(region.residency.resident());
                swapper::press(&region, most.min(press).min(pages));
                look.is_promising |= is_promising;
            } else if from_stock != 0 {
                region.tend();
            }
        }
        if look.pages == before && !any_spared {
            break;
        }
        rounds -= u64::from(look.freed == freed);
    }
    look
}

/// Chooses up to `most` pages of a region on node `nid`: what was written ahead; then
/// what just happens to be clean, which cold pages seldom are. Returns how many it
/// looked at, and how many of these were of the stock.
fn choose(region: &Region, nid: i32, most: u64, candidates: &mut Candidates) -> (u64, u64) {
    let (mut looked, mut from_stock, mut cold) = (0, 0, 0);
    for (age, share) in [
        (Age::Clean, 1),
        (Age::Cold, 4),
        (Age::Young, 1),
        (Age::Cold, 1),
    ] {
        let mut left = most.saturating_sub(looked) / share;
        if age == Age::Cold {
            // Each of them once.
            left = left.min(region.ages.count_node(age, nid).saturating_sub(cold));
            cold += left;
        }
        region.ages.walk_node(age, nid, left, |record| {
            looked += 1;
            from_stock += u64::from(age == Age::Clean);
            if age != Age::Young || !record.is_active() {
                candidates.push(record.index());
            }
        });
    }
    (looked, from_stock)
}

/// Waits until a swapper freed a batch of them, or `most`, but no longer than a reclaimer
/// may be kept. Returns the pages that were freed meanwhile.
fn wait_for_swapper(target: Target, most: u64) -> u64 {
    const ROUND_MS: i64 = 10;
    const ROUNDS: u32 = 10;
    let before = target.freed();
    let freed = || before.since(target);
    for _ in 0..ROUNDS {
        fsleep(Delta::from_millis(ROUND_MS));
        if freed() >= most.min(BATCH_PAGES as u64) || fault::is_killed() {
            break;
        }
    }
    freed()
}

/// Whose turn it is to be waited for.
///
/// Reclaim for the whole machine asks for each cgroup by itself. It waits for one of
/// them, on one node, not for one after the other: a task that waited does not wait
/// for another one for a while.
mod turn {
    use super::Target;
    use crate::{
        atomic::Word,
        bindings as ours,
        deadline::now_ns, //
    };

    /// Milliseconds.
    const WHILE: u64 = 200;
    const TIME_BITS: u32 = 32;
    /// Tasks that share a word wait too seldom.
    const WORDS: usize = 64;

    /// Cgroup and node, and when their turn ends, for each task.
    static TURNS: [Word; WORDS] = [const { Word::new(0) }; WORDS];

    /// Whether the calling task waits for `target`.
    pub(super) fn take(target: Target) -> bool {
        // SAFETY: No precondition.
        let task = unsafe { ours::swapvma_task() };
        let Some(word) = TURNS.get(task as usize % WORDS) else {
            return true;
        };
        let mask = (1 << TIME_BITS) - 1;
        let now = (now_ns() / 1_000_000) & mask;
        let name = target.name() << TIME_BITS;
        let turn = word.load();
        let left = (turn & mask).wrapping_sub(now) & mask;
        if turn & !mask != name && left != 0 && left <= WHILE {
            return false;
        }
        word.store_release(name | ((now + WHILE) & mask));
        true
    }
}

/// What a task's reclaim had freed when it first came by a target: of all cgroups and
/// nodes that it walks over, each gives its share.
mod walk {
    use super::Target;
    use crate::{
        atomic::Word,
        bindings as ours, //
    };

    const PAGE_BITS: u32 = 32;
    /// An odd number: tasks that follow each other are far apart.
    const SPREAD: u64 = 0x9e37_79b9;
    /// Walks that share a word begin anew more often than they do.
    const WORDS: usize = 256;

    /// Task and target, and the pages.
    static BEGAN: [Word; WORDS] = [const { Word::new(0) }; WORDS];

    /// Returns how many of the `reclaimed` pages were freed since.
    pub(super) fn taken(target: Target, reclaimed: u64) -> u64 {
        // SAFETY: No precondition.
        let task = unsafe { ours::swapvma_task() };
        let name = target.name() ^ task.wrapping_mul(SPREAD);
        let Some(word) = BEGAN.get(name as usize % WORDS) else {
            return reclaimed;
        };
        let mask = (1 << PAGE_BITS) - 1;
        let (name, pages) = (name << PAGE_BITS, reclaimed & mask);
        let began = word.load();
        if began & !mask == name && began & mask <= pages {
            return pages - (began & mask);
        }
        // Another one's, or of a call that is over.
        word.store_release(name | pages);
        0
    }
}
