//! The system calls of this program that change files: the linker takes these definitions before libc's, for std and for
//! LMDB alike, which is linked into this program.
//!
//! Each makes its system call and nothing else, unless a tape is running and the call is about a file on it
//! ([`tape`]): then the tape decides what happens and writes it down.
//!
//! What LMDB makes of them: pages are written with `pwrite`, or `lseek` and `writev` where several lie side by side, and
//! forced to the disk with `fdatasync`; the page that makes a commit valid is written with `pwrite` through a descriptor of
//! its own that was opened with `O_DSYNC`, where the durability asks for it; a copy is written with `write`.
#![expect(unsafe_code, reason = "to define a symbol of libc is to promise what libc promises")]
#![expect(unreachable_pub, reason = "the linker sees them, nobody else")]

use std::ffi::CStr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{c_char, c_int, c_long, c_uint, c_void, iovec, mode_t, off_t, off64_t, size_t, ssize_t};

use super::tape::{self, Call, Change};

/// A system call whose answer is -1 and `errno`, or not negative.
macro_rules! system {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the arguments are those that the caller gave for this very call.
        unsafe { libc::syscall(libc::$number $(, $argument)*) }
    };
}

fn set_errno(errno: c_int) {
    // SAFETY: the pointer is to this thread's own `errno`.
    unsafe { *libc::__errno_location() = errno };
}

fn short(answer: c_long) -> c_int {
    c_int::try_from(answer).unwrap_or(-1)
}

fn long(answer: c_long) -> ssize_t {
    ssize_t::try_from(answer).unwrap_or(-1)
}

/// The path, where it is absolute: all those of a store are.
fn path<'a>(dir: c_int, path: *const c_char) -> Option<&'a Path> {
    if path.is_null() {
        return None;
    }
    // SAFETY: a path given to a system call ends in a zero byte, and lives as long as the call.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
    (dir == libc::AT_FDCWD || path.is_absolute()).then_some(path).filter(|path| path.is_absolute())
}

/// Runs a call that changes names: `call` makes it, and where it went well the change is written down.
fn named(which: Call, change: impl FnOnce() -> Option<Change>, call: impl FnOnce() -> c_long) -> c_int {
    if !tape::is_running() {
        return short(call());
    }
    let Some(change) = change() else { return short(call()) };
    short(tape::change(which, change, call).unwrap_or_else(|errno| {
        set_errno(errno);
        -1
    }))
}

