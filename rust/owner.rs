// SPDX-License-Identifier: GPL-2.0

//! Owner: the memory cgroup whose process created a region. It pays for the
//! region's pages, and its limits shrink the region and no other.
//!
//! The shrinker finds what belongs to a cgroup on three kinds of lists, each of a
//! node: the owners of a cgroup, an owner's regions, a region's records. Something
//! is on such a list for as long as there are pages below it, so that neither
//! regions nor cgroups without pages cost a reclaimer anything. The core keeps the
//! first kind for each cgroup, and gives it to the parent of one that is removed;
//! the owner lives on until its last region is gone.
//!
//! What does not count against a region's limit does not count here: reclaim cannot
//! free it.

use crate::{
    account::Payer,
    atomic::Word,
    bindings as ours,
    error::{
        code,
        Result, //
    },
    list_lru::{
        Cgroup,
        Item,
        ListLru,
        Visited, //
    },
    listed::Listed,
    memcg::{
        Charging,
        Memcg, //
    },
    regions, //
};
use core::{
    mem::offset_of,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// The pages of an owner, or of a region, on one node.
#[repr(C)]
struct Anchor {
    link: Opaque<bindings::list_head>,
    /// Names owner or region.
    key: u64,
    listed: Listed,
    /// Pages that swappers and reclaimers freed.
    freed: Word,
}

// SAFETY: The link is initialised by `init`, and nothing else uses it.
unsafe impl Item for Anchor {
    fn link(&self) -> *mut bindings::list_head {
        self.link.get()
    }

    unsafe fn from_link<'a>(link: *mut bindings::list_head) -> &'a Self {
        // SAFETY: By the safety requirement.
        let anchor = unsafe { link.byte_sub(offset_of!(Anchor, link)) };
        // SAFETY: By the safety requirement.
        unsafe { &*anchor.cast::<Anchor>() }
    }
}

impl Anchor {
    /// Prepares an anchor that stays where it is.
    ///
    /// # Safety
    ///
    /// `anchor` is valid for writing.
    unsafe fn init(anchor: *mut Self, key: u64) {
        // SAFETY: By the safety requirement.
        unsafe {
            anchor.write(Self {
                link: Opaque::uninit(),
                key,
                listed: Listed::new(),
                freed: Word::new(0),
            })
        };
        // SAFETY: An empty link points at itself.
        unsafe { bindings::INIT_LIST_HEAD((*anchor).link.get()) };
    }

    fn visit(&self) -> Visited {
        if self.listed.stays() {
            Visited::Rotate
        } else {
            Visited::Remove
        }
    }
}

fn nr_nodes() -> usize {
    // SAFETY: No precondition.
    unsafe { ours::swapvma_nr_nodes() as usize }
}

/// The anchors of one owner or region, one for each node.
///
/// # Invariants
///
/// Points at as many anchors as there are nodes, which this value owns.
struct Anchors(NonNull<[Anchor]>);

// SAFETY: Anchors have atomics, and a link that a list's lock protects.
unsafe impl Send for Anchors {}
// SAFETY: As above.
unsafe impl Sync for Anchors {}

impl Anchors {
    /// Allocates anchors, and lists for them in the cgroup that is charged. May
    /// sleep.
    fn new(key: u64) -> Result<Self> {
        let lists = lists().ok_or(code::ENODEV)?;
        // SAFETY: The cache exists as long as the lists.
        let anchors = unsafe { ours::swapvma_anchors_alloc(lists.owners.as_ptr()) };
        let anchors = NonNull::new(anchors.cast::<Anchor>()).ok_or(code::ENOMEM)?;
        for i in 0..nr_nodes() {
            // SAFETY: There is room for as many.
            unsafe { Anchor::init(anchors.add(i).as_ptr(), key) };
        }
        // INVARIANT: Just allocated and initialised.
        Ok(Self(NonNull::slice_from_raw_parts(anchors, nr_nodes())))
    }
}

impl Deref for Anchors {
    type Target = [Anchor];

    fn deref(&self) -> &[Anchor] {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Anchors {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; whoever drops it took them off their lists.
        unsafe { ours::swapvma_anchors_free(self.0.as_ptr().cast()) };
    }
}

/// A cgroup that owns regions.
#[pin_data(PinnedDrop)]
pub(crate) struct Owner {
    memcg: Memcg,
    /// Leases, which change under the lock of the owners.
    leases: Word,
    anchors: Anchors,
    #[pin]
    regions: ListLru<Anchor>,
}

impl Owner {
    fn new(memcg: Memcg) -> Result<Arc<Self>> {
        let key = memcg.key() as u64;
        let anchors = {
            let _charging = memcg.charge();
            Anchors::new(key)?
        };
        Arc::pin_init(
            try_pin_init!(Owner {
                memcg,
                leases: Word::new(0),
                anchors,
                regions <- ListLru::new(ours::swapvma_lru::SWAPVMA_LRU_REGIONS),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Has the owner pay for what the calling task allocates.
    pub(crate) fn charge(&self) -> Charging<'_> {
        self.memcg.charge()
    }

    /// Whether its cgroup, or one that this is in, is at its limit.
    pub(crate) fn is_short(&self) -> bool {
        self.memcg.is_short(1)
    }

    /// Returns the pages of its regions that were freed since there is the owner.
    pub(crate) fn freed(&self) -> u64 {
        self.anchors.iter().map(|anchor| anchor.freed.load()).sum()
    }
}

#[pinned_drop]
impl PinnedDrop for Owner {
    fn drop(self: Pin<&mut Self>) {
        let Some(lists) = lists() else { return };
        for (nid, anchor) in self.anchors.iter().enumerate() {
            // SAFETY: It was added with these.
            unsafe { lists.owners.del(anchor, nid as i32, self.memcg.as_ptr()) };
        }
    }
}

/// What a region has of its owner.
pub(crate) struct Lease(Arc<Owner>);

impl Lease {
    /// Returns a cgroup as an owner. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(memcg: Memcg) -> Result<Self> {
        if let Some(lease) = find(memcg.key()) {
            return Ok(lease);
        }
        let owner = Owner::new(memcg)?;
        let key = owner.memcg.key();
        let node = RBTreeNode::new(key, owner, GFP_KERNEL)?;
        let mut owners = swapvma_owners.lock();
        let by_key = owners.get_or_insert_with(RBTree::new);
        // Of two that get here, the second uses what the first one made.
        let unused = match by_key.get(&key) {
            Some(_) => Some(node),
            None => {
                by_key.insert(node);
                None
            }
        };
        let lease = by_key.get(&key).map(Self::of);
        drop(owners);
        drop(unused);
        lease.ok_or(code::ENOMEM)
    }

    /// Under the lock of the owners.
    fn of(owner: &Arc<Owner>) -> Self {
        owner.leases.add(1);
        Self(owner.clone())
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        let _owners = swapvma_owners.lock();
        Self::of(&self.0)
    }
}

impl Deref for Lease {
    type Target = Owner;

    fn deref(&self) -> &Owner {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut owners = swapvma_owners.lock();
        let mut last = None;
        if self.0.leases.sub(1) == 1 {
            let by_key = owners.as_mut();
            last = by_key.and_then(|by_key| by_key.remove_node(&self.0.memcg.key()));
        }
        drop(owners);
        drop(last);
    }
}

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `init` initialises it before anything else runs.
    unsafe(uninit) static swapvma_owners: SpinLock<Option<RBTree<usize, Arc<Owner>>>> = None;
}

/// Initialises the tree of owners.
///
/// # Safety
///
/// Called once, at module load, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { swapvma_owners.init() };
}

/// The lists of the owners of each cgroup.
#[pin_data(PinnedDrop)]
pub(crate) struct Lists {
    #[pin]
    owners: ListLru<Anchor>,
}

/// The lists, from the load of the module on; null before.
static LISTS: Atomic<*const Lists> = Atomic::new(core::ptr::null());

fn lists() -> Option<&'static Lists> {
    // SAFETY: Whoever uses the lists has a region, or is called by the shrinker: the
    // module keeps the lists until neither is left.
    unsafe { LISTS.load(Acquire).as_ref() }
}

impl Lists {
    /// Creates the lists, which `shrinker` looks at. At module load, before there is
    /// a region. May sleep and allocate.
    ///
    /// # Safety
    ///
    /// `shrinker` is valid.
    pub(crate) unsafe fn new(shrinker: *mut bindings::shrinker) -> Result<Pin<KBox<Self>>> {
        let size = nr_nodes() * size_of::<Anchor>();
        let lists = KBox::pin_init(
            try_pin_init!(Self {
                // SAFETY: By the safety requirement.
                owners <- unsafe { ListLru::new_memcg(shrinker) },
            }? Error),
            GFP_KERNEL,
        )?;
        // SAFETY: This runs once.
        to_result(unsafe { ours::swapvma_anchors_init(size as u32) })?;
        LISTS.store(core::ptr::from_ref(&*lists), Release);
        Ok(lists)
    }
}

#[pinned_drop]
impl PinnedDrop for Lists {
    fn drop(self: Pin<&mut Self>) {
        LISTS.store(core::ptr::null(), Release);
        // SAFETY: No anchor is left. The cache may be null.
        unsafe { ours::swapvma_anchors_exit() };
    }
}

/// What a region has on its owner's lists.
pub(crate) struct Share {
    owner: Payer,
    anchors: Anchors,
}

impl Share {
    /// Prepares the region that `id` names. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(owner: Payer, id: u64) -> Result<Self> {
        let anchors = {
            let _charging = owner.charge();
            Anchors::new(id)?
        };
        Ok(Self { owner, anchors })
    }

    /// Returns the owner.
    pub(crate) fn owner(&self) -> &Payer {
        &self.owner
    }

    fn anchors(&self, nid: i32) -> Option<(&Anchor, &Anchor)> {
        let node = usize::try_from(nid).ok()?;
        Some((self.anchors.get(node)?, self.owner.anchors.get(node)?))
    }

    /// There is one more page that reclaim may free, on node `nid`. Any context but
    /// interrupts.
    pub(crate) fn add(&self, nid: i32) {
        let (Some((region, owner)), Some(lists)) = (self.anchors(nid), lists()) else {
            return;
        };
        let cgroup = self.owner.memcg.as_ptr();
        if region.listed.add() {
            // SAFETY: `drop` takes it off the list.
            unsafe { self.owner.regions.add(region, nid, NO_CGROUP) };
        }
        if owner.listed.add() {
            // SAFETY: The owner takes it off the list before it is freed; its lists
            // were allocated with it.
            unsafe { lists.owners.add(owner, nid, cgroup) };
        }
        // SAFETY: The node of a page is there.
        unsafe { ours::swapvma_count_reclaimable(nid, 1) };
    }

    /// There are so many less. As [`Share::add`].
    pub(crate) fn sub(&self, nid: i32, pages: u64) {
        if let Some((region, owner)) = self.anchors(nid) {
            region.listed.sub(pages);
            owner.listed.sub(pages);
            // SAFETY: As in `add`.
            unsafe { ours::swapvma_count_reclaimable(nid, -(pages as kernel::ffi::c_long)) };
        }
    }

    /// Pages of node `nid` left memory to make room.
    pub(crate) fn note_freed(&self, nid: i32, pages: u64) {
        if let Some((_, owner)) = self.anchors(nid) {
            owner.freed.count(pages);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        for (nid, anchor) in self.anchors.iter().enumerate() {
            // SAFETY: It was added with these.
            unsafe { self.owner.regions.del(anchor, nid as i32, NO_CGROUP) };
        }
    }
}

const NO_CGROUP: Cgroup = core::ptr::null_mut();

/// What a reclaimer looks at: a node, and a cgroup without those in it.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) nid: i32,
    pub(crate) cgroup: Cgroup,
}

