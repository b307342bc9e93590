//! How far a run is: which workload of how many, the time gone, and an estimate of what is left.
//!
//! A bar where the error stream is a terminal, plain lines elsewhere. The estimate is what the catalogue says each workload
//! takes, at the pace of those that are done.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// From how many expected seconds on those that are done tell a pace: a few short ones say little.
const PACE_AFTER: f64 = 30.0;

/// The progress of a run.
pub(crate) struct Progress {
    /// None where there is no terminal.
    bar: Option<ProgressBar>,
    plan: Plan,
    current: usize,
    what: String,
    begun: Instant,
    workload_begun: Instant,
}

/// How long each workload is to take, and how long those took that are done, in seconds.
struct Plan {
    expected: Vec<f64>,
    took: Vec<f64>,
}

impl Progress {
    /// Of workloads that take so many seconds each, about.
    pub(crate) fn new(expected: impl Iterator<Item = f64>) -> Self {
        let plan = Plan { expected: expected.collect(), took: Vec::new() };
        let bar = std::io::stderr().is_terminal().then(|| bar(plan.expected.iter().sum()));
        Self {
            bar,
            plan,
            current: 0,
            what: String::new(),
            begun: Instant::now(),
            workload_begun: Instant::now(),
        }
    }

    /// The next workload begins.
    pub(crate) fn begin(&mut self, name: &str, question: &str) {
        self.current += 1;
        self.what = format!("[{}/{}] {name}: {question}", self.current, self.plan.expected.len());
        self.workload_begun = Instant::now();
        self.tick();
        if self.bar.is_none() {
            eprintln!("{} ({})", self.what, self.times());
        }
    }

    /// It is over. Returns the seconds it took.
    pub(crate) fn end(&mut self, name: &str) -> f64 {
        let seconds = self.workload_begun.elapsed().as_secs_f64();
        self.plan.took.push(seconds);
        self.tell(&format!("{name}: took {seconds:.0} s"));
        seconds
    }

    /// A line that stays.
    pub(crate) fn tell(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("  {line}"),
        }
    }

    /// To be called now and then, so that the time goes on.
    pub(crate) fn tick(&self) {
        if let Some(bar) = &self.bar {
            let left = self.plan.left(self.workload_begun.elapsed().as_secs_f64());
            let gone = self.begun.elapsed().as_secs_f64();
            bar.set_length(millis(gone + left));
            bar.set_position(millis(gone));
            bar.set_message(format!("{} ({})", self.what, self.times()));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn times(&self) -> String {
        let left = self.plan.left(self.workload_begun.elapsed().as_secs_f64());
        format!("{} gone, about {} left", clock(self.begun.elapsed().as_secs_f64()), clock(left))
    }
}

impl Plan {
    /// Seconds that are left, where the current workload has run for so many.
    fn left(&self, in_current: f64) -> f64 {
        let done = self.took.len().min(self.expected.len());
        let current = self.expected.get(done).copied().unwrap_or_default();
        let later: f64 = self.expected.iter().skip(done + 1).sum();
        let pace = self.pace();
        (current * pace - in_current).max(0.0) + later * pace
    }

    /// How many times as long as expected those took that are done.
    fn pace(&self) -> f64 {
        let (took, expected): (f64, f64) =
            (self.took.iter().sum(), self.expected.iter().take(self.took.len()).sum());
        if expected < PACE_AFTER { 1.0 } else { (took / expected).clamp(0.3, 3.0) }
    }
}

fn bar(seconds: f64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(millis(seconds)), ProgressDrawTarget::stderr_with_hz(4));
    if let Ok(style) = ProgressStyle::with_template("{bar:20} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

fn millis(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_millis()).unwrap_or(u64::MAX)
}

/// `42 s`, `3 min 20 s`, `1 h 05 min`.
pub(crate) fn clock(seconds: f64) -> String {
    let seconds = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_by_the_pace_of_what_is_done() {
        let mut plan = Plan { expected: vec![60.0, 100.0, 40.0], took: vec![] };
        assert_eq!(plan.left(0.0), 200.0);
        assert_eq!(plan.left(50.0), 150.0);
        assert_eq!(plan.left(90.0), 140.0, "one that takes longer than it said is about to end");
        plan.took.push(120.0);
        assert_eq!(plan.left(0.0), 280.0, "twice as long as expected, so far");
        plan.took.extend([100.0, 40.0]);
        assert_eq!(plan.left(0.0), 0.0);
    }

    #[test]
    fn times_are_written_for_people() {
        let written = [42.4, 200.0, 3900.0].map(clock);
        assert_eq!(written, ["42 s", "3 min 20 s", "1 h 05 min"]);
    }
}
