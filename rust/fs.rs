// SPDX-License-Identifier: GPL-2.0

//! The pseudo file system whose inodes and files the regions are.
//!
//! A region's file holds this module through its file operations, its mount
//! through its path, and the mount holds the module again through the file
//! system type: the release of the last file may outlive `fops_put`.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    attached::Attached,
    bindings as ours,
    device,
    error::{
        code,
        eopnotsupp,
        Error,
        Result, //
    },
    folio::Mapping,
    punch,
    region::{
        OpenRegion,
        Region, //
    },
    seal::Mode,
    stats,
    vma, //
};
use core::{
    cell::UnsafeCell,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    bindings,
    error::from_err_ptr,
    fs::file::FileDescriptorReservation,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        SetOnce, //
    },
};

/// A reference to an open file.
///
/// # Invariants
///
/// Owns one reference.
pub(crate) struct OpenFile(NonNull<bindings::file>);

// SAFETY: References to files may be used from any task.
unsafe impl Send for OpenFile {}
// SAFETY: As above.
unsafe impl Sync for OpenFile {}

impl OpenFile {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The caller gives up one reference to `file`.
    unsafe fn from_raw(file: NonNull<bindings::file>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(file)
    }

    /// Returns the file.
    pub(crate) fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }

    /// Gives the reference to the caller.
    pub(crate) fn into_raw(self) -> *mut bindings::file {
        let file = self.0.as_ptr();
        core::mem::forget(self);
        file
    }

    /// Gives the reference up. If it is the last one, the file is released before
    /// this returns, not when the task goes back to user space. No lock held.
    pub(crate) fn release_now(self) {
        // SAFETY: The reference is given up.
        unsafe { bindings::__fput_sync(self.into_raw()) };
    }

    /// Returns the region that the file is of.
    pub(crate) fn region(&self) -> &Region {
        // SAFETY: Only files that `create` returned become an `OpenFile`.
        unsafe { region_of(self.0.as_ptr()) }
    }

    /// Returns the region, open.
    pub(crate) fn open_region(&self) -> OpenRegion {
        // SAFETY: As in `region`.
        let region =
            unsafe { ArcBorrow::from_raw((*self.0.as_ptr()).private_data as *const Region) };
        OpenRegion::new(region.into(), self.clone())
    }
}

impl Clone for OpenFile {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant there is a reference.
        unsafe { ours::swapvma_get_file(self.0.as_ptr()) };
        // INVARIANT: The call above took the reference.
        Self(self.0)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}

/// A reference to the module that created a region.
///
/// # Invariants
///
/// Null, or a module of which this value owns a reference.
pub(crate) struct Owner(*mut bindings::module);

// SAFETY: References to modules may be used from any task.
unsafe impl Send for Owner {}
// SAFETY: As above.
unsafe impl Sync for Owner {}

impl Owner {
    /// Takes a reference; `None` if the module is going away.
    ///
    /// # Safety
    ///
    /// `module` is null or that of the caller, which is thus loaded.
    pub(crate) unsafe fn take(module: *mut bindings::module) -> Option<Self> {
        // SAFETY: By the safety requirement.
        // INVARIANT: The call takes the reference.
        unsafe { ours::swapvma_try_module_get(module) }.then_some(Self(module))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { ours::swapvma_module_put(self.0) };
    }
}

/// What a region knows of its file and inode.
///
/// # Invariants
///
/// `inode` is valid while the region is open; `file` is null once it is not.
pub(crate) struct RegionFile {
    file: Atomic<*mut bindings::file>,
    inode: NonNull<bindings::inode>,
    /// The module that created the region, if it is another one.
    owner: SetOnce<Owner>,
}

// SAFETY: Files and inodes are used from any task.
unsafe impl Send for RegionFile {}
// SAFETY: As above.
unsafe impl Sync for RegionFile {}

impl RegionFile {
    /// Takes a reference to the file unless it is being released. Any context
    /// but hard interrupt.
    pub(crate) fn open(&self) -> Option<OpenFile> {
        // SAFETY: The field holds null or a file that is freed by RCU after the
        // field was cleared, which is what this function asks for.
        let file = unsafe { bindings::get_file_active(self.file.as_ptr()) };
        // INVARIANT: The call above took the reference.
        NonNull::new(file).map(OpenFile)
    }

