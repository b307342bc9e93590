//! A few short workloads against the real programs. `cargo xtask differential` plays more and longer ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::program::Program;
use crate::run::{self, Options, Pair};
use crate::step::Step;
use crate::{show, shrink, workload};

const ETCD: &str = "etcd";

/// Whether there is an etcd. Where `REQUIRE_PEERS` is 1, there has to be one.
fn has_etcd() -> bool {
    let found = Command::new(ETCD).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert_ne!(
            std::env::var("REQUIRE_PEERS").as_deref(),
            Ok("1"),
            "REQUIRE_PEERS=1, and etcd was not found on PATH"
        );
        eprintln!("SKIPPED, this test checks nothing: etcd was not found on PATH");
    }
    found
}

/// The program as it is in the source now. Where all tests are run it has been built with them; by itself, this test has
/// cargo build it into the folder that it is in, which takes longer than it has to when cargo chooses other features.
fn watchful() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let program = target.join("debug/watchful");
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    if changed(&program).is_some_and(|built| newest(&crates).is_none_or(|source| source < built)) {
        return program;
    }
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "watchful-server", "--bin", "watchful", "--target-dir"])
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .status();
    assert!(built.unwrap().success(), "watchful is not built");
    program
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|data| data.modified()).ok()
}

/// When the newest file below `folder` was changed.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter_map(|path| if path.is_dir() { newest(&path) } else { changed(&path) }).max()
}

fn etcd() -> Program {
    Program::etcd(Path::new(ETCD))
}

async fn check(pair: &Pair, seed: u64, steps: usize) {
    let pair = &pair.clone().with_web_tokens(workload::has_users(seed) && workload::has_web_tokens(seed));
    let report = run::run(pair, &workload::steps(seed, steps, workload::has_users(seed)), Options::default())
        .await
        .unwrap();
    let differences: Vec<_> = report.differences.iter().map(|one| show::difference(pair, one)).collect();
    assert!(
        report.is_clean(),
        "seed {seed} of {steps} steps: {}\n{:?}\n{}\ntry `cargo xtask differential --seed {seed} --steps {steps}`",
        differences.join("\n"),
        report.missed,
        report.output.join("\n")
    );
    assert!(report.exchanges > steps / 2, "hardly anything was compared: {}", report.exchanges);
}

#[tokio::test]
async fn watchful_answers_as_etcd_does() {
    if !has_etcd() {
        return;
    }
    let pair = Pair { reference: etcd(), subject: Program::watchful(&watchful()), has_known: true };
    for seed in 1000..1005 {
        check(&pair, seed, 250).await;
    }
}

#[tokio::test]
async fn etcd_answers_as_itself() {
    if !has_etcd() {
        return;
    }
    check(&Pair { reference: etcd(), subject: etcd(), has_known: false }, 1, 300).await;
}

#[tokio::test]
async fn a_server_that_answers_otherwise_is_found_and_its_workload_shrinks() {
    if !has_etcd() {
        return;
    }
    let other =
        Program { flags: &["--log-level", "error", "--bcrypt-cost", "4", "--max-txn-ops", "2"], ..etcd() };
    let pair = Pair { reference: etcd(), subject: other, has_known: false };
    let steps = workload::steps(1, 300, false);
    let report = run::run(&pair, &steps, Options::default()).await.unwrap();
    let found = report.differences.first().expect("two operations are all that one of them allows");
    let shrunk = shrink::shrink(&pair, &steps[..=found.step], &found.request, 40).await.unwrap();
    let shrunk = shrunk.expect("it is found again");
    let length = shrunk.steps.len();
    assert!(length <= 3, "{length} steps are left:\n{}", show::transcript(&pair, &shrunk.report));
}

/// An etcd 3.4.23 in Watchful's place: it does what it has to refuse.
#[tokio::test]
async fn a_server_that_lets_everybody_do_more_is_found() {
    if !has_etcd() {
        return;
    }
    let pair = Pair { reference: etcd(), subject: etcd(), has_known: true };
    for seed in 0..2 {
        let pair = pair.clone().with_web_tokens(workload::has_web_tokens(seed));
        let mut steps = workload::steps(seed, 400, true);
        // It looks at wrong tokens while auth is off, which Watchful does not; this is about what comes then.
        steps.retain(|step| !matches!(step, Step::As { caller: Caller::Stranger, .. }));
        let report = run::run(&pair, &steps, Options::default()).await.unwrap();
        let found = report.differences.first().expect("it grants, compacts and reads what is not permitted");
        let [refused, done] = &found.answers;
        assert!(matches!(refused, Answer::Refused { .. } | Answer::Watch(_)), "{found:?}");
        assert!(!matches!(done, Answer::Refused { .. }), "{found:?}");
    }
}
