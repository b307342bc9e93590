//! A disk that can be watched, that fails on order, and that loses what was not synced.
//!
//! **What it is for:** the trials of what a disk may do to a store: a power failure at any moment ([`power`]), and calls
//! that fail ([`faults`]). The real store runs on real files; the system calls that it and LMDB make for them go through
//! this program's own definitions ([`calls`]), which are written down on a tape ([`tape`]). A tape is played to a platter
//! ([`platter`]), which knows what is certainly on the disk and what may be, and from which images are made ([`images`]).
//!
//! **What it is not for:** it is no file system. It knows what a store does to its few files, and takes the harshest view
//! of what the system promises about that.

pub(crate) mod calls;
pub(crate) mod tape;

pub(crate) mod platter;

pub(crate) mod images;

pub(crate) mod work;

pub(crate) mod judge;

pub(crate) mod power;

mod together;

pub(crate) mod faults;

#[cfg(test)]
mod stories;