fn open_any(dir: c_int, name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let call = || system!(SYS_openat, dir, name, flags, c_uint::from(mode));
    if !tape::is_running() {
        return short(call());
    }
    let Some(path) = path(dir, name) else { return short(call()) };
    short(tape::open(path, flags, call).unwrap_or_else(|errno| {
        set_errno(errno);
        -1
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn open(name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_any(libc::AT_FDCWD, name, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn open64(name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_any(libc::AT_FDCWD, name, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn openat(dir: c_int, name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_any(dir, name, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn openat64(dir: c_int, name: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_any(dir, name, flags, mode)
}

#[unsafe(no_mangle)]
pub extern "C" fn mkdir(name: *const c_char, mode: mode_t) -> c_int {
    let call = || system!(SYS_mkdirat, libc::AT_FDCWD, name, c_uint::from(mode));
    named(Call::Name, || Some(Change::MadeFolder(path(libc::AT_FDCWD, name)?.to_owned(), 0)), call)
}

#[unsafe(no_mangle)]
pub extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let call = || system!(SYS_renameat2, libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0);
    let change = || {
        let (from, to) = (path(libc::AT_FDCWD, from)?, path(libc::AT_FDCWD, to)?);
        Some(Change::Renamed(from.to_owned(), to.to_owned()))
    };
    named(Call::Name, change, call)
}

#[unsafe(no_mangle)]
pub extern "C" fn linkat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    let call = || system!(SYS_linkat, from_dir, from, to_dir, to, flags);
    let change = || Some(Change::Linked(path(from_dir, from)?.to_owned(), path(to_dir, to)?.to_owned()));
    named(Call::Name, change, call)
}

#[unsafe(no_mangle)]
pub extern "C" fn unlink(name: *const c_char) -> c_int {
    let call = || system!(SYS_unlinkat, libc::AT_FDCWD, name, 0);
    named(Call::Name, || Some(Change::Removed(path(libc::AT_FDCWD, name)?.to_owned())), call)
}

#[unsafe(no_mangle)]
pub extern "C" fn rmdir(name: *const c_char) -> c_int {
    let call = || system!(SYS_unlinkat, libc::AT_FDCWD, name, libc::AT_REMOVEDIR);
    named(Call::Name, || Some(Change::Removed(path(libc::AT_FDCWD, name)?.to_owned())), call)
}

/// The bytes of a call's parts, one after the other.
fn gather(parts: *const iovec, count: c_int) -> Vec<u8> {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: the caller of writev gives so many parts, each with the memory that it names.
    let parts = unsafe { std::slice::from_raw_parts(parts, count) };
    // SAFETY: as above.
    let bytes =
        |part: &iovec| unsafe { std::slice::from_raw_parts(part.iov_base.cast::<u8>(), part.iov_len) };
    parts.iter().flat_map(|part| bytes(part).iter().copied()).collect()
}

/// A write of whichever form, at a place or where the descriptor stands.
fn written(
    fd: RawFd,
    at: Option<i64>,
    bytes: impl FnOnce() -> Vec<u8>,
    call: impl FnOnce() -> c_long,
) -> ssize_t {
    let Some(file) = tape::file_of(fd) else { return long(call()) };
    // SAFETY: no memory is touched.
    let stands = || unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    let place = u64::try_from(at.unwrap_or_else(stands)).unwrap_or(0);
    let bytes = bytes();
    let write = |len: usize| match at {
        _ if len == bytes.len() => call(),
        Some(at) => system!(SYS_pwrite64, fd, bytes.as_ptr(), len, at),
        None => system!(SYS_write, fd, bytes.as_ptr(), len),
    };
    long(tape::write(&file, place, &bytes, write).unwrap_or_else(|errno| {
        set_errno(errno);
        -1
    }))
}

fn copy(bytes: *const c_void, len: size_t) -> Vec<u8> {
    // SAFETY: the caller of a write gives memory of that length.
    unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), len) }.to_vec()
}

#[unsafe(no_mangle)]
pub extern "C" fn write(fd: c_int, bytes: *const c_void, len: size_t) -> ssize_t {
    written(fd, None, || copy(bytes, len), || system!(SYS_write, fd, bytes, len))
}

#[unsafe(no_mangle)]
pub extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    written(fd, None, || gather(parts, count), || system!(SYS_writev, fd, parts, count))
}

#[unsafe(no_mangle)]
pub extern "C" fn pwrite(fd: c_int, bytes: *const c_void, len: size_t, at: off_t) -> ssize_t {
    written(fd, Some(at), || copy(bytes, len), || system!(SYS_pwrite64, fd, bytes, len, at))
}

#[unsafe(no_mangle)]
pub extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, len: size_t, at: off64_t) -> ssize_t {
    written(fd, Some(at), || copy(bytes, len), || system!(SYS_pwrite64, fd, bytes, len, at))
}

#[unsafe(no_mangle)]
pub extern "C" fn pwritev(fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    written(fd, Some(at), || gather(parts, count), || system!(SYS_pwritev, fd, parts, count, at, 0))
}

#[unsafe(no_mangle)]
pub extern "C" fn pwritev64(fd: c_int, parts: *const iovec, count: c_int, at: off64_t) -> ssize_t {
    written(fd, Some(at), || gather(parts, count), || system!(SYS_pwritev, fd, parts, count, at, 0))
}

fn synced(fd: RawFd, call: impl FnOnce() -> c_long) -> c_int {
    let Some(file) = tape::file_of(fd) else { return short(call()) };
    short(tape::sync(&file, call).unwrap_or_else(|errno| {
        set_errno(errno);
        -1
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    synced(fd, || system!(SYS_fsync, fd))
}

#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    synced(fd, || system!(SYS_fdatasync, fd))
}

fn cut(fd: RawFd, len: i64) -> c_int {
    let call = || system!(SYS_ftruncate, fd, len);
    let Some(file) = tape::file_of(fd) else { return short(call()) };
    let change = Change::Cut(file.number, u64::try_from(len).unwrap_or(0));
    short(tape::change(Call::Cut, change, call).unwrap_or_else(|errno| {
        set_errno(errno);
        -1
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn ftruncate(fd: c_int, len: off_t) -> c_int {
    cut(fd, len)
}

#[unsafe(no_mangle)]
pub extern "C" fn ftruncate64(fd: c_int, len: off64_t) -> c_int {
    cut(fd, len)
}

/// Calls that would copy from file to file past this. Those that want them fall back to reading and writing.
#[unsafe(no_mangle)]
pub extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    if tape::file_of(to).is_some() {
        set_errno(libc::ENOSYS);
        return -1;
    }
    long(system!(SYS_copy_file_range, from, from_at, to, to_at, len, flags))
}

#[unsafe(no_mangle)]
pub extern "C" fn sendfile64(to: c_int, from: c_int, from_at: *mut off64_t, len: size_t) -> ssize_t {
    if tape::file_of(to).is_some() {
        set_errno(libc::ENOSYS);
        return -1;
    }
    long(system!(SYS_sendfile, to, from, from_at, len))
}
