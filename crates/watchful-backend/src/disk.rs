//! How much room a disk has left.

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
