//! What the laws say of sizes that were not measured: each cost carried on from its largest size, by its exponent as it was
//! measured or as it should be, whichever is more: small sizes carry what is paid once, and would make the growth look less.

use super::exponent;
use crate::report::{Record, Row, median_and_spread, short, tick};
use crate::rounds::Series;

/// How far a law is carried.
struct Target {
    workload: &'static str,
    /// As the law says it, with `#` for the size.
    case: &'static str,
    size: u64,
}

const TARGETS: &[Target] = &[
    target("S1", "# keys of 64 bytes, in memory", 100_000_000),
    target("S1", "a second version of # keys, in memory", 100_000_000),
    target("S2", "open # keys of one version", 100_000_000),
    target("S3", "put among # keys", 100_000_000),
    target("S3", "get among # keys", 100_000_000),
    target("S4", "# idle watchers of keys", 10_000_000),
    target("S4", "# idle watchers of prefixes", 10_000_000),
    target("S5", "stab among # keys", 10_000_000),
    target("S5", "stab among # prefixes", 10_000_000),
    target("S5", "stab among # ranges", 10_000_000),
    target("S6", "one put to # watchers of its key", 10_000_000),
    target("S7", "one watcher catches up over # events", 100_000_000),
    target("S8", "put a value of # bytes", 1_048_576),
    target("S8", "a record with a value of # bytes, on disk", 1_048_576),
    target("S9", "compact # superseded", 10_000_000),
    target("S9", "compact a few among # live keys", 100_000_000),
    target("S10", "# records of 32 + 256 bytes, on disk", 100_000_000),
];

const fn target(workload: &'static str, case: &'static str, size: u64) -> Target {
    Target { workload, case, size }
}

/// Two Markdown tables: each law as it was measured and where it leads, and what a second core gives.
pub(crate) fn outlook(record: &Record) -> String {
    let mut text = "| # | law | measured | unit | exponent | expected | at | would be |\n".to_owned();
    text += "|---|---|---|---|---|---|---|---|\n";
    let rows: Vec<&Row> = record.rows().collect();
    for target in TARGETS {
        text += &target.line(&rows).unwrap_or_else(|| {
            format!("| {} | {} | not in the record | | | | | |\n", target.workload, target.law())
        });
    }
    text + &cores(&rows)
}

/// What a second core gives.
fn cores(rows: &[&Row]) -> String {
    let mut text = "\n| # | work | unit | 1 core | 2 cores | ratio |\n|---|---|---|---|---|---|\n".to_owned();
    for row in rows.iter().filter(|row| row.workload == "S11") {
        let (Some(peer), Some(ratio)) = (&row.peer, row.ratio()) else { continue };
        let (one, two) = (median_and_spread(&peer.rounds), median_and_spread(&row.ours));
        let work = row.case.trim_start_matches("2 cores: ");
        text += &format!("| S11 | {work} | {} | {one} | {two} | {ratio:.2} |\n", row.unit);
    }
    text
}

impl Target {
    fn line(&self, rows: &[&Row]) -> Option<String> {
        let is_of = |row: &&&Row| row.workload == self.workload;
        let growth =
            rows.iter().filter(is_of).find(|row| row.case == self.law() && row.unit == "exponent")?;
        let points: Vec<(u64, f64, &Row)> = rows
            .iter()
            .filter(is_of)
            .filter_map(|row| Some((self.size_in(&row.case)?, row.ours.median(), *row)))
            .collect();
        let (largest, cost, row) = points.last()?;
        let slope = exponent(&points.iter().map(|(size, cost, _)| (*size, *cost)).collect::<Vec<_>>());
        let figure = crate::workloads::support::figure;
        let expected = growth.more.get("expected").copied().flatten().unwrap_or(f64::NAN);
        let there = cost * (figure(self.size) / figure(*largest)).powf(slope.max(expected));
        let measured = points.iter().map(|(_, cost, _)| short(*cost)).collect::<Vec<_>>().join(" / ");
        let sizes = points.iter().map(|(size, ..)| tick(figure(*size))).collect::<Vec<_>>().join(" / ");
        let mut would_be = format!("{} {}", short(there), row.unit);
        if row.unit.starts_with("B ") {
            would_be += &format!(", {} GiB in all", short(there * figure(self.size) / f64::from(1 << 30)));
        }
        Some(format!(
            "| {} | {} | {measured} at {sizes} | {} | {} | {expected} | {} | {would_be} |\n",
            self.workload,
            self.law(),
            row.unit,
            exponent_text(&growth.ours),
            tick(figure(self.size)),
        ))
    }

    fn law(&self) -> String {
        self.case.replace('#', "n")
    }

    fn size_in(&self, case: &str) -> Option<u64> {
        let (before, after) = self.case.split_once('#')?;
        case.strip_prefix(before)?.strip_suffix(after)?.parse().ok()
    }
}

fn exponent_text(exponents: &Series) -> String {
    if exponents.0.len() == 1 {
        return format!("{:.2}", exponents.median());
    }
    format!("{:.2} ({:.2}–{:.2})", exponents.median(), exponents.least(), exponents.most())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::Law;
    use crate::machine::Machine;
    use crate::report::{Measured, Run};

    #[test]
    fn a_law_is_carried_on_from_its_largest_size_by_its_exponent() {
        let law = Law {
            workload: "S4",
            case: "# idle watchers of keys",
            unit: "B a watcher",
            expected: 0.0,
            tolerance: 0.1,
        };
        let flat = law.rows(&[10_000, 100_000, 1_000_000].map(|size| (size, Series(vec![200.0]))));
        let law = Law {
            workload: "S2",
            case: "open # keys of one version",
            unit: "ms",
            expected: 1.0,
            tolerance: 0.1,
        };
        let linear =
            law.rows(&[(10_000, Series(vec![4.0, 5.0, 3.0])), (100_000, Series(vec![40.0, 50.0, 30.0]))]);
        let series = |figure| Series(vec![figure]);
        let cores =
            Row::new("S11", "2 cores: 2 callers", "gets/s", series(19.0)).with_peer("1 core", series(10.0));
        let rows = [flat, linear, vec![cores]].concat();
        let measured = Measured { name: "s4".into(), seconds: 1.0, rows, failed: None };
        let machine = Machine {
            cpu: String::new(),
            cores: 2,
            memory_mib: 1,
            kernel: String::new(),
            file_system: String::new(),
        };
        let run = Run {
            date: String::new(),
            commit: String::new(),
            command: String::new(),
            scale: "full".into(),
            machine,
            versions: std::collections::BTreeMap::new(),
            workloads: vec![measured],
        };
        let text = outlook(&Record { runs: vec![run] });
        let line = |of: &str| text.lines().find(|line| line.contains(of)).unwrap_or_default().to_owned();
        assert!(
            line("idle watchers of keys").contains("| 10 M | 200 B a watcher, 1.86 GiB in all |"),
            "{text}"
        );
        assert!(
            line("open n keys").contains("4.00 / 40.00 at 10 k / 100 k | ms | 1.00 (1.00–1.00) | 1 |"),
            "{text}"
        );
        assert!(line("open n keys").contains("| 40.0 k ms |"), "{text}");
        assert!(line("stab among n keys").contains("not in the record"), "{text}");
        assert!(
            text.ends_with("| S11 | 2 callers | gets/s | 10.00 (once) | 19.00 (once) | 1.90 |\n"),
            "{text}"
        );
    }
}
