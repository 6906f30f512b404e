// SPDX-License-Identifier: GPL-2.0

//! Requests from user space: `/dev/swapvma` and the descriptors of regions.
//!
//! The structures are those of `include/uapi/linux/swapvma.h`. Everything is
//! checked before anything changes.

mod uapi;

use self::uapi::{
    name,
    read,
    write,
    zero,
    Command, //
};
use crate::{
    account::Payer,
    attached::{
        Attached,
        Wanted, //
    },
    batch::Operation,
    bindings as ours,
    error::{
        code,
        Result, //
    },
    fault,
    fs::{
        self,
        OpenFile,
        Operations, //
    },
    kthread,
    limit,
    lockdep,
    populate::{
        self,
        Patience, //
    },
    priority,
    range::{
        limit_pages,
        page_range,
        pages_of,
        region_pages,
        whole_pages,
        PAGE_BYTES, //
    },
    region::OpenRegion,
    seal::Mode,
    sleep,
    stats,
    swapper,
    table::MAX_PAGES,
    vma,
    wait::Signals, //
};
use core::{
    cell::UnsafeCell,
    ops::Range, //
};
use kernel::{
    bindings,
    error::to_result,
    fs::file::FileDescriptorReservation,
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        Mutex, //
    },
    types::ForeignOwnable,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// Options for a driver: a string of the caller.
struct Options(KVec<u8>);

impl Options {
    /// Reads the string at `address`, or none from address 0.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `EINVAL` for one that is too long; `ENOMEM`.
    fn read(address: u64) -> Result<Self> {
        let mut bytes = KVec::new();
        if address != 0 {
            let address = usize::try_from(address).map_err(|_| code::EFAULT)?;
            // One more, which shows whether the string was cut.
            let most = ours::SWAPVMA_OPTIONS_MAX as usize;
            bytes.resize(most + 1, 0, GFP_KERNEL)?;
            let user = UserSlice::new(UserPtr::from_addr(address), most + 1).reader();
            if user.strcpy_into_buf(&mut bytes)?.count_bytes() >= most {
                return Err(code::EINVAL);
            }
        }
        Ok(Self(bytes))
    }

    fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// Adds a driver to a region's list.
fn add_driver(region: &OpenRegion, arg: &ours::swapvma_add_driver) -> Result {
    zero(&[arg.flags])?;
    zero(&arg.reserved)?;
    let options = Options::read(arg.options)?;
    let wanted = Wanted {
        driver: name(&arg.driver)?,
        algorithm: name(&arg.algorithm)?,
        options: options.as_cstr(),
    };
    if wanted.driver.is_empty() {
        return Err(code::EINVAL);
    }
    let attached = Attached::new(&wanted, region.pages(), region.share.owner().clone())?;
    let added = region.add_driver(&attached);
    attached.put();
    added?;
    region.expect_room();
    Ok(())
}

/// Returns how a region with such flags verifies its stored pages.
///
/// # Errors
///
/// `EINVAL` for other flags, and for both ways at once.
pub(crate) fn mode(flags: u64) -> Result<Option<Mode>> {
    const CHECKSUM: u64 = ours::SWAPVMA_CREATE_CHECKSUM as u64;
    const ENCRYPT: u64 = ours::SWAPVMA_CREATE_ENCRYPT as u64;
    const {
        assert!(CHECKSUM == ours::SWAPVMA_REGION_CHECKSUM as u64);
        assert!(ENCRYPT == ours::SWAPVMA_REGION_ENCRYPT as u64);
    }
    match flags {
        0 => Ok(None),
        CHECKSUM => Ok(Some(Mode::Checksum)),
        ENCRYPT => Ok(Some(Mode::Encrypt)),
        _ => Err(code::EINVAL),
    }
}

/// Creates a region and returns its descriptor.
fn create(arg: &ours::swapvma_create) -> Result<u32> {
    zero(&arg.reserved)?;
    let cloexec = u64::from(ours::SWAPVMA_CREATE_CLOEXEC);
    let mode = mode(arg.flags & !cloexec)?;
    let pages = region_pages(arg.size)?;
    let limit = limit_pages(arg.limit, arg.size)?;
    let options = Options::read(arg.options)?;
    let wanted = Wanted {
        driver: name(&arg.driver)?,
        algorithm: name(&arg.algorithm)?,
        options: options.as_cstr(),
    };
    let attached = Attached::new(&wanted, pages, Payer::of_current()?)?;
    let flags = if arg.flags & cloexec != 0 {
        bindings::O_CLOEXEC
    } else {
        0
    };
    let reservation = FileDescriptorReservation::get_unused_fd_flags(flags)?;
    let file = fs::create(attached, arg.size, limit, mode)?;
    let fd = reservation.reserved_fd();
    fs::install(reservation, file);
    Ok(fd)
}

/// An ioctl on a region. May sleep.
///
/// # Errors
///
/// `ENOTTY` for what is not a region's; see the UAPI header.
pub(crate) fn region_ioctl(region: &OpenRegion, command: u32, arg: usize) -> Result {
    let command = Command::new(command)?;
    match command.number {
        uapi::SET_LIMIT => set_limit(region, &read(&command, arg)?),
        uapi::PAGEOUT => {
            let (mut range, pages) = read_range(region, &command, arg)?;
            range.pages = page_out(region, pages)?;
            write(arg, &range)
        }
        uapi::PREFETCH => {
            let (mut range, pages) = read_range(region, &command, arg)?;
            range.pages = prefetch(region, pages)?;
            write(arg, &range)
        }
        uapi::STATS => {
            let asked: ours::swapvma_stats = read(&command, arg)?;
            zero(&[asked.flags])?;
            zero(&asked.reserved)?;
            write(arg, &stats::read(region))
        }
        uapi::ADD_DRIVER => add_driver(region, &read(&command, arg)?),
        _ => Err(code::ENOTTY),
    }
}

/// Reads and checks a range, and that the answer can be written: a call that
/// fails changes nothing.
fn read_range(
    region: &OpenRegion,
    command: &Command,
    arg: usize,
) -> Result<(ours::swapvma_range, Range<u64>)> {
    let range: ours::swapvma_range = read(command, arg)?;
    zero(&[range.flags])?;
    zero(&range.reserved)?;
    let pages = page_range(range.offset, range.length, region.size())?;
    write(arg, &range)?;
    Ok((range, pages))
}

fn set_limit(region: &OpenRegion, arg: &ours::swapvma_limit) -> Result {
    const RESIDENT: u64 = 0;
    const STORED: u64 = ours::SWAPVMA_LIMIT_STORED as u64;
    const LOW: u64 = ours::SWAPVMA_LIMIT_LOW as u64;
    const PRIORITY: u64 = ours::SWAPVMA_LIMIT_PRIORITY as u64;
    zero(&arg.reserved)?;
    match arg.flags {
        RESIDENT => set_resident_limit(region, limit_pages(arg.limit, region.size())?),
        STORED => {
            region.stored_quota().set_limit(arg.limit);
            region.expect_room();
        }
        LOW => set_low(region, whole_pages(arg.limit)?)?,
        PRIORITY => region.priority.set(arg.limit as i64)?,
        _ => return Err(code::EINVAL),
    }
    Ok(())
}

/// Others give for what a region keeps: to keep more takes a privilege, as to come
/// after them does.
fn set_low(region: &OpenRegion, pages: u64) -> Result {
    if pages > region.residency.low() && !priority::may_exceed() {
        return Err(code::EPERM);
    }
    region.residency.set_low(pages);
    Ok(())
}

fn set_resident_limit(region: &OpenRegion, pages: u64) {
    region.residency.set_limit(pages);
    region.expect_room();
    lockdep::wait_for_swapper();
    if region.residency.excess(0) != 0 {
        populate::wait_for_limit(region, Signals::Freezable);
    }
    region.wait.wake_all();
}

fn page_out(region: &OpenRegion, pages: Range<u64>) -> Result<u64> {
    Ok(swapper::request(region, Operation::Swapout, pages, Signals::Freezable)?.done)
}

/// Reads a range in. One page that cannot be read does not keep the others away.
fn prefetch(region: &OpenRegion, pages: Range<u64>) -> Result<u64> {
    let (mut count, mut result) = (0, Ok(()));
    let mut index = pages.start;
    while let Some(at) = region.table.next(index).filter(|&at| at < pages.end) {
        if region.residency.excess(1) != 0 {
            // What comes next would push out what just came.
            break;
        }
        match populate::populate(region, at, Patience::Wait) {
            Ok(Some((_, came_in))) => count += u64::from(came_in),
            Ok(None) => {}
            Err(code::EIO) => result = Err(code::EIO),
            Err(error) => return Err(error),
        }
        kthread::cond_resched();
        if fault::is_killed() {
            return Err(code::EINTR);
        }
        if sleep::is_awaited() {
            return Err(code::ERESTARTNOINTR);
        }
        index = at + 1;
    }
    result.map(|()| count)
}

/// `fsync`: writes dirty pages back to the driver; they stay mapped.
///
/// # Errors
///
/// `EIO` if the driver did not take a page; it stays dirty.
pub(crate) fn sync(region: &OpenRegion, start: u64, end: u64) -> Result {
    let pages = start / PAGE_BYTES..pages_of(end.saturating_add(1)).min(region.pages());
    if swapper::request(region, Operation::Launder, pages, Signals::Freezable)?.refused != 0 {
        return Err(code::EIO);
    }
    Ok(())
}

/// `fadvise`: DONTNEED pages out, WILLNEED reads in; other advice is accepted
/// and changes nothing. The range is that of posix_fadvise: whole pages within,
/// a length of 0 means to the end.
///
/// # Errors
///
/// `EINVAL` for unknown advice or a negative range.
pub(crate) fn advise(region: &OpenRegion, offset: i64, length: i64, advice: i32) -> Result {
    let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else {
        return Err(code::EINVAL);
    };
    let size = pages_of(region.size()) * PAGE_BYTES;
    let end = match length {
        0 => size,
        _ => offset.saturating_add(length).min(size),
    };
    match advice as u32 {
        ours::POSIX_FADV_DONTNEED => {
            let pages = pages_of(offset)..end / PAGE_BYTES;
            if pages.is_empty() {
                return Ok(());
            }
            page_out(region, pages).map(|_| ())
        }
        ours::POSIX_FADV_WILLNEED => {
            prefetch(region, offset / PAGE_BYTES..pages_of(end)).map(|_| ())
        }
        ours::POSIX_FADV_NORMAL..=ours::POSIX_FADV_NOREUSE => Ok(()),
        _ => Err(code::EINVAL),
    }
}

/// A descriptor of `/dev/swapvma`, with a region of its own once it is mapped.
/// What cannot be done under mmap_lock is done before.
#[pin_data]
struct Device {
    #[pin]
    default: Mutex<DefaultRegion>,
    _pin: fs::Pin,
}

/// The default region of a descriptor.
enum DefaultRegion {
    /// Not mapped yet.
    Attached(Option<Arc<Attached>>),
    /// Mapped.
    Region(OpenFile),
}

impl Device {
    fn new() -> Result<Pin<KBox<Self>>> {
        let attached = Attached::new(&Wanted::DEFAULT, 0, Payer::of_current()?)?;
        let pin = fs::Pin::new()?;
        KBox::pin_init(
            pin_init!(Self {
                default <- kernel::new_mutex!(DefaultRegion::Attached(Some(attached)), "swapvma_device"),
                _pin: pin,
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the default region's file, creating it if `create`.
    fn file(&self, create: bool) -> Result<OpenFile> {
        let mut default = self.default.lock();
        let attached = match &mut *default {
            DefaultRegion::Region(file) => return Ok(file.clone()),
            DefaultRegion::Attached(attached) if create => match attached.take() {
                Some(attached) => attached,
                // Lost to an mmap that failed.
                None => Attached::new(&Wanted::DEFAULT, 0, Payer::of_current()?)?,
            },
            DefaultRegion::Attached(_) => return Err(code::ENXIO),
        };
        let file = fs::create(attached, 0, limit::NONE, None)?;
        *default = DefaultRegion::Region(file.clone());
        Ok(file)
    }
}

/// Does once what open and mmap of the device do, for lockdep; with the locks held
/// that mmap holds. Returns the file of a region of one page.
pub(crate) fn prime() -> Result<OpenFile> {
    let file = Device::new()?.file(true)?;
    file.region().grow(PAGE_BYTES);
    Ok(file)
}

static FILE_OPERATIONS: Operations<bindings::file_operations> =
    Operations(UnsafeCell::new(bindings::file_operations {
        owner: crate::THIS_MODULE.as_ptr(),
        open: Some(open),
        release: Some(release),
        mmap: Some(mmap),
        fadvise: Some(fadvise),
        unlocked_ioctl: Some(ioctl),
        compat_ioctl: Some(ioctl),
        llseek: Some(bindings::noop_llseek),
        ..pin_init::zeroed()
    }));

static DEVICE: Operations<bindings::miscdevice> =
    Operations(UnsafeCell::new(bindings::miscdevice {
        minor: bindings::MISC_DYNAMIC_MINOR as c_int,
        name: kernel::str::as_char_ptr_in_const_context(c"swapvma"),
        fops: FILE_OPERATIONS.get(),
        mode: 0o600,
        ..pin_init::zeroed()
    }));

/// The device node, for as long as the value lives.
pub(crate) struct Registration;

impl Registration {
    /// Registers the device. May sleep and allocate.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The static is registered once.
        to_result(unsafe { bindings::misc_register(DEVICE.get()) })?;
        Ok(Self)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: `new` registered the device.
        unsafe { bindings::misc_deregister(DEVICE.get()) };
    }
}

/// # Safety
///
/// `file` is an open file of the device.
unsafe fn device_of<'a>(file: *mut bindings::file) -> Pin<&'a Device> {
    // SAFETY: By the safety requirement; `open` stored a box there.
    unsafe { <Pin<KBox<Device>> as ForeignOwnable>::borrow((*file).private_data) }
}

/// # Safety
///
/// Called by the VFS with a new file of the device.
unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    match Device::new() {
        Ok(device) => {
            // SAFETY: By the safety requirement.
            unsafe { (*file).private_data = device.into_foreign() };
            0
        }
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// Called by the VFS, once, when the last reference to the file is gone.
unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: `open` stored a box there.
    drop(unsafe { <Pin<KBox<Device>> as ForeignOwnable>::from_foreign((*file).private_data) });
    0
}

/// # Safety
///
/// Called by the VFS for a file of the device.
unsafe extern "C" fn ioctl(file: *mut bindings::file, command: c_uint, arg: c_ulong) -> c_long {
    // SAFETY: By the safety requirement.
    let device = unsafe { device_of(file) };
    let result = Command::new(command).and_then(|decoded| match decoded.number {
        uapi::CREATE => create(&read(&decoded, arg)?).map(|fd| fd as c_long),
        _ => region_ioctl(&device.file(false)?.open_region(), command, arg).map(|()| 0),
    });
    match result {
        Ok(value) => value,
        Err(error) => error.to_errno() as c_long,
    }
}

/// # Safety
///
/// Called by the VFS for a file of the device.
unsafe extern "C" fn fadvise(
    file: *mut bindings::file,
    offset: bindings::loff_t,
    length: bindings::loff_t,
    advice: c_int,
) -> c_int {
    // SAFETY: By the safety requirement.
    let device = unsafe { device_of(file) };
    let result = device
        .file(false)
        .and_then(|file| advise(&file.open_region(), offset, length, advice));
    match result {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// Called by the VFS for a file of the device, with mmap_lock held for write.
unsafe extern "C" fn mmap(file: *mut bindings::file, area: *mut bindings::vm_area_struct) -> c_int {
    // SAFETY: By the safety requirement.
    let (device, first, count) = unsafe {
        (
            device_of(file),
            (*area).vm_pgoff as u64,
            ours::swapvma_vma_pages(area),
        )
    };
    let Some(end) = first.checked_add(count).filter(|&end| end <= MAX_PAGES) else {
        return code::EOVERFLOW.to_errno();
    };
    let default = match device.file(true) {
        Ok(default) => default,
        Err(error) => return error.to_errno(),
    };
    let region = default.region();
    // SAFETY: The VMA is being set up, the file is open.
    unsafe { bindings::vma_set_file(area, default.as_ptr()) };
    // SAFETY: As above.
    match unsafe { vma::map(region, area) } {
        Ok(()) => {
            region.grow(end * PAGE_BYTES);
            0
        }
        Err(error) => error.to_errno(),
    }
}
