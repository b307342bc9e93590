//! The arrows: which crate may use which, and what each must do without.
//!
//! The [`ARROWS`] are the one place where this is decided. The manifests are checked against them here, and the table
//! of docs/ARCHITECTURE.md in [`architecture`](super::architecture). A crate exists where something must be absent,
//! so a row names what is absent too.

use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

/// One crate's row.
pub(crate) struct Arrow {
    pub(crate) name: &'static str,
    pub(crate) may_use: Allowed,
    /// Crates of others that this one must do without, in its tests and examples too.
    never: &'static [&'static str],
}

/// The crates of ours that a crate may depend on.
pub(crate) enum Allowed {
    Only(&'static [&'static str]),
    Anything,
}

pub(crate) const ARROWS: &[Arrow] = &[
    Arrow::new("watchful-revision", &[], PURE),
    Arrow::new("watchful-backend", &[], &["tokio", "tonic"]),
    Arrow::new("watchful-bbolt", &[], PURE),
    Arrow::new("watchful-mvcc", &["watchful-backend", "watchful-revision"], PURE),
    Arrow::new("watchful-watcher-index", &["watchful-revision"], PURE),
    Arrow::new("watchful-sync", &["watchful-revision", "watchful-watcher-index"], PURE),
    Arrow::new("watchful", &["watchful-mvcc", "watchful-revision", "watchful-sync"], &["heed", "tonic"]),
    // Its services are tonic's traits; what would serve or connect them is absent.
    Arrow::new("watchful-wire", &["watchful-revision"], &["heed", "tokio"]),
    Arrow::new(
        "watchful-server",
        &["watchful", "watchful-bbolt", "watchful-revision", "watchful-wire"],
        &["heed"],
    ),
    Arrow::new("watchful-testkit", &["watchful-revision"], PURE),
    Arrow::new(
        "watchful-watcher-index-twin",
        &["watchful-revision", "watchful-testkit", "watchful-watcher-index"],
        PURE,
    ),
    Arrow::new("watchful-sync-world", &["watchful-revision", "watchful-sync", "watchful-testkit"], PURE),
    Arrow::new("watchful-mvcc-twin", &["watchful-mvcc", "watchful-revision", "watchful-testkit"], PURE),
    Arrow::new(
        "watchful-harness",
        &["watchful", "watchful-mvcc-twin", "watchful-testkit"],
        &["heed", "tonic"],
    ),
    Arrow::new("watchful-clients", &["watchful-revision", "watchful-testkit", "watchful-wire"], &["heed"]),
    Arrow::new("watchful-differential", &["watchful-wire"], &["heed"]),
    // Its LMDB is heed's own, with nothing of ours between: it is what ours is held against.
    Arrow::new("watchful-peers", &[], &["tonic"]),
    Arrow { name: "watchful-benches", may_use: Allowed::Anything, never: &[] },
    Arrow { name: "watchful-fuzz", may_use: Allowed::Anything, never: &[] },
    Arrow { name: "watchful-trials", may_use: Allowed::Anything, never: &[] },
    Arrow::new("xtask", &[], PURE),
];

/// No storage, no runtime, no network.
const PURE: &[&str] = &["heed", "tokio", "tonic"];

/// The crate that anyone's tests and examples may use.
const TESTKIT: &str = "watchful-testkit";

/// What a crate's own tests may use besides: it stands apart because more than they try that crate with it.
const TRIED_WITH: &[(&str, &str)] = &[
    ("watchful-mvcc", "watchful-mvcc-twin"),
    ("watchful-watcher-index", "watchful-watcher-index-twin"),
    ("watchful-sync", "watchful-sync-world"),
    ("watchful", "watchful-harness"),
    ("watchful-server", "watchful-clients"),
];

/// The crate of failpoints. No build has it that does not ask for it by a feature.
const FAIL: &str = "fail";

impl Arrow {
    const fn new(
        name: &'static str,
        may_use: &'static [&'static str],
        never: &'static [&'static str],
    ) -> Self {
        Self { name, may_use: Allowed::Only(may_use), never }
    }

    fn allows(&self, dependency: &Dependency) -> bool {
        match &self.may_use {
            Allowed::Anything => true,
            Allowed::Only(names) => {
                names.contains(&dependency.name.as_str())
                    || (dependency.dev && self.is_tried_with(dependency))
            }
        }
    }

    fn is_tried_with(&self, dependency: &Dependency) -> bool {
        let name = dependency.name.as_str();
        name == TESTKIT || TRIED_WITH.contains(&(self.name, name))
    }
}

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.manifests().flat_map(|(path, text)| check_manifest(path, text)).collect()
}

fn check_manifest(path: &str, text: &str) -> Vec<Finding> {
    let manifest = match text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(path, 1, error.message(), "write it as TOML")],
    };
    let name = package_name(&manifest).unwrap_or_default();
    let Some(arrow) = ARROWS.iter().find(|arrow| arrow.name == name) else {
        let what = format!("the crate {name:?} has no row among the arrows");
        return vec![Finding::new(path, 1, what, "give it one in xtask/src/tidy/arrows.rs")];
    };
    let dependencies = dependencies_of(&manifest);
    dependencies.iter().filter_map(|dependency| judge(arrow, dependency, path, text)).collect()
}