    /// Holds the module that created the region for as long as that lives.
    pub(crate) fn set_owner(&self, owner: Owner) {
        self.owner.populate(owner);
    }

    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: By the type invariant.
        unsafe { ours::swapvma_i_size_read(self.inode.as_ptr()) as u64 }
    }

    /// Changes the size. Under the lock that `Region` has for it.
    pub(crate) fn set_size(&self, bytes: u64) {
        // SAFETY: By the type invariant; the caller excludes other writers.
        unsafe { ours::swapvma_i_size_write(self.inode.as_ptr(), bytes as i64) };
    }

    /// Runs `f` under the inode lock, which orders changes of the size.
    pub(crate) fn locked<T>(&self, f: impl FnOnce() -> T) -> T {
        // SAFETY: By the type invariant.
        unsafe { ours::swapvma_inode_lock(self.inode.as_ptr()) };
        let result = f();
        // SAFETY: Locked above.
        unsafe { ours::swapvma_inode_unlock(self.inode.as_ptr()) };
        result
    }

    /// Returns what page tables find the region's pages through.
    pub(crate) fn mapping(&self) -> Mapping {
        // SAFETY: By the type invariant; an inode's mapping is never null.
        let mapping = unsafe { NonNull::new_unchecked((*self.inode.as_ptr()).i_mapping) };
        // SAFETY: The mapping is part of the inode.
        unsafe { Mapping::from_raw(mapping) }
    }
}

/// A table of C callbacks that nobody changes.
#[repr(transparent)]
pub(crate) struct Operations<T>(pub(crate) UnsafeCell<T>);

// SAFETY: Only the kernel uses the content, under its own rules.
unsafe impl<T> Sync for Operations<T> {}

impl<T> Operations<T> {
    /// Returns the table.
    pub(crate) const fn get(&self) -> *mut T {
        self.0.get()
    }
}

static FILE_SYSTEM: Operations<bindings::file_system_type> =
    Operations(UnsafeCell::new(bindings::file_system_type {
        owner: crate::THIS_MODULE.as_ptr(),
        name: kernel::str::as_char_ptr_in_const_context(c"swapvma"),
        init_fs_context: Some(init_fs_context),
        kill_sb: Some(bindings::kill_anon_super),
        ..pin_init::zeroed()
    }));

static MOUNT: Operations<*mut bindings::vfsmount> = Operations(UnsafeCell::new(ptr::null_mut()));
static MOUNTED: Operations<c_int> = Operations(UnsafeCell::new(0));

static INODE_OPERATIONS: Operations<bindings::inode_operations> =
    Operations(UnsafeCell::new(bindings::inode_operations {
        setattr: Some(setattr),
        ..pin_init::zeroed()
    }));

static FILE_OPERATIONS: Operations<bindings::file_operations> =
    Operations(UnsafeCell::new(bindings::file_operations {
        owner: crate::THIS_MODULE.as_ptr(),
        mmap: Some(mmap),
        release: Some(release),
        fsync: Some(fsync),
        fallocate: Some(fallocate),
        fadvise: Some(fadvise),
        show_fdinfo: Some(show_fdinfo),
        unlocked_ioctl: Some(ioctl),
        compat_ioctl: Some(ioctl),
        llseek: Some(bindings::noop_llseek),
        ..pin_init::zeroed()
    }));

/// # Safety
///
/// Called by the VFS with a valid context.
unsafe extern "C" fn init_fs_context(context: *mut bindings::fs_context) -> c_int {
    // SAFETY: By the safety requirement.
    unsafe { ours::swapvma_init_fs_context(context.cast()) }
}

/// The mount, while a region is open or about to be created.
pub(crate) struct Pin(());

impl Pin {
    /// Mounts the file system unless it is mounted. May sleep and allocate.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The three statics are these functions' alone, which lock them.
        let result =
            unsafe { bindings::simple_pin_fs(FILE_SYSTEM.get(), MOUNT.get(), MOUNTED.get()) };
        kernel::error::to_result(result)?;
        Ok(Self(()))
    }

    fn mount(&self) -> *mut bindings::vfsmount {
        // SAFETY: The mount stays while it is pinned.
        unsafe { *MOUNT.get() }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // SAFETY: `new` pinned the mount.
        unsafe { bindings::simple_release_fs(MOUNT.get(), MOUNTED.get()) };
    }
}

