// SPDX-License-Identifier: GPL-2.0

//! Swap drivers and regions of swapvma, for modules in Rust.
//!
//! A safe layer over `<swapvma/driver.h>` and `<swapvma/region.h>`, which are
//! the boundary for modules in C as well; nothing else of swapvma is reachable
//! from here. `Documentation/drivers.rst` tells how to write a driver and how to
//! build it in a repository of its own.
//!
//! - [`Driver`] is what a driver implements, [`Registration`] makes it known;
//! - [`Batch`] is what it stores, [`Read`] is what it reads back;
//! - [`Region`] is for a device that wants the memory it maps to be swappable;
//! - [`lockdep`] has what lockdep cannot see of a driver by itself.
//!
//! Modules see the metadata of this crate and no object of it: whatever is not
//! generic is `#[inline]`, so that its code is generated in the module that uses
//! it.

// Pages have permanent addresses only without it; see `page.rs`.
#[cfg(CONFIG_HIGHMEM)]
compile_error!("swapvma needs a kernel without CONFIG_HIGHMEM");

mod batch;
mod bindings;
mod driver;
pub mod lockdep;
mod page;
mod read;
mod region;
mod slot;

pub use self::{
    batch::{
        Answer,
        Batch, //
    },
    driver::{
        Attach,
        Borrowed,
        Driver,
        Registration, //
    },
    page::{
        Page,
        PageBytes, //
    },
    read::Read,
    region::{
        Integrity,
        Params,
        Pinned,
        Region, //
    },
    slot::Slot,
};

/// What a driver uses: `use swapvma_driver::prelude::*`.
pub mod prelude {
    #[doc(no_inline)]
    pub use super::{
        Answer,
        Attach,
        Batch,
        Driver,
        Page,
        Read,
        Registration,
        Slot, //
    };
}

/// Makes a module of a driver, as [`module!`](kernel::prelude::module) does of a
/// type of the caller's: loading it registers the driver, and unloading it, which
/// is refused as long as a region uses the driver, withdraws it.
///
/// ```ignore
/// struct Mine;
///
/// swapvma_driver::module_swap_driver! {
///     type: Mine,
///     name: "mine",
///     description: "A swap driver",
///     license: "GPL",
/// }
///
/// impl swapvma_driver::Driver for Mine { ... }
/// ```
#[macro_export]
macro_rules! module_swap_driver {
    (type: $driver:ty, $($rest:tt)*) => {
        struct SwapDriverModule {
            _registration: $crate::Registration<$driver>,
        }

        impl ::kernel::Module for SwapDriverModule {
            fn init(
                module: &'static ::kernel::ThisModule,
            ) -> ::kernel::error::Result<Self> {
                ::core::result::Result::Ok(Self {
                    _registration: $crate::Registration::new(module)?,
                })
            }
        }

        ::kernel::prelude::module! {
            type: SwapDriverModule,
            $($rest)*
        }
    };
}