fn judge(arrow: &Arrow, dependency: &Dependency, path: &str, text: &str) -> Option<Finding> {
    let (user, used) = (arrow.name, dependency.name.as_str());
    let line = line_of(text, &dependency.key);
    if is_ours(used) && !arrow.allows(dependency) {
        let what = format!("{user} must not use {used}");
        return Some(Finding::new(
            path,
            line,
            what,
            "move the work to a crate that may, or change the arrows and say why",
        ));
    }
    if used == FAIL && user != "watchful-trials" && !dependency.optional {
        let what = format!("{user} would always have failpoints");
        return Some(Finding::new(path, line, what, "make it optional, behind the feature `failpoints`"));
    }
    if arrow.never.contains(&used) {
        let what = format!("{user} must do without {used}");
        return Some(Finding::new(path, line, what, "leave it to the crate that is there for it"));
    }
    None
}

pub(crate) fn package_name(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

/// Whether a dependency is a crate of this workspace.
fn is_ours(name: &str) -> bool {
    name == "xtask" || name == "watchful" || name.starts_with("watchful-")
}

struct Dependency {
    /// The name it has in the manifest.
    key: String,
    /// The package's name.
    name: String,
    dev: bool,
    optional: bool,
}

fn dependencies_of(manifest: &Table) -> Vec<Dependency> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    places.flat_map(dependencies_in).collect()
}

fn dependencies_in(place: &Table) -> Vec<Dependency> {
    let mut found = Vec::new();
    for (section, dev) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
    {
        let listed = place.get(section).and_then(Value::as_table).into_iter().flatten();
        found.extend(listed.map(|(key, value)| Dependency {
            key: key.clone(),
            name: name_of(key, value),
            dev,
            optional: value.get("optional").and_then(Value::as_bool).unwrap_or(false),
        }));
    }
    found
}

fn name_of(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

/// The first line that begins with `key`, or 1.
fn line_of(text: &str, key: &str) -> usize {
    let begins = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    text.lines().position(begins).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy;

    fn check(path: &str, manifest: &str, expected: &[&str]) {
        tidy::check(super::check, &[(path, manifest)], expected);
    }

    #[test]
    fn failpoints_are_behind_a_feature() {
        let manifest = "[package]\nname = \"watchful-mvcc\"\n[dependencies]\nfail = { version = \"0.5\", optional = true }\n";
        check("crates/watchful-mvcc/Cargo.toml", manifest, &[]);
        let manifest = "[package]\nname = \"watchful-mvcc\"\n[dependencies]\nfail = \"0.5\"\n";
        let expected = ["crates/watchful-mvcc/Cargo.toml:4: watchful-mvcc would always have failpoints"];
        check("crates/watchful-mvcc/Cargo.toml", manifest, &expected);
    }

    #[test]
    fn an_arrow_of_the_table_passes() {
        let manifest = "[package]\nname = \"watchful-mvcc\"\n[dependencies]\nbytes.workspace = true\n\
                        watchful-backend.workspace = true\n[dev-dependencies]\nwatchful-testkit.workspace = true\n";
        check("crates/watchful-mvcc/Cargo.toml", manifest, &[]);
    }

    #[test]
    fn any_other_arrow_is_found() {
        let manifest =
            "[package]\nname = \"watchful-sync\"\n\n[dependencies]\nwatchful-mvcc.workspace = true\n";
        let expected = ["crates/watchful-sync/Cargo.toml:5: watchful-sync must not use watchful-mvcc"];
        check("crates/watchful-sync/Cargo.toml", manifest, &expected);
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        let manifest = "[package]\nname = \"watchful\"\n[dependencies]\nwatchful-testkit.workspace = true\n";
        let expected = ["crates/watchful/Cargo.toml:4: watchful must not use watchful-testkit"];
        check("crates/watchful/Cargo.toml", manifest, &expected);
    }

    #[test]
    fn a_crates_world_is_for_its_own_tests() {
        let manifest = |name: &str| {
            format!(
                "[package]\nname = \"{name}\"\n[dev-dependencies]\nwatchful-sync-world.workspace = true\n"
            )
        };
        check("crates/watchful-sync/Cargo.toml", &manifest("watchful-sync"), &[]);
        let expected = ["crates/watchful-mvcc/Cargo.toml:4: watchful-mvcc must not use watchful-sync-world"];
        check("crates/watchful-mvcc/Cargo.toml", &manifest("watchful-mvcc"), &expected);
    }

    #[test]
    fn a_renamed_and_a_targets_dependency_are_found_too() {
        let manifest = "[package]\nname = \"watchful-revision\"\n\
                        [dev-dependencies]\nruntime = { package = \"tokio\", version = \"1\" }\n\
                        [target.'cfg(unix)'.dependencies]\nheed.workspace = true\n";
        let expected = [
            "crates/watchful-revision/Cargo.toml:4: watchful-revision must do without tokio",
            "crates/watchful-revision/Cargo.toml:6: watchful-revision must do without heed",
        ];
        check("crates/watchful-revision/Cargo.toml", manifest, &expected);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        let expected = ["crates/new/Cargo.toml:1: the crate \"new\" has no row among the arrows"];
        check("crates/new/Cargo.toml", "[package]\nname = \"new\"\n", &expected);
    }

    #[test]
    fn the_benchmarks_may_use_anything() {
        let manifest = "[package]\nname = \"watchful-benches\"\n[dependencies]\nheed = \"0.23\"\nwatchful-sync = \"*\"\n";
        check("benches/Cargo.toml", manifest, &[]);
    }

    #[test]
    fn the_arrows_have_no_circle() {
        for (at, arrow) in ARROWS.iter().enumerate() {
            let Allowed::Only(names) = arrow.may_use else { continue };
            for name in names {
                let of_used = ARROWS.iter().position(|other| other.name == *name);
                assert!(
                    of_used.is_some_and(|used| used < at),
                    "{name} must have a row above {}'s",
                    arrow.name
                );
            }
        }
    }
}
