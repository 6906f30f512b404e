// SPDX-License-Identifier: GPL-2.0

//! Stress: a table whose levels are filled in by two threads at the same time, come
//! and go, and are looked up from hard interrupts, until all that is rare was seen.

use crate::{
    atomic::{
        all_seen,
        spin_wait,
        Spare,
        Word, //
    },
    bindings as ours,
    entry::State,
    error::Result,
    flaw,
    kthread::{
        self,
        Main,
        Thread, //
    },
    table::{
        Table,
        MAX_PAGES, //
    },
};
use kernel::{
    cpu::nr_cpu_ids,
    prelude::*,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// A page whose level stays.
const KEPT: u64 = 5;
/// The first page of what is filled in and trimmed, leaf by leaf.
const FIRST: u64 = 512;
const LEAVES: u64 = 8;

/// A table, and what several do to it.
struct Race {
    table: Table,
    /// The round that each of the fillers is in.
    rounds: [Word; 2],
    /// Fills that failed, and entries that were not as they were left.
    failed: Word,
    lost: Word,
}

/// Returns the first page of the leaf of `round`. Leaves are filled in from the last
/// to the first, which is killed first when the level above them goes.
fn leaf(round: u64) -> u64 {
    FIRST + (LEAVES - 1 - round % LEAVES) * (512 / LEAVES) * 512
}

impl Race {
    fn new() -> Result<Arc<Self>> {
        let race = Self {
            table: Table::new(),
            rounds: [const { Word::new(0) }; 2],
            failed: Word::new(0),
            lost: Word::new(0),
        };
        race.table.lock_filled(KEPT)?.set(State::Poisoned);
        Ok(Arc::new(race, GFP_KERNEL)?)
    }

    /// Fills in a level that is not there, in step with `other` unless that one does
    /// not run, and makes a page of its own something and nothing again.
    fn fill(&self, mine: &Word, other: &Word, id: u64) -> Result {
        // In hand before it is needed, so that nothing comes between.
        let mut spare = Some(Spare::new()?);
        let round = other.load().max(mine.load() + 1);
        mine.store_release(round);
        for _ in 0..1000 {
            if other.load() >= round {
                break;
            }
            spin_wait();
        }
        let index = leaf(round) + id;
        self.table
            .fill_with(index, || spare.take().map_or_else(Spare::new, Ok))?;
        self.table.lock_filled(index)?.set(State::Poisoned);
        let kept = self.table.peek(index) == State::Poisoned;
        let found = self.table.lock(index).map(|mut entry| {
            let found = entry.get();
            entry.set(State::Empty);
            found
        });
        if !kept || found != Some(State::Poisoned) {
            self.lost.add(1);
        }
        Ok(())
    }

    /// Looks at the first pages of all leaves.
    fn look(&self) {
        for round in 0..16 * LEAVES {
            if !matches!(self.table.peek(leaf(round)), State::Empty | State::Poisoned) {
                self.lost.add(1);
            }
        }
        if self.table.peek(KEPT) != State::Poisoned {
            self.lost.add(1);
        }
    }
}

/// Who does what: two fill, a third trims.
struct Runner {
    race: Arc<Race>,
    id: usize,
}

impl Main for Runner {
    fn main(self: Arc<Self>) {
        let race = &self.race;
        let [first, second] = &race.rounds;
        while !kthread::should_stop() {
            let filled = match self.id {
                0 => race.fill(first, second, 0),
                1 => race.fill(second, first, 1),
                _ => {
                    race.table.trim(FIRST..MAX_PAGES);
                    fsleep(Delta::from_micros(50));
                    Ok(())
                }
            };
            race.failed.add(filled.is_err().into());
            kthread::cond_resched();
        }
    }
}

/// # Safety
///
/// `arg` is a [`Race`].
unsafe extern "C" fn look(arg: *mut c_void) {
    // SAFETY: By the safety requirement.
    unsafe { &*arg.cast::<Race>() }.look();
}

/// Runs `race` until `enough` or for some seconds; returns whether it was. With one
/// processor little is met, and a short run has to do.
fn run(race: &Arc<Race>, enough: impl Fn() -> bool) -> Result<bool> {
    let limit = if nr_cpu_ids() > 1 { 60_000 } else { 500 };
    let mut threads = KVec::new();
    for id in 0..3 {
        let race = race.clone();
        let runner = Arc::new(Runner { race, id }, GFP_KERNEL)?;
        threads.push(Thread::spawn(c"table", runner)?, GFP_KERNEL)?;
    }
    let start = Instant::<Monotonic>::now();
    while !enough() && start.elapsed().as_millis() < limit {
        let arg: *const Race = &raw const **race;
        // SAFETY: The interrupt is over when the function returns.
        unsafe { ours::swapvma_run_in_interrupt(Some(look), arg.cast_mut().cast()) };
        fsleep(Delta::from_micros(200));
    }
    Ok(enough() || nr_cpu_ids() == 1)
}

#[kunit_tests(swapvma_table)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_come_and_go_fail_nobody() -> Result {
        const ROUNDS: u64 = 500;
        let race = Race::new()?;
        let before = all_seen();
        let met = || {
            let mut counts = all_seen();
            counts.iter_mut().zip(before).for_each(|(n, was)| *n -= was);
            counts
        };
        let [round, _] = &race.rounds;
        let failed = || race.failed.load() + race.lost.load() != 0;
        let enough = run(&race, || {
            failed() || round.load() >= ROUNDS && !met().contains(&0)
        })?;
        pr_info!("table: {} rounds, rare {:?}\n", round.load(), met());
        assert_eq!(race.failed.load(), 0);
        assert_eq!(race.lost.load(), 0);
        assert!(enough);
        race.table.trim(FIRST..MAX_PAGES);
        assert_eq!(race.table.levels(), 1);
        assert_eq!(race.table.peek(KEPT), State::Poisoned);
        Ok(())
    }

    #[test]
    fn an_error_for_what_is_present_is_noticed() -> Result {
        if !cfg!(CONFIG_FAULT_INJECTION_DEBUG_FS) {
            return Ok(());
        }
        let race = Race::new()?;
        flaw::put_back(b"present_is_error")?;
        let noticed = run(&race, || race.failed.load() != 0);
        flaw::put_back(b"")?;
        assert!(noticed?);
        Ok(())
    }
}
