//! What the system tells of a process: its time on the cores, and its memory.

use std::time::Duration;

use crate::Outcome;

/// A process that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    pub(crate) fn this() -> Self {
        Self(std::process::id())
    }

    /// Its time on the cores until now, all its threads together: user and system. The system counts in hundredths of a
    /// second.
    pub(crate) fn cpu(self) -> Outcome<Duration> {
        // The fields begin after the name, which may hold blanks, and its bracket. `utime` and `stime` are fields 14 and 15
        // of all, 11 and 12 of these.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let [user, system] = fields.get(11..13).unwrap_or_default() else {
            return Err(format!("/proc/{}/stat is not understood: {stat}", self.0).into());
        };
        let ticks: u64 = user.parse::<u64>()? + system.parse::<u64>()?;
        Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
    }

    /// What is resident of it, in bytes, mapped files among it.
    pub(crate) fn resident(self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        Ok(crate::memory::field(&status, "VmRSS:"))
    }
}

/// What the server and this client spent between two moments.
pub(crate) struct Spent {
    server: Process,
    server_before: Duration,
    client_before: Duration,
}

impl Spent {
    pub(crate) fn since_now(server: Process) -> Outcome<Self> {
        Ok(Self { server, server_before: server.cpu()?, client_before: Process::this().cpu()? })
    }

    /// Microseconds for each of `count`: of the server, and of the client.
    pub(crate) fn micros_each(&self, count: u64) -> Outcome<(f64, f64)> {
        let each = |now: Duration, before: Duration| {
            (now - before).as_secs_f64() * 1e6 / crate::workloads::support::figure(count.max(1))
        };
        Ok((each(self.server.cpu()?, self.server_before), each(Process::this().cpu()?, self.client_before)))
    }
}
