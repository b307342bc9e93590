//! How much room a disk has left, and how long a file may become.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The bytes that this user may still write to the file system of `path`; none when nobody can tell.
#[expect(unsafe_code, reason = "the standard library does not ask the system for this")]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` ends in a zero byte, and `found` has the size of the structure that the call fills.
    let failed = unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) } != 0;
    // SAFETY: the structure holds integers alone, so the zeroes it began as are valid too.
    let found = unsafe { found.assume_init() };
    #[expect(clippy::unnecessary_cast, reason = "the fields are 32 bits wide on some systems")]
    (!failed).then_some((found.f_bavail as u64).saturating_mul(found.f_frsize as u64))
}

/// How long this process may make a file. To write past it is answered with a signal that ends the process.
#[expect(unsafe_code, reason = "the standard library does not ask the system for this")]
pub(crate) fn file_bytes_max() -> u64 {
    let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `found` is the structure that the call fills.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut found) } != 0;
    #[expect(clippy::unnecessary_cast, reason = "the field is 32 bits wide on some systems")]
    if failed { 0 } else { found.rlim_cur as u64 }
}
