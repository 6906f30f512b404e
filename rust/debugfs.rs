// SPDX-License-Identifier: GPL-2.0

//! What the administrator can look at in debugfs.

#[cfg(CONFIG_FAULT_INJECTION_DEBUG_FS)]
use crate::flaw;
use crate::{
    account::{
        self,
        Key,
        Whose, //
    },
    drain,
    driver,
    limit::NONE,
    map::Map,
    record,
    region::OpenRegion,
    regions,
    stats, //
};
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    prelude::*,
    str::CStr,
    uaccess::UserSliceReader, //
};

/// The directory `swapvma`, for as long as the value lives.
#[pin_data]
pub(crate) struct Debugfs {
    #[pin]
    stats: File<()>,
    #[pin]
    regions: File<()>,
    #[pin]
    drivers: File<()>,
    #[pin]
    control: File<()>,
    #[pin]
    accounts: File<()>,
    #[pin]
    mappings: File<()>,
    #[pin]
    distances: File<()>,
    #[pin]
    map: File<Map>,
    /// Only where tests put bugs back.
    #[cfg(CONFIG_FAULT_INJECTION_DEBUG_FS)]
    #[pin]
    flaw: File<()>,
    _dir: Dir,
}

impl Debugfs {
    /// Creates the directory and its files. May sleep and allocate.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        let dir = Dir::new(c"swapvma");
        try_pin_init!(Self {
            stats <- dir.read_callback_file(c"stats", (), &show_stats),
            regions <- dir.read_callback_file(c"regions", (), &show_regions),
            drivers <- dir.read_callback_file(c"drivers", (), &show_drivers),
            control <- dir.write_callback_file(c"control", (), &control),
            accounts <- dir.read_callback_file(c"accounts", (), &show_accounts),
            mappings <- dir.read_callback_file(c"mappings", (), &show_mappings),
            distances <- dir.read_callback_file(c"distances", (), &show_distances),
            map <- dir.read_binary_file(c"map", Map),
            #[cfg(CONFIG_FAULT_INJECTION_DEBUG_FS)]
            flaw <- dir.read_write_callback_file(c"flaw", (), &show_flaws, &put_back),
            _dir: dir.clone(),
        })
    }
}

fn for_each_region(mut show: impl FnMut(&OpenRegion) -> fmt::Result) -> fmt::Result {
    regions::each().try_for_each(|region| show(&region))
}

fn show_stats(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (records, record_pages) = record::usage();
    let (mut resident, mut levels, mut seals, mut batches) = (0, 0, 0, 0);
    for_each_region(|region| {
        resident += region.residency.resident() + region.residency.unevictable();
        levels += region.table.levels();
        seals += region.seal_bytes();
        batches += region.in_swapout();
        Ok(())
    })?;
    writeln!(f, "regions {}", regions::count())?;
    writeln!(f, "records {records}")?;
    writeln!(f, "record_pages {record_pages}")?;
    writeln!(f, "resident_pages {resident}")?;
    writeln!(f, "table_bytes {}", levels * crate::range::PAGE_BYTES)?;
    writeln!(f, "seal_bytes {seals}")?;
    writeln!(f, "batches {batches}")
}

fn show_regions(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for_each_region(|region| {
        let mut result = f.write_fmt(fmt!(
            "{} integrity={} priority={}",
            region.id,
            region.integrity_name(),
            region.priority.get()
        ));
        region.drivers.for_each(|attached| {
            if result.is_ok() {
                result = f.write_fmt(fmt!(" driver={}", attached.driver().name()));
            }
        });
        stats::for_each(&stats::read(region), |name, value| {
            if result.is_ok() {
                result = write!(f, " {name}={value}");
            }
        });
        result?;
        writeln!(f)
    })
}

fn show_drivers(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut result = Ok(());
    driver::for_each(|driver| {
        let state = if driver.is_quarantined() {
            "quarantined"
        } else if driver.drain.is_running() {
            "draining"
        } else {
            "running"
        };
        if result.is_ok() {
            result = f.write_fmt(fmt!(
                "{} state={} regions={} batches={} abandoned={} drained={} deadline_ms={}\n",
                driver.name(),
                state,
                driver.regions.load(),
                driver.batches.load(),
                driver.abandoned.load(),
                driver.drain.moved(),
                driver.deadline_ms()
            ));
        }
    });
    result
}

