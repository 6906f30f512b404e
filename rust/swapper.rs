// SPDX-License-Identifier: GPL-2.0

//! Swapper: the page stealer, one kernel thread per driver.
//!
//! Drivers' swapout runs here and nowhere in anyone's allocation. Regions are
//! queued with the swapper of their driver by whoever wants something: a fault
//! at the resident limit, the shrinker, a request from user space.

use crate::{
    attached::Attached,
    batch::{
        Operation,
        Phase, //
    },
    candidates::Candidates,
    clock::{
        self,
        Haste, //
    },
    deadline::now_ns,
    driver::Registered,
    error::Result,
    flaw::{
        self,
        Flaw, //
    },
    kthread,
    limit::BATCH_PAGES,
    lockdep,
    populate::headroom,
    region::{
        OpenRegion,
        Region, //
    },
    regions,
    sleep,
    swapout::{
        self,
        Outcome, //
    },
    wait::Signals,
    writeback, //
};
use core::ops::Range;
use kernel::sync::Arc;

/// Milliseconds to wait after a driver took nothing.
const BACK_OFF_MS: u64 = 10;

/// How long nobody waits for memory from a region of which no page could leave.
const BARREN_NS: u64 = 1_000_000_000;

/// Batches after which it is another region's turn.
const TURN: u32 = 16;

/// Entries that cost as much to look at as a batch to write.
const LOOKS: u64 = 4096;

/// What the swapper is asked to do for a region.
pub(crate) struct Work {
    /// Pages that memory pressure wants back.
    pressure: u64,
    request: Option<Request>,
    /// A task waits for its request.
    busy: bool,
    /// Sequence of the last request and of the last one answered.
    asked: u64,
    answered: u64,
    outcome: Outcome,
}

#[derive(Clone)]
struct Request {
    operation: Operation,
    pages: Range<u64>,
}

impl Request {
    /// Whether it is little more than to look at the pages, of which none may need the
    /// swapper, to ask it.
    fn is_short(&self) -> bool {
        self.pages.end.saturating_sub(self.pages.start) <= BATCH_PAGES as u64
    }
}

impl Work {
    /// Begins a request, of which `done` pages are done; `false` while there is one.
    fn begin(&mut self, done: u64) -> bool {
        if self.busy {
            return false;
        }
        self.busy = true;
        self.outcome = Outcome { done, refused: 0 };
        true
    }

    /// Returns what became of request `token`, if it was answered.
    fn answer(&self, token: u64) -> Option<Outcome> {
        (self.answered >= token).then_some(self.outcome)
    }

    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self {
            pressure: 0,
            request: None,
            busy: false,
            asked: 0,
            answered: 0,
            outcome: Outcome {
                done: 0,
                refused: 0,
            },
        }
    }
}

/// Asks for `pages` of a region to be paged out or laundered and waits as `signals`
/// says, [`Signals::Kill`] or [`Signals::Freezable`]. No lock held that a driver waits
/// for.
///
/// # Errors
///
/// `EINTR` if the task was killed meanwhile.
pub(crate) fn request(
    region: &OpenRegion,
    operation: Operation,
    pages: Range<u64>,
    signals: Signals,
) -> Result<Outcome> {
    lockdep::wait_for_swapper();
    let mut asked = Request { operation, pages };
    let mut done = 0;
    // A test that stops the swapper does not mean its own task.
    let by_swapper = flaw::is(Flaw::HoldSwapper);
    if operation == Operation::Swapout && asked.is_short() && !by_swapper {
        (done, asked.pages) = swapout::evict_simple(region, asked.pages);
        if asked.pages.is_empty() {
            return Ok(Outcome { done, refused: 0 });
        }
    }
    region
        .answered
        .wait(signals, || region.work.lock().begin(done))?;
    let outcome = ask(region, &asked, signals);
    {
        let mut work = region.work.lock();
        work.request = None;
        work.busy = false;
    }
    region.answered.wake_all();
    outcome
}

/// Puts a request to the swapper of the region's home, and to the next one if
/// that goes away: the swapper of a quarantined driver may never come back.
fn ask(region: &OpenRegion, asked: &Request, signals: Signals) -> Result<Outcome> {
    while let Some(home) = region.drivers.home() {
        let token = {
            let mut work = region.work.lock();
            work.asked += 1;
            work.request = Some(asked.clone());
            work.asked
        };
        home.driver().enqueue(region);
        let mut outcome = None;
        region.answered.wait(signals, || {
            outcome = region.work.lock().answer(token);
            outcome.is_some() || home.is_out()
        })?;
        if let Some(outcome) = outcome.or_else(|| region.work.lock().answer(token)) {
            return Ok(outcome);
        }
    }
    // What needs no driver can be done here.
    let mut outcome = region.work.lock().outcome;
    let mut rest = Some(asked.clone());
    while let Some(request) = rest {
        let (step, pages) = walk(region, None, &request);
        outcome.add(step);
        rest = pages.map(|pages| Request { pages, ..request });
    }
    Ok(outcome)
}

