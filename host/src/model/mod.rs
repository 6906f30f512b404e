// SPDX-License-Identifier: GPL-2.0

//! Loom models: every interleaving of a few threads, up to a stated number of
//! preemptions.
//!
//! Loom takes two steps of different threads for independent when they touch
//! different loom objects, and then tries one order only. What a model asserts
//! may depend on that order, so [`step`] makes steps dependent: all of them
//! change one relaxed word, which orders nothing else.
//!
//! The bound of a model is in its test. `LOOM_MAX_PREEMPTIONS` replaces it, for
//! a deeper run; with `--nocapture` each model says how many executions it took.

mod bit;
pub(crate) mod cell;
mod deadline;
mod flight;
mod front;
pub(crate) mod grace;
mod listed;
mod page;
mod quota;
mod race;
mod record;
mod residency;
mod slots;
mod swapin;
mod swapout;
mod table;
mod task;
mod wait;
mod window;

use crate::flaw::{
    self,
    Flaw, //
};
use loom::{
    sync::atomic::{
        AtomicU64,
        Ordering, //
    },
    thread::JoinHandle, //
};
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    collections::BTreeSet,
    rc::Rc,
    sync::{
        atomic::AtomicUsize,
        Arc,
        Mutex, //
    }, //
};

/// Turns of spinning loops that one execution may take. A loop that turns
/// changes nothing, so that every execution has a like one with few turns; loom
/// would go on turning the loops of three threads for ever.
const TURNS: usize = 6;

thread_local! {
    static STEPS: RefCell<Option<Rc<AtomicU64>>> = const { RefCell::new(None) };
    static FINE: Cell<bool> = const { Cell::new(false) };
    static TURNED: Cell<usize> = const { Cell::new(0) };
}

/// A step that loom tries before and after every step of the other threads.
pub(crate) fn step() {
    let steps = STEPS.with_borrow(|steps| steps.clone());
    steps
        .expect("a model is running")
        .fetch_add(1, Ordering::Relaxed);
}

/// Whether the operations of the pure logic are steps.
fn explores_operations() -> bool {
    FINE.get()
}

/// One turn of a spinning loop.
pub(crate) fn turn() {
    TURNED.set(TURNED.get() + 1);
    if TURNED.get() > TURNS {
        loom::skip_branch();
    }
    loom::thread::yield_now();
}

/// How much of a model is a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Steps {
    /// Each operation of the pure logic, in all orders that memory allows.
    Fine,
    /// What the model says; the operations in between belong to the step.
    Coarse,
}

/// Runs `scenario` in every interleaving with at most `preemptions`.
fn explore(steps: Steps, preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 10_000;
    FINE.set(steps == Steps::Fine);
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        TURNED.set(0);
        STEPS.set(Some(Rc::new(AtomicU64::new(0))));
        scenario();
        grace::end();
        STEPS.set(None);
    });
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    println!("{name}: {} executions", executions.load(Ordering::Relaxed));
}

/// As [`explore`], with `flaws` put back. The caller expects a panic.
fn explore_with(
    flaws: &'static [Flaw],
    steps: Steps,
    preemptions: usize,
    scenario: impl Fn() + Send + Sync + 'static,
) {
    let _present = flaw::put_back(flaws);
    explore(steps, preemptions, scenario);
}

/// Lets another thread act on what `shared` is.
fn spawn<T: Send + Sync + 'static>(
    shared: &Arc<T>,
    act: impl FnOnce(&T) + 'static,
) -> JoinHandle<()> {
    let shared = shared.clone();
    loom::thread::spawn(move || act(&shared))
}

fn join(others: impl IntoIterator<Item = JoinHandle<()>>) {
    for other in others {
        other.join().expect("no panic");
    }
}

/// Loom has to try every order of the steps, or the models show nothing.
#[test]
fn every_order_of_steps_is_tried() {
    let orders = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = orders.clone();
    explore(Steps::Coarse, 9, move || {
        let order = Arc::new(Mutex::new(String::new()));
        let act = |name: char| {
            move |order: &Mutex<String>| {
                for _ in 0..2 {
                    step();
                    order.lock().expect("no panic").push(name);
                }
            }
        };
        let others = [spawn(&order, act('b')), spawn(&order, act('c'))];
        act('a')(&order);
        join(others);
        let order = order.lock().expect("no panic").clone();
        seen.lock().expect("no panic").insert(order);
    });
    // 6! / (2! 2! 2!)
    assert_eq!(orders.lock().expect("no panic").len(), 90);
}
