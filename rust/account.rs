// SPDX-License-Identifier: GPL-2.0

//! Account: the stored bytes of all regions of a cgroup, those in it included, or of
//! all regions that a user created, and how many there may be.
//!
//! What a region stores counts for the region, for the user whose process created it,
//! for its owner's cgroup and for all that this is in. A cgroup that is removed leaves
//! its regions to its parent, where their bytes count already: only its own limit ends.
//!
//! There is an account for as long as something counts for it, or there is a limit.
//! The tree of all has each by its key. What counts is [`crate::quota`].

use crate::{
    atomic::Word,
    error::{
        code,
        Result, //
    },
    limit::NONE,
    memcg::{
        self,
        Memcg, //
    },
    owner::{
        Lease,
        Owner, //
    },
    quota::Quota,
    regions, //
};
use core::{
    iter::{
        once,
        successors, //
    },
    mem::ManuallyDrop,
    ops::Deref, //
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    str::CStr,
    sync::Arc, //
};

/// Names an account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A user, by the number that the initial user namespace has for it.
    User(u32),
    /// A cgroup, by its id.
    Cgroup(u64),
}

/// Bytes of many regions.
pub(crate) struct Account {
    pub(crate) key: Key,
    pub(crate) quota: Quota,
    memcg: Option<Memcg>,
    /// In use by this one.
    parent: Option<Arc<Account>>,
    /// Regions, accounts and limits that use it. Changes under the lock of the tree.
    users: Word,
    /// One of these is a limit. As above.
    limited: Word,
}

impl Account {
    /// Whether its cgroup was removed.
    fn is_removed(&self) -> bool {
        self.memcg.as_ref().is_some_and(Memcg::is_removed)
    }
}

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `init` initialises it before anything else runs.
    unsafe(uninit) static swapvma_accounts: SpinLock<Option<RBTree<Key, Arc<Account>>>> = None;
}

/// Initialises the tree.
///
/// # Safety
///
/// Called once, at module load, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { swapvma_accounts.init() };
}

/// An account in use.
///
/// # Invariants
///
/// The account is there until the value is dropped.
pub(crate) struct Used(ManuallyDrop<Arc<Account>>);

impl Used {
    /// Under the lock of the tree.
    fn new(account: &Arc<Account>) -> Self {
        account.users.add(1);
        // INVARIANT: Just taken.
        Self(ManuallyDrop::new(account.clone()))
    }

