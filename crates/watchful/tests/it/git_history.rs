//! The example `git-history`, run as a program on repositories made for the purpose, and compared with git.
//!
//! `cargo test` builds the example next to these tests. Where git is missing nothing is checked, and that is said.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Its own unit tests run here: an example's are not run otherwise.
#[path = "../../examples/git-history/git/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the example's own module; its tests need only a part of it")]
mod git;

#[path = "../../examples/git-history/quote.rs"]
#[allow(dead_code, reason = "the example's own module; its tests need only a part of it")]
mod quote;

/// A repository, and folders beside it for stores.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            eprintln!("SKIPPED, this test checks nothing: there is no git");
            return None;
        }
        let fixture = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.repository()).unwrap();
        fixture.git(&["init", "--quiet", "--initial-branch=main"], b"");
        Some(fixture)
    }

    fn odd() -> Option<Self> {
        let fixture = Self::new()?;
        fixture.import(&odd_history());
        Some(fixture)
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// Adds what `git fast-import` reads.
    fn import(&self, stream: &[u8]) {
        self.git(&["fast-import", "--quiet", "--force"], stream);
    }

    #[track_caller]
    fn git(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.repository()).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let mut child = git.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        output.stdout
    }

    fn commits(&self) -> Vec<String> {
        let ids = self.git(&["rev-list", "--first-parent", "--reverse", "HEAD"], b"");
        String::from_utf8(ids).unwrap().lines().map(str::to_owned).collect()
    }

    /// Runs the example on the repository.
    fn run(&self, args: &[&str]) -> Output {
        self.run_on(&self.repository(), args)
    }

    fn run_on(&self, path: &Path, args: &[&str]) -> Output {
        let mut program = example();
        program.arg(path).args(args).env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        program.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        program.output().unwrap()
    }

    /// What a run prints that succeeds.
    #[track_caller]
    fn printed(&self, args: &[&str]) -> Vec<u8> {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[track_caller]
    fn printed_text(&self, args: &[&str]) -> String {
        String::from_utf8_lossy(&self.printed(args)).into_owned()
    }
}