/// What was there, and what was freed since there are the owners.
#[derive(Clone, Copy)]
pub(crate) struct Freed {
    pages: u64,
    freed: u64,
}

impl Freed {
    /// Returns the pages that were freed meanwhile, at most those that were there. An
    /// owner without pages is not on the list any more, and a removed cgroup gives its
    /// own to its parent.
    pub(crate) fn since(self, target: Target) -> u64 {
        let now = target.freed();
        let freed = now.freed.saturating_sub(self.freed);
        let gone = self.pages.saturating_sub(now.pages);
        freed.max(gone).min(self.pages)
    }
}

/// Regions that one look returns.
pub(crate) const LOOK: usize = 8;

impl Target {
    /// Whether this is the root cgroup, or all of the node without cgroups.
    pub(crate) fn is_root(self) -> bool {
        // SAFETY: The cgroup is null, or whoever made the value holds it.
        unsafe { ours::swapvma_memcg_is_root(self.cgroup) }
    }

    /// Returns a number that hardly any other has at the time.
    pub(crate) fn name(self) -> u64 {
        ((self.cgroup as u64) >> 6) ^ self.nid as u64
    }

    /// Whether there is room in the cgroup, and in those that it is in, so that nothing
    /// has to leave: somebody asked for it, or memory is missing elsewhere.
    pub(crate) fn has_room(self) -> bool {
        // What the core wants of each reclaim at least.
        let room = ours::SWAPVMA_RECLAIM_PAGES as usize;
        // SAFETY: The cgroup is null, or whoever made the value holds it.
        let is_short = unsafe { ours::swapvma_memcg_is_short(self.cgroup, room, true) };
        !is_short && !self.is_root()
    }