/// Memory pressure wants `pages` pages of the region back. Does not sleep.
pub(crate) fn press(region: &OpenRegion, pages: u64) {
    {
        let mut work = region.work.lock();
        work.pressure = work.pressure.max(pages);
    }
    region.enqueue();
}

/// The thread of a driver.
pub(crate) fn run(driver: &Arc<Registered>) {
    // What frees memory does not wait for memory, and is not entered again.
    let _noreclaim = lockdep::NoReclaim::enter();
    sleep::set_freezable();
    // Never while a driver has a batch: it would be written to after that.
    let must_rest = || sleep::is_near() && driver.batch.phase() == Phase::Idle;
    loop {
        let _ = driver.batch.wait.wait(Signals::Idle, || {
            kthread::should_stop()
                || driver.batch.phase() == Phase::Late
                || must_rest()
                || !driver.queue.lock().is_empty()
        });
        writeback::reap(driver);
        if kthread::should_stop() {
            return;
        }
        if must_rest() {
            sleep::rest();
        } else if let Some(region) = driver.dequeue() {
            look_after(&region, driver);
        }
    }
}

/// The regions that a driver is not the home of any more turn to another one, if
/// they have one: whoever waits for this driver's swapper waits no more. No lock
/// held but that of the list of drivers. Does not wait for the swapper.
pub(crate) fn leave(driver: &Registered) {
    for region in regions::each() {
        let stays = region.drivers.is_home(driver);
        if stays || !driver.forget(&region) && region.drivers.find(driver).is_none() {
            continue;
        }
        if !region.enqueue() {
            region.kicked.store_release(0);
        }
        region.wait.wake_all();
        region.answered.wake_all();
    }
}

/// Does what the region wants, or as much as is its turn.
fn look_after(region: &OpenRegion, driver: &Registered) {
    let Some(home) = region.drivers.home() else {
        region.kicked.store_release(0);
        region.wait.wake_all();
        return;
    };
    if !core::ptr::eq(&**home.driver(), driver) {
        home.driver().enqueue(region);
        return;
    }
    let (request, asked, pressure) = {
        let mut work = region.work.lock();
        let pressure = core::mem::take(&mut work.pressure);
        (work.request.take(), work.asked, pressure)
    };
    if let Some(request) = request {
        answer(region, &home, request, asked);
    }
    let mut enough = false;
    if region.kicked.cmpxchg(1, 0).is_ok() {
        let limit = |_| region.residency.excess(headroom(region));
        match shrink(region, &home, Haste::Limit, limit).0 {
            // Faults may have filled the room again meanwhile: they asked anew.
            End::Enough => {
                region.stalled.store_release(0);
                enough = true;
            }
            End::Nothing => {
                let stalled = region.residency.excess(1) != 0;
                region.stalled.store_release(u64::from(stalled));
            }
            End::Turn => region.kick(),
        }
        region.wait.wake_all();
    }
    if pressure != 0 {
        let target = region.residency.resident().saturating_sub(pressure);
        // What left was given, though as many may have come back since.
        let wanted = |done| {
            let excess = region.residency.resident().saturating_sub(target);
            excess.min(pressure.saturating_sub(done))
        };
        match shrink(region, &home, Haste::Pressure, wanted) {
            (End::Enough, _) => enough = true,
            (End::Nothing, _) => region.barren_until.store_release(now_ns() + BARREN_NS),
            (End::Turn, done) => press(region, wanted(done)),
        }
    }
    if enough {
        region.tended.store_release(region.to_tend());
    }
    tend(region, &home);
}

/// Writes a batch ahead, if clean pages are to be had. Whoever waits for something
/// comes first, of any region: the rest is done when it is this one's turn again.
fn tend(region: &OpenRegion, home: &Arc<Attached>) {
    let left = region.tended.load();
    if left == 0 || region.tended.cmpxchg(left, 0).is_err() {
        return;
    }
    if has_moved(region, home) {
        return;
    }
    region.ages.stock.turn();
    if let Some(looked) = clock::write_ahead(region, home) {
        region.tend_on(left.saturating_sub(looked));
    }
}

/// Whether another driver gets the region's next pages.
fn has_moved(region: &Region, home: &Arc<Attached>) -> bool {
    !region
        .drivers
        .home()
        .is_some_and(|now| Arc::ptr_eq(&now, home))
}

/// How paging out the coldest pages ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// As many left as were wanted.
    Enough,
    /// All pages were gone over, and that made no room.
    Nothing,
    /// It is another region's turn, or another driver's.
    Turn,
}

