//! Every target with the inputs that are kept, and with some by chance: no fuzzer is needed, nor a C++ compiler.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use watchful_fuzz::{ALL, Target};
use watchful_testkit::SplitMix64;

/// How many inputs by chance each target gets.
const BY_CHANCE: u64 = 40;

/// Runs an input. A panic of a thread that nobody waits for counts too, as it does under the fuzzer.
fn run(target: &Target, input: &[u8]) {
    static COUNTS: Once = Once::new();
    static PANICS: AtomicU64 = AtomicU64::new(0);
    COUNTS.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            tell(info);
        }));
    });
    (target.run)(input);
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a thread panicked");
}

fn kept(folder: &str, target: &Target) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target.name);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn check_kept(folder: &str) {
    for target in ALL {
        for path in kept(folder, target) {
            println!("cargo run -p watchful-fuzz -- {} {}", target.name, path.display());
            run(target, &fs::read(path).unwrap());
        }
    }
}

#[test]
fn what_once_failed_passes() {
    check_kept("regressions");
}

#[test]
fn seeds_pass() {
    check_kept("seeds");
}

#[test]
fn inputs_by_chance_pass() {
    for target in ALL {
        for seed in 0..BY_CHANCE {
            println!("{}, seed {seed}", target.name);
            let mut rng = SplitMix64::new(seed);
            let len = rng.below(target.len_max as u64 + 1);
            let input: Vec<u8> = (0..len).map(|_| rng.next_u64().to_be_bytes()[0]).collect();
            run(target, &input);
        }
    }
}

/// A folder of inputs whose target has another name by now would never be run.
#[test]
fn every_folder_of_inputs_has_its_target() {
    for folder in ["regressions", "seeds"] {
        let Ok(entries) = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) else { continue };
        for entry in entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir()) {
            let name = entry.file_name().into_string().unwrap();
            assert!(watchful_fuzz::target(&name).is_some(), "{folder}/{name} has no target");
        }
    }
}
