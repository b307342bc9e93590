//! The data file as a file: read page by page, never mapped.
//!
//! LMDB trusts its pages. A file that is cut short, or whose pages are damaged, can kill a process that maps it, so what
//! must be known before it is mapped, and what a check tells, is read here with plain reads. Whatever the bytes are,
//! nothing in here panics, loops or takes more memory than a byte a page of the file and the largest value in it.

mod layout;

mod pages;

mod marks;

mod walk;

mod check;

mod verify;

mod salvage;

pub use check::{CheckError, CheckReport, Problem, TableReport, check_file, check_file_with};
pub use salvage::{SalvageFile, Walked};
pub(crate) use verify::verify_file;
pub use walk::{DamagedValue, Piece, Place};
