//! Which storage there is beside LMDB, in this build.

use std::path::Path;

use crate::{Durability, Outcome, Storage};

/// The storage that is not built in, by the names of the features that would build it.
pub const MISSING: &[&str] = match (cfg!(feature = "redb"), cfg!(feature = "fjall")) {
    (true, true) => &[],
    (true, false) => &["fjall"],
    (false, true) => &["redb"],
    (false, false) => &["redb", "fjall"],
};

/// Opens each storage that is built in, beside LMDB, in a folder of its own in the folder `dir`.
///
/// # Errors
///
/// Whatever one of them fails with.
pub fn open_others(dir: &Path, durability: Durability) -> Outcome<Vec<Box<dyn Storage>>> {
    let open: &[fn(&Path, Durability) -> Outcome<Box<dyn Storage>>] = &[
        #[cfg(feature = "redb")]
        |dir, durability| Ok(Box::new(crate::Redb::open(dir, durability)?)),
        #[cfg(feature = "fjall")]
        |dir, durability| Ok(Box::new(crate::Fjall::open(dir, durability)?)),
    ];
    open.iter().map(|open| open(dir, durability)).collect()
}