/// Goes on with a request of user space, and answers it at its end.
fn answer(region: &OpenRegion, home: &Arc<Attached>, request: Request, asked: u64) {
    let (outcome, rest) = walk(region, Some(home), &request);
    let mut work = region.work.lock();
    if work.asked != asked || home.is_out() {
        // The task was killed and another one asks, or it asks elsewhere.
        return;
    }
    work.outcome.add(outcome);
    match rest {
        Some(pages) if work.busy => {
            work.request = Some(Request {
                operation: request.operation,
                pages,
            });
            drop(work);
            if !region.enqueue() {
                region.answered.wake_all();
            }
        }
        _ => {
            work.answered = asked;
            drop(work);
            region.answered.wake_all();
        }
    }
}

/// Pages out or launders the resident pages of a range, until it is another
/// region's turn, or another driver's. Returns what is left of the range.
fn walk(
    region: &OpenRegion,
    home: Option<&Arc<Attached>>,
    request: &Request,
) -> (Outcome, Option<Range<u64>>) {
    let Request { operation, pages } = request.clone();
    let mut outcome = Outcome::default();
    let mut candidates = Candidates::new();
    let mut index = pages.start;
    let mut first = index;
    let (mut turns, mut seen) = (0, 0u64);
    while let Some(at) = region.table.next(index).filter(|&at| at < pages.end) {
        let count = candidates.room().min(pages.end - at);
        let resident = region.table.resident(at, first_bits(count));
        candidates.push_each(at, resident);
        index = at + count;
        seen += count;
        kthread::cond_resched();
        if seen >= LOOKS {
            seen = 0;
            turns += 1;
        }
        if candidates.room() == 0 {
            let step = swapout::run(region, home, operation, &mut candidates);
            if let Some(rest) = passed_on(region, home, step, first..pages.end) {
                outcome.done += step.done;
                return (outcome, Some(rest));
            }
            outcome.add(step);
            candidates.clear();
            first = index;
            turns += 1;
        }
        if home.is_some() && sleep::is_near() {
            turns = TURN;
        }
        if turns >= TURN {
            break;
        }
    }
    let step = swapout::run(region, home, operation, &mut candidates);
    if let Some(rest) = passed_on(region, home, step, first..pages.end) {
        outcome.done += step.done;
        return (outcome, Some(rest));
    }
    outcome.add(step);
    (outcome, (turns >= TURN).then_some(index..pages.end))
}

/// Returns a word of which the first `count` bits are set, and the others are not.
fn first_bits(count: u64) -> u64 {
    u64::MAX
        .checked_shr(u64::BITS.saturating_sub(count as u32))
        .unwrap_or(0)
}

/// Returns `pages` if some of them were refused and another driver may take
/// them.
fn passed_on(
    region: &Region,
    home: Option<&Arc<Attached>>,
    step: Outcome,
    pages: Range<u64>,
) -> Option<Range<u64>> {
    let now = region.drivers.home()?;
    // In the order of the list, so that no request goes round and round.
    (step.refused != 0 && home.is_some_and(|home| now.id() > home.id())).then_some(pages)
}

/// Pages out the coldest pages until `excess`, which gets how many left, is 0 or a scan
/// of all pages made no room. Returns how many left.
fn shrink(
    region: &OpenRegion,
    home: &Arc<Attached>,
    mut haste: Haste,
    excess: impl Fn(u64) -> u64,
) -> (End, u64) {
    let mut done = 0;
    for _ in 0..TURN {
        let wanted = excess(done);
        if wanted == 0 || kthread::should_stop() {
            return (End::Enough, done);
        }
        if sleep::is_near() {
            return (End::Turn, done);
        }
        let unevictable = region.residency.unevictable();
        // If all of them are in use, the limit holds all the same.
        if region.scanned.load() > region.residency.resident() + unevictable {
            haste = Haste::Oldest;
        }
        let (mut scanned, step) = clock::turn(region, home, haste, wanted);
        done += step.done;
        // What the driver refused needs no other look.
        scanned += step.refused;
        // What does not count any more made room as well.
        if step.done != 0 || region.residency.unevictable() > unevictable {
            region.scanned.store_release(0);
            // There is progress: who comes now may wait for it.
            region.expect_room();
            continue;
        }
        if has_moved(region, home) {
            // To be tried with another driver.
            region.scanned.store_release(0);
            return (End::Turn, done);
        }
        // Three times around: once to age, once to evict, once more to tell
        // what is held from what only was just then.
        let pages = region.residency.resident() + region.residency.unevictable();
        let around = 3 * pages + BATCH_PAGES as u64;
        if region.scanned.add(scanned.max(1)) + scanned.max(1) >= around {
            region.scanned.store_release(0);
            return (End::Nothing, done);
        }
        if step.refused != 0 {
            // A driver that takes nothing is not asked again at once.
            let _ = home.driver().batch.wait.wait_timeout(
                Signals::Idle,
                Some(BACK_OFF_MS),
                kthread::should_stop,
            );
            return (End::Turn, done);
        }
    }
    let end = match excess(done) {
        0 => End::Enough,
        _ => End::Turn,
    };
    (end, done)
}