    /// Gives up the value, but not the use.
    fn into_arc(self) -> Arc<Account> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant it is there, and nothing uses it after this.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl Deref for Used {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.0
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is there, and nothing uses it after this.
        put(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

/// Ends a use. Cgroups may be nested deeply: what an account uses of its parent ends
/// here, and not where the account is dropped.
fn put(account: Arc<Account>) {
    let mut next = Some(account);
    while let Some(account) = next {
        let mut unused = None;
        let mut accounts = swapvma_accounts.lock();
        if account.users.sub(1) == 1 {
            let by_key = accounts.as_mut();
            unused = by_key.and_then(|by_key| by_key.remove_node(&account.key));
        }
        drop(accounts);
        next = unused.as_ref().and_then(|_| account.parent.clone());
    }
}

fn find(key: Key) -> Option<Used> {
    let accounts = swapvma_accounts.lock();
    accounts.as_ref()?.get(&key).map(Used::new)
}

/// Adds an account, unless there is one. May sleep and allocate.
fn insert(key: Key, memcg: Option<Memcg>, parent: Option<Used>) -> Result<Used> {
    let account = Account {
        key,
        quota: Quota::new(),
        memcg,
        parent: parent.as_ref().map(|parent| Arc::clone(&parent.0)),
        users: Word::new(0),
        limited: Word::new(0),
    };
    let node = RBTreeNode::new(key, Arc::new(account, GFP_KERNEL)?, GFP_KERNEL)?;
    let mut accounts = swapvma_accounts.lock();
    let by_key = accounts.get_or_insert_with(RBTree::new);
    // Of two that get here, the second uses what the first one made.
    let unused = match by_key.get(&key) {
        Some(_) => Some(node),
        None => {
            by_key.insert(node);
            None
        }
    };
    let used = by_key.get(&key).map(Used::new);
    drop(accounts);
    if unused.is_none() {
        // The use is the account's from here on.
        drop(parent.map(Used::into_arc));
    }
    used.ok_or(code::ENOMEM)
}

/// Returns the account of a user. May sleep and allocate.
fn of_user(user: u32) -> Result<Used> {
    let key = Key::User(user);
    find(key).map_or_else(|| insert(key, None, None), Ok)
}

/// Returns the account of a cgroup; before, makes those that it is in. May sleep and
/// allocate.
fn of_cgroup(memcg: Memcg) -> Result<Used> {
    let mut missing = KVec::new();
    let mut next = Some(memcg);
    let mut account = None;
    while let Some(memcg) = next {
        account = find(Key::Cgroup(memcg.id()));
        if account.is_some() {
            break;
        }
        next = memcg.parent();
        missing.push(memcg, GFP_KERNEL)?;
    }
    while let Some(memcg) = missing.pop() {
        account = Some(insert(Key::Cgroup(memcg.id()), Some(memcg), account)?);
    }
    account.ok_or(code::ENODEV)
}

/// What the stored bytes of a region count for.
pub(crate) struct Accounts {
    /// The region's own.
    own: Quota,
    user: Used,
    /// None without the memory controller.
    cgroup: Option<Used>,
}

impl Accounts {
    /// Returns the region's own quota.
    pub(crate) fn own(&self) -> &Quota {
        &self.own
    }

    fn shared(&self) -> impl Iterator<Item = &Account> + Clone {
        let cgroup = self.cgroup.as_deref();
        let cgroups = successors(cgroup, |account| account.parent.as_deref());
        Iterator::chain(once(&*self.user), cgroups)
    }

    /// Returns each quota. Any context.
    pub(crate) fn quotas(&self) -> impl Iterator<Item = &Quota> + Clone {
        let shared = self.shared().map(|account| &account.quota);
        Iterator::chain(once(&self.own), shared)
    }

    /// The limit of a cgroup ends with it: nobody could lift it any more.
    pub(crate) fn lift_removed(&self) {
        let limited = |account: &&Account| account.quota.limit() != NONE;
        self.shared()
            .filter(limited)
            .filter(|account| account.is_removed())
            .for_each(|account| account.quota.set_limit(NONE));
    }
}

/// Who pays for a region: its owner for the pages, accounts for what is stored.
#[derive(Clone)]
pub(crate) struct Payer {
    owner: Lease,
    accounts: Arc<Accounts>,
}

impl Payer {
    /// Returns the calling process as the creator of a region. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn of_current() -> Result<Self> {
        let memcg = Memcg::of_current();
        let owner = Lease::new(memcg.clone())?;
        let cgroup = if memcg.is_none() {
            None
        } else {
            Some(of_cgroup(memcg)?)
        };
        let accounts = Accounts {
            own: Quota::new(),
            user: of_user(memcg::user_of_current())?,
            cgroup,
        };
        Ok(Self {
            owner,
            accounts: Arc::new(accounts, GFP_KERNEL)?,
        })
    }

    /// Returns what stored bytes count for.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }
}

impl Deref for Payer {
    type Target = Owner;

    fn deref(&self) -> &Owner {
        &self.owner
    }
}

/// Whose limit is to be set.
pub(crate) enum Whose<'a> {
    /// That of a user, as the calling task calls it.
    User(u32),
    /// That of the cgroup with this id.
    Cgroup(u64),
    /// That of the cgroup at this path from the root of the hierarchy.
    Path(&'a CStr),
}

/// Limits the stored bytes of a user or a cgroup. What is stored already stays. May
/// sleep and allocate.
///
/// # Errors
///
/// `ENOENT` for an unknown cgroup; `ENODEV` for one without a memory controller, and if
/// the machine has none; `EINVAL` for a number that no user has; `ENOMEM`.
pub(crate) fn set_limit(whose: Whose<'_>, bytes: u64) -> Result {
    let account = match whose {
        Whose::User(uid) => of_user(memcg::find_user(uid)?)?,
        Whose::Cgroup(id) => of_cgroup(Memcg::find(id)?)?,
        Whose::Path(path) => of_cgroup(Memcg::find_path(path)?)?,
    };
    limit(account, bytes);
    prune();
    // There may be room where there was none.
    regions::each().for_each(|region| region.expect_room());
    Ok(())
}

/// A limit uses its account.
fn limit(account: Used, bytes: u64) {
    let is_limited = bytes != NONE;
    let was_limited = {
        let _accounts = swapvma_accounts.lock();
        account.quota.set_limit(bytes);
        let was_limited = account.limited.load() != 0;
        account.limited.store_release(u64::from(is_limited));
        was_limited
    };
    match (was_limited, is_limited) {
        (false, true) => drop(account.into_arc()),
        (true, false) => put(Arc::clone(&account.0)),
        _ => {}
    }
}

/// Ends the limits of cgroups that were removed. No lock held.
pub(crate) fn prune() {
    each()
        .filter(|account| account.is_removed())
        .for_each(|account| limit(account, NONE));
}

/// All accounts, as long as the module is loaded. Dropped when no handle is left.
pub(crate) struct All;

impl Drop for All {
    fn drop(&mut self) {
        each().for_each(|account| limit(account, NONE));
        let left = each().count();
        if left != 0 {
            pr_err!("leaked {left} accounts\n");
        }
    }
}

/// Accounts in the order of their keys.
pub(crate) struct Each(Option<Key>);

/// Returns each account: those that are there all the time exactly once.
pub(crate) fn each() -> Each {
    Each(Some(Key::User(0)))
}

impl Key {
    fn next(self) -> Option<Self> {
        match self {
            Key::User(u32::MAX) => Some(Key::Cgroup(0)),
            Key::User(user) => Some(Key::User(user + 1)),
            Key::Cgroup(id) => id.checked_add(1).map(Key::Cgroup),
        }
    }
}

impl Iterator for Each {
    type Item = Used;

    /// Does not sleep.
    fn next(&mut self) -> Option<Used> {
        let accounts = swapvma_accounts.lock();
        let cursor = accounts.as_ref()?.cursor_lower_bound(&self.0?)?;
        let (key, account) = cursor.current();
        self.0 = key.next();
        Some(Used::new(account))
    }
}