/// What is stored of each user and each cgroup, and how much may be.
fn show_accounts(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    account::prune();
    account::each().try_for_each(|account| {
        match account.key {
            Key::User(user) => write!(f, "user {user}")?,
            Key::Cgroup(id) => write!(f, "cgroup {id}")?,
        }
        let quota = &account.quota;
        write!(f, " stored={} limit=", quota.used())?;
        match quota.limit() {
            NONE => write!(f, "none")?,
            bytes => write!(f, "{bytes}")?,
        }
        writeln!(f, " refused={}", quota.refused())
    })
}

/// What the administrator asks for: `drain DRIVER [TO]`, `cancel DRIVER`,
/// `recover DRIVER`, `deadline DRIVER MILLISECONDS`, `stored-limit user UID BYTES|none`,
/// `stored-limit cgroup ID|PATH BYTES|none`. A drain returns when it is done.
fn control(_: &(), user: &mut UserSliceReader) -> Result {
    let mut line = [0; 256];
    let len = user.len();
    user.read_slice(line.get_mut(..len).ok_or(EINVAL)?)?;
    // Each word becomes a C string, the last one with what is left of the zeroes.
    for byte in &mut line {
        if byte.is_ascii_whitespace() {
            *byte = 0;
        }
    }
    let mut words = line
        .split_inclusive(|&byte| byte == 0)
        .filter(|word| word.len() > 1);
    let mut next = || match words.next() {
        Some(word) => CStr::from_bytes_with_nul(word).map_err(|_| EINVAL),
        None => Ok(c""),
    };
    let (what, name, value) = (next()?, next()?, next()?);
    let (more, end) = (next()?, next()?);
    if name.is_empty() || !end.is_empty() {
        return Err(EINVAL);
    }
    if what.to_bytes() == b"stored-limit" {
        return account::set_limit(
            whose(name, value).ok_or(EINVAL)?,
            bytes(more).ok_or(EINVAL)?,
        );
    }
    if !more.is_empty() {
        return Err(EINVAL);
    }
    match (what.to_bytes(), value.is_empty()) {
        (b"drain", _) => drain::drain(name, value),
        (b"cancel", true) => drain::cancel(name),
        (b"recover", true) => driver::recover(name),
        (b"deadline", false) => driver::set_deadline(name, number(value).ok_or(EINVAL)?),
        _ => Err(EINVAL),
    }
}

fn whose<'a>(kind: &CStr, name: &'a CStr) -> Option<Whose<'a>> {
    match kind.to_bytes() {
        b"user" => u32::try_from(number(name)?).ok().map(Whose::User),
        b"cgroup" if name.to_bytes().first() == Some(&b'/') => Some(Whose::Path(name)),
        b"cgroup" => number(name).map(Whose::Cgroup),
        _ => None,
    }
}

fn bytes(word: &CStr) -> Option<u64> {
    match word.to_bytes() {
        b"none" => Some(NONE),
        _ => number(word),
    }
}

/// A number of digits alone: `parse` would take a sign.
fn number(word: &CStr) -> Option<u64> {
    let digits = word.to_str().ok()?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some(digits)?.parse().ok()
}

fn show_mappings(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for_each_region(|region| {
        writeln!(
            f,
            "{} mappings={} in_swapout={} munmap_waits={}",
            region.id,
            region.mappings.load(),
            region.in_swapout(),
            region.counters.munmap_waits.load()
        )
    })
}

/// Refaults of each region by the pages that left since the page did.
fn show_distances(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for_each_region(|region| {
        let mut result = write!(f, "{}", region.id);
        let unknown = region.ages.for_each_distance(|least, count| {
            if result.is_ok() && count != 0 {
                result = write!(f, " {least}={count}");
            }
        });
        result?;
        writeln!(f, " unknown={unknown}")
    })
}

/// The flaws that are there, and how many tasks are held up.
#[cfg(CONFIG_FAULT_INJECTION_DEBUG_FS)]
fn show_flaws(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut result = Ok(());
    let held = flaw::for_each(|name| {
        if result.is_ok() {
            result = writeln!(f, "{name}");
        }
    });
    result?;
    writeln!(f, "held {held}")
}

/// Puts back the flaws that are named, and takes the others out.
#[cfg(CONFIG_FAULT_INJECTION_DEBUG_FS)]
fn put_back(_: &(), user: &mut UserSliceReader) -> Result {
    let mut line = [0; 128];
    let line = line.get_mut(..user.len()).ok_or(EINVAL)?;
    user.read_slice(line)?;
    flaw::put_back(line)
}