/// Creates a region of `size` bytes and at most `limit` resident pages, whose
/// stored pages are verified as `mode` says, and its file. May sleep and allocate.
pub(crate) fn create(
    attached: Arc<Attached>,
    size: u64,
    limit: u64,
    mode: Option<Mode>,
) -> Result<OpenFile> {
    let pin = Pin::new()?;
    // SAFETY: The mount is pinned.
    let inode = from_err_ptr(unsafe { bindings::alloc_anon_inode((*pin.mount()).mnt_sb) })?;
    // SAFETY: The inode is new and this caller's.
    unsafe {
        (*inode).i_mode = (bindings::S_IFREG | 0o600) as bindings::umode_t;
        (*inode).i_op = INODE_OPERATIONS.get();
    }
    // SAFETY: As above.
    unsafe { ours::swapvma_inode_set_class(inode) };
    // SAFETY: As above.
    unsafe { ours::swapvma_i_size_write(inode, size as i64) };
    // A core dump contains shared mappings of what has no name.
    // SAFETY: As above.
    unsafe { bindings::clear_nlink(inode) };
    // SAFETY: Module, mount and inode are valid.
    if !unsafe { ours::swapvma_try_module_get(crate::THIS_MODULE.as_ptr()) } {
        // SAFETY: The inode is this caller's.
        unsafe { bindings::iput(inode) };
        return Err(code::ENODEV);
    }
    // SAFETY: As above; on success the file owns the inode and the module.
    let file = from_err_ptr(unsafe {
        bindings::alloc_file_pseudo(
            inode,
            pin.mount(),
            c"swapvma".as_char_ptr(),
            (bindings::O_RDWR | bindings::O_LARGEFILE) as c_int,
            FILE_OPERATIONS.get(),
        )
    })
    .inspect_err(|_: &Error| {
        // SAFETY: The module reference was taken above.
        unsafe { ours::swapvma_module_put(crate::THIS_MODULE.as_ptr()) };
        // SAFETY: The inode is this caller's.
        unsafe { bindings::iput(inode) };
    })?;
    // `release` undoes the pin from here on.
    core::mem::forget(pin);
    let file = NonNull::new(file).ok_or(code::EINVAL)?;
    // SAFETY: The file is new and this caller's.
    let open = unsafe { OpenFile::from_raw(file) };
    let inode = NonNull::new(inode).ok_or(code::EINVAL)?;
    // INVARIANT: The inode lives as long as its file.
    let region_file = RegionFile {
        file: Atomic::new(file.as_ptr()),
        inode,
        owner: SetOnce::new(),
    };
    let region = Region::new(attached, region_file, limit, mode)?;
    let region = Arc::into_raw(region).cast_mut();
    // SAFETY: Nobody else has the inode yet.
    unsafe { (*inode.as_ptr()).i_private = region.cast() };
    // SAFETY: Nobody else has the file yet, which owns the region from here on.
    unsafe { (*file.as_ptr()).private_data = region.cast() };
    Ok(open)
}

/// Returns the region of a file.
///
/// # Safety
///
/// `file` is a region's file that stays open for `'a`.
pub(crate) unsafe fn region_of<'a>(file: *mut bindings::file) -> &'a Region {
    // SAFETY: By the safety requirement; `create` stored the region.
    unsafe { &*(*file).private_data.cast::<Region>() }
}

/// Returns a reference to a file and its region.
///
/// # Safety
///
/// `file` is a region's open file.
pub(crate) unsafe fn open_region(file: NonNull<bindings::file>) -> OpenRegion {
    // SAFETY: By the safety requirement.
    unsafe { ours::swapvma_get_file(file.as_ptr()) };
    // SAFETY: The call above took the reference.
    unsafe { OpenFile::from_raw(file) }.open_region()
}

/// # Safety
///
/// Called by the VFS, once, when the last reference to a region's file is gone.
unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: By the safety requirement.
    let region = unsafe { (*file).private_data } as *const Region;
    if !region.is_null() {
        // SAFETY: `create` gave this reference to the file.
        let region = unsafe { Arc::from_raw(region) };
        region.file.file.store(ptr::null_mut(), Relaxed);
        // The inode may live on: O_PATH keeps it, and truncate() reaches it.
        region.file.locked(|| {
            // SAFETY: The inode is valid until this function returns.
            unsafe { (*region.file.inode.as_ptr()).i_private = ptr::null_mut() };
        });
        punch::remove(&region, 0..u64::MAX);
        region.forget();
        region.drivers.remove_all();
    }
    // The mount outlives this: the file's path holds it.
    drop(Pin(()));
    0
}