/// The example beside this test's own program: `target/PROFILE/deps/it-…` and `target/PROFILE/examples/git-history`.
fn example() -> Command {
    let own = std::env::current_exe().unwrap();
    let profile = own.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(format!("git-history{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "build it first: cargo build -p watchful --example git-history");
    Command::new(program)
}

fn commit(mark: u32, message: &[u8], rest: &str) -> Vec<u8> {
    let who = format!("A <a@example.com> {} +0000", 1_000_000_000 + mark);
    let head = format!(
        "commit refs/heads/main\nmark :{mark}\nauthor {who}\ncommitter {who}\ndata {}\n",
        message.len()
    );
    [head.as_bytes(), message, b"\n", rest.as_bytes(), b"\n"].concat()
}

/// A change that puts `content` at `path`, which is quoted as in C.
fn put(mode: &str, path: &str, content: &str) -> String {
    format!("M {mode} inline \"{path}\"\ndata {}\n{content}\n", content.len())
}

/// Every odd thing that a tree may hold or a commit do.
fn odd_history() -> Vec<u8> {
    let submodule = |digit: &str| format!("M 160000 {} \"sub\"\n", digit.repeat(40));
    [
        commit(
            1,
            b"root",
            &(put("100644", "HEAD", "no head") + &put("100644", "a/b", "1") + &put("100755", "run", "x")),
        ),
        commit(2, b"nothing", ""),
        commit(3, b"", &(put("100644", "a.b", "1") + &put("100644", "a0", "1") + &put("100644", "a-b", "1"))),
        commit(4, b"\xff not text \x01", &put("120000", "link", "a/b")),
        commit(5, b"mode", &put("100755", "a.b", "1")),
        commit(6, b"link to file", &put("100644", "link", "a file now")),
        commit(7, b"file to folder", &format!("D a0\n{}", put("100644", "a0/inside", "1"))),
        commit(8, b"names", &(put("100644", "\\nline\\n", "1") + &put("100644", "\\377\\376/x", "1"))),
        commit(
            9,
            b"more",
            &(put("100644", "\\303\\274 tab\\t\\\"\\\\", "1") + &put("100644", "\\001\\177", "1")),
        ),
        commit(10, b"submodule", &(submodule("1") + &put("100644", "sub.x", "1"))),
        commit(11, b"submodule moves", &submodule("2")),
        commit(12, b"folder to file", &format!("D a0/inside\n{}", put("100644", "a0", "2"))),
        commit(13, b"side", &format!("from :11\n{}", put("100644", "side", "1"))),
        commit(14, b"merge", &format!("from :12\nmerge :13\n{}", put("100644", "side", "1"))),
        commit(15, b"all goes", "deleteall\n"),
        commit(16, b"and comes again", &put("100644", "a", "1")),
    ]
    .concat()
}

/// `--at` is `git ls-tree -r`, byte for byte, at every commit.
#[track_caller]
fn check_every_tree(fixture: &Fixture) {
    let commits = fixture.commits();
    assert!(!commits.is_empty());
    for id in &commits {
        assert_eq!(fixture.printed(&["--at", id]), fixture.git(&["ls-tree", "-r", id], b""), "{id}");
        assert_eq!(
            fixture.printed(&["--at", id, "-z"]),
            fixture.git(&["ls-tree", "-r", "-z", id], b""),
            "{id} -z"
        );
    }
}

#[test]
fn every_tree_of_an_odd_history_is_gits() {
    let Some(fixture) = Fixture::odd() else { return };
    check_every_tree(&fixture);
    fixture.git(&["config", "core.quotePath", "false"], b"");
    check_every_tree(&fixture);
    let head = fixture.printed(&["--at", "HEAD~2"]);
    assert_eq!(head, fixture.git(&["ls-tree", "-r", "HEAD~2"], b""), "other names of commits will do");
}

#[test]
fn the_main_job_finds_every_promise_kept_and_goes_on() {
    let Some(fixture) = Fixture::odd() else { return };
    let text = fixture.printed_text(&["--verify", "20", "--seed", "7"]);
    for said in [
        "empty: all are replayed",
        "promises all held",
        "the model's events",
        "--seed 7",
        "equals `git ls-tree -r`",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    fixture.import(&commit(
        17,
        b"new",
        &format!("from refs/heads/main^0\n{}", put("100644", "new/file", "1")),
    ));
    let text = fixture.printed_text(&["--verify", "20"]);
    for said in ["it has 15 of them, and 1 are new", "1 commits with 1 changes", "new/ ", "promises all held"]
    {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    let again = fixture.printed_text(&[]);
    assert!(again.contains("it has them all") && again.contains("promises all held"), "{again}");
    let fresh = fixture.printed_text(&["--fresh"]);
    assert!(fresh.contains("empty: all are replayed") && fresh.contains("16 commits with"), "{fresh}");
    check_every_tree(&fixture);
}

#[test]
fn a_bare_repository_will_do() {
    let Some(fixture) = Fixture::odd() else { return };
    let bare = fixture.folder.path().join("bare.git");
    fixture.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()], b"");
    let output = fixture.run_on(&bare, &["--at", "HEAD~4"]);
    assert_eq!(output.stdout, fixture.git(&["ls-tree", "-r", "HEAD~4"], b""));
    let output = fixture.run_on(&bare, &["--verify", "5"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_watch_prints_history_and_what_is_new() {
    let Some(fixture) = Fixture::odd() else { return };
    let text = fixture.printed_text(&["--watch", "a", "--from", "2", "--once"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("2 put 100644 blob ") && lines[0].ends_with("\ta/b\troot"), "{text}");
    let of_a0: Vec<String> =
        lines.iter().filter(|line| line.contains("\ta0")).map(|line| line[..5].to_owned()).collect();
    assert_eq!(of_a0, ["4 put", "8 del", "8 put", "13 pu", "13 de", "15 de"], "{text}");
    assert_eq!(fixture.printed_text(&["--watch", "side", "--from", "15", "--once"]), "15 delete\tside\n");
    assert_eq!(
        fixture.printed_text(&["--watch", "HEAD", "--from", "3", "--once"]),
        "15 delete\tHEAD\n",
        "the file"
    );
}

/// A failure is one line that says what is wrong.
#[track_caller]
fn check_failure(output: &Output, said: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("git-history: ") && text.contains(said), "{said:?} is not in {text:?}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let Some(fixture) = Fixture::odd() else { return };
    let folder = fixture.folder.path();
    check_failure(&fixture.run_on(folder, &[]), "is no git repository to read");
    check_failure(&fixture.run_on(&folder.join("nowhere"), &[]), "is no git repository to read");
    check_failure(&fixture.run(&["--at", "nowhere"]), "names no commit");
    let side = String::from_utf8(fixture.git(&["rev-parse", "HEAD~2^2"], b"")).unwrap();
    check_failure(&fixture.run(&["--at", side.trim()]), "is not on the first-parent line");
    check_failure(
        &fixture.run(&["--store", fixture.repository().to_str().unwrap(), "--fresh"]),
        "nothing was removed",
    );
    let mut without_git = example();
    without_git.arg(fixture.repository()).env("PATH", "");
    check_failure(&without_git.output().unwrap(), "git was not found on PATH");
    assert_eq!(fixture.run(&["--from", "3"]).status.code(), Some(2), "usage is clap's");

    let empty = folder.join("empty");
    fixture.git(&["init", "--quiet", empty.to_str().unwrap()], b"");
    check_failure(&fixture.run_on(&empty, &[]), "has no commit yet");
}

#[test]
fn another_history_and_a_store_in_use_are_refused() {
    let Some(fixture) = Fixture::odd() else { return };
    let folder = fixture.folder.path().join("store");
    let store = ["--store", folder.to_str().unwrap()];
    fixture.printed(&store);
    let in_use = watchful::Store::open(&folder, watchful::Settings::default()).unwrap();
    check_failure(&fixture.run(&store), "another run is using the store");
    check_failure(&fixture.run(&[&store[..], &["--fresh"]].concat()), "another run is using the store");
    drop(in_use);

    fixture.git(&["update-ref", "refs/heads/main", "HEAD~3"], b"");
    assert!(
        String::from_utf8_lossy(&fixture.printed(&store)).contains("it has them all"),
        "a branch set back is no other history"
    );
    fixture.import(&commit(
        18,
        b"other",
        &format!("from refs/heads/main^0\n{}", put("100644", "other", "1")),
    ));
    check_failure(&fixture.run(&store), "replay with --fresh");
    fixture.printed(&[&store[..], &["--fresh"]].concat());
    assert_eq!(
        fixture.printed(&[&store[..], &["--at", "HEAD"]].concat()),
        fixture.git(&["ls-tree", "-r", "HEAD"], b"")
    );
}

/// `| head` reads a line and goes.
#[test]
fn an_output_that_nobody_reads_is_no_failure() {
    let Some(fixture) = Fixture::odd() else { return };
    for args in [&["--at", "HEAD~2"][..], &[], &["--watch", "", "--from", "2"]] {
        let mut program = example();
        program
            .arg(fixture.repository())
            .args(args)
            .env("XDG_CACHE_HOME", fixture.folder.path().join("cache"));
        let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
