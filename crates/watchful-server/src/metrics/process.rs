//! What the kernel says of the process, under the names that every Prometheus client has for it. Linux has all of it in
//! `/proc`; elsewhere these lines are left out.

use std::fmt;
use std::fs;
use std::sync::OnceLock;

use super::page::{Page, float};

/// The process, as of now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Process {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    open_files: u64,
    open_files_max: Option<u64>,
    start_seconds: f64,
}

/// What a tick of `/proc` is on every Linux: the kernel's `USER_HZ`.
const TICKS_A_SECOND: f64 = 100.0;

impl Process {
    /// None where there is no `/proc`, or one that says something else.
    pub(super) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses, with whatever is in it.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
        // Numbered as in proc(5), of which the first two are cut off.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_seconds: float(field(14)? + field(15)?) / TICKS_A_SECOND,
            resident_bytes: resident_bytes()?,
            virtual_bytes: field(23)?,
            // One of them is this look at them.
            open_files: (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
            open_files_max: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            start_seconds: boot_seconds()? + float(field(22)?) / TICKS_A_SECOND,
        })
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// When the machine was started. Read once: the kernel works it out anew each time, and where somebody sets the date the
/// start of the process would move.
fn boot_seconds() -> Option<f64> {
    static BOOT: OnceLock<Option<f64>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    })
}

pub(super) fn write(page: &mut Page<'_>, process: &Process) -> fmt::Result {
    page.counter("process_cpu_seconds_total", "Seconds of processor time.", process.cpu_seconds)?;
    page.gauge("process_resident_memory_bytes", "Memory that is resident.", process.resident_bytes)?;
    page.gauge("process_virtual_memory_bytes", "Memory that is mapped.", process.virtual_bytes)?;
    page.gauge("process_open_fds", "Open files and connections.", process.open_files)?;
    if let Some(max) = process.open_files_max {
        page.gauge("process_max_fds", "The most files and connections that may be open.", max)?;
    }
    page.gauge("process_start_time_seconds", "When the process began, in Unix time.", process.start_seconds)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_kernel_says_what_can_be_so() {
        let process = Process::read().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 3600.0..=now + 2.0).contains(&process.start_seconds), "{process:?} at {now}");
        assert!(process.cpu_seconds >= 0.0 && process.cpu_seconds < 36_000.0, "{process:?}");
        assert!((1 << 16..1 << 40).contains(&process.resident_bytes), "{process:?}");
        let held: Vec<_> = (0..20).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let more = Process::read().unwrap();
        assert!(more.open_files >= held.len() as u64, "{more:?}");
        assert!(more.open_files_max.is_none_or(|max| max >= more.open_files), "{more:?}");
    }
}