/// # Safety
///
/// Called by the VFS with the inode lock held.
unsafe extern "C" fn setattr(
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attr: *mut bindings::iattr,
) -> c_int {
    // SAFETY: By the safety requirement.
    let error = unsafe { bindings::setattr_prepare(idmap, dentry, attr) };
    if error != 0 {
        return error;
    }
    // SAFETY: As above.
    let (inode, valid, size) = unsafe { ((*dentry).d_inode, (*attr).ia_valid, (*attr).ia_size) };
    if valid & bindings::ATTR_SIZE != 0 {
        // SAFETY: The inode is a region's; the inode lock, which the VFS holds,
        // keeps `release` from freeing what it refers to.
        let Some(region) = (unsafe { (*inode).i_private.cast::<Region>().as_ref() }) else {
            return code::EIO.to_errno();
        };
        if let Err(error) = punch::truncate(region, size as u64) {
            return error.to_errno();
        }
    }
    // SAFETY: As above.
    unsafe { bindings::setattr_copy(idmap, inode, attr) };
    0
}

/// # Safety
///
/// Called by the VFS for a region's file.
unsafe extern "C" fn fallocate(
    file: *mut bindings::file,
    mode: c_int,
    offset: bindings::loff_t,
    length: bindings::loff_t,
) -> c_long {
    if mode as u32 != ours::FALLOC_FL_PUNCH_HOLE | ours::FALLOC_FL_KEEP_SIZE {
        return eopnotsupp().to_errno() as c_long;
    }
    let Some(file) = NonNull::new(file) else {
        return code::EBADF.to_errno() as c_long;
    };
    // SAFETY: By the safety requirement.
    let region = unsafe { open_region(file) };
    match punch::hole(&region, offset as u64, length as u64) {
        Ok(()) => 0,
        Err(error) => error.to_errno() as c_long,
    }
}

/// # Safety
///
/// Called by the VFS for a region's file.
unsafe extern "C" fn fsync(
    file: *mut bindings::file,
    start: bindings::loff_t,
    end: bindings::loff_t,
    _datasync: c_int,
) -> c_int {
    let Some(file) = NonNull::new(file) else {
        return code::EBADF.to_errno();
    };
    // SAFETY: By the safety requirement.
    let region = unsafe { open_region(file) };
    match device::sync(&region, start as u64, end as u64) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// Called by the VFS for a region's file.
unsafe extern "C" fn fadvise(
    file: *mut bindings::file,
    offset: bindings::loff_t,
    length: bindings::loff_t,
    advice: c_int,
) -> c_int {
    let Some(file) = NonNull::new(file) else {
        return code::EBADF.to_errno();
    };
    // SAFETY: By the safety requirement.
    let region = unsafe { open_region(file) };
    match device::advise(&region, offset, length, advice) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// Called by the VFS for a region's file.
unsafe extern "C" fn ioctl(file: *mut bindings::file, command: c_uint, arg: c_ulong) -> c_long {
    let Some(file) = NonNull::new(file) else {
        return code::EBADF.to_errno() as c_long;
    };
    // SAFETY: By the safety requirement.
    let region = unsafe { open_region(file) };
    match device::region_ioctl(&region, command, arg) {
        Ok(()) => 0,
        Err(error) => error.to_errno() as c_long,
    }
}

/// # Safety
///
/// Called by the VFS for a region's file.
unsafe extern "C" fn show_fdinfo(seq: *mut bindings::seq_file, file: *mut bindings::file) {
    // SAFETY: By the safety requirement.
    let (seq, region) = unsafe { (SeqFile::from_raw(seq), region_of(file)) };
    seq_print!(seq, "swapvma_region:\t{}\n", region.id);
    seq_print!(seq, "swapvma_integrity:\t{}\n", region.integrity_name());
    seq_print!(seq, "swapvma_priority:\t{}\n", region.priority.get());
    region.drivers.for_each(|attached| {
        seq_print!(seq, "swapvma_driver:\t{}\n", attached.driver().name());
    });
    stats::for_each(&stats::read(region), |name, value| {
        seq_print!(seq, "swapvma_{}:\t{}\n", name, value);
    });
}

/// # Safety
///
/// Called by the VFS for a region's file, with mmap_lock held for write.
unsafe extern "C" fn mmap(file: *mut bindings::file, vma: *mut bindings::vm_area_struct) -> c_int {
    // SAFETY: By the safety requirement.
    match unsafe { vma::map(region_of(file), vma) } {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Makes a file the one behind a reserved descriptor.
pub(crate) fn install(reservation: FileDescriptorReservation, file: OpenFile) {
    let fd = reservation.reserved_fd();
    core::mem::forget(reservation);
    // SAFETY: The descriptor was reserved by this task and is used once; it
    // takes over the reference.
    unsafe { bindings::fd_install(fd, file.into_raw()) };
}