    /// Calls `visit` for each owner's anchor, under the lock of their list.
    fn for_each_owner(self, max: u64, mut visit: impl FnMut(&Anchor)) {
        if let Some(lists) = lists() {
            lists.owners.walk(self.nid, self.cgroup, max, |anchor| {
                visit(anchor);
                anchor.visit()
            });
        }
    }

    /// Counts the pages. Any context but interrupts.
    pub(crate) fn pages(self) -> u64 {
        self.freed().pages
    }

    /// Notes what is there and what was freed. As [`Target::pages`].
    pub(crate) fn freed(self) -> Freed {
        let mut now = Freed { pages: 0, freed: 0 };
        self.for_each_owner(u64::MAX, |owner| {
            now.pages += owner.listed.pages();
            now.freed = now.freed.saturating_add(owner.freed.load());
        });
        now
    }

    /// Returns after how many calls of [`Target::next_regions`] all of them had their
    /// turn. Does not sleep.
    pub(crate) fn looks(self) -> u64 {
        let mut keys = [None; LOOK];
        let (mut places, mut owners) = (keys.iter_mut(), 0);
        self.for_each_owner(u64::MAX, |anchor| {
            owners += 1;
            if let Some(place) = places.next() {
                *place = usize::try_from(anchor.key).ok();
            }
        });
        let regions = if owners > LOOK as u64 {
            Some(regions::count())
        } else {
            let owners = keys.into_iter().flatten().filter_map(find);
            owners.map(|owner| owner.regions.count_node(self.nid)).max()
        };
        owners * regions.unwrap_or(0).div_ceil(LOOK as u64)
    }

    /// Returns the ids of a few regions that have pages, other ones each time until
    /// all had their turn. Does not sleep.
    pub(crate) fn next_regions(self) -> impl Iterator<Item = u64> {
        let mut owner = None;
        self.for_each_owner(1, |anchor| owner = usize::try_from(anchor.key).ok());
        let mut ids = [0; LOOK];
        let mut len = 0;
        // Meanwhile its last region may be gone.
        if let Some(owner) = owner.and_then(find) {
            let mut places = ids.iter_mut();
            owner
                .regions
                .walk(self.nid, NO_CGROUP, LOOK as u64, |anchor| {
                    if let Some(place) = places.next() {
                        *place = anchor.key;
                        len += 1;
                    }
                    anchor.visit()
                });
        }
        ids.into_iter().take(len)
    }
}

fn find(key: usize) -> Option<Lease> {
    let owners = swapvma_owners.lock();
    owners.as_ref()?.get(&key).map(Lease::of)
}
