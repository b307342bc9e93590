//! On repositories that are made for each test.

use super::*;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

/// A repository in a folder of its own, which goes when this goes.
struct Fixture {
    folder: PathBuf,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Fixture {
    /// Makes a repository out of what `git fast-import` reads; nothing where git is missing.
    fn new(init: &[&str], stream: &[u8]) -> Option<Self> {
        if let Err(error) = check_program("git") {
            eprintln!("SKIPPED, this test checks nothing: {error}");
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("git-history-{}-{number}", std::process::id());
        let fixture = Self { folder: std::env::temp_dir().join(name) };
        fs::create_dir_all(&fixture.folder).unwrap();
        fixture.git(&[&["init", "--quiet", "--initial-branch=main"], init].concat(), b"");
        fixture.git(&["fast-import", "--quiet"], stream);
        Some(fixture)
    }

    /// Runs git with nobody's settings and returns what it prints.
    #[track_caller]
    fn git(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.folder).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@example.com");
        }
        let mut child = git.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        output.stdout
    }

    fn id(&self, revision: &str) -> String {
        String::from_utf8(self.git(&["rev-parse", revision], b"")).unwrap().trim().to_owned()
    }

    fn open(&self) -> Repository {
        Repository::open(&self.folder).unwrap()
    }

    fn history(&self) -> Vec<Commit> {
        history(&self.open()).unwrap()
    }
}

fn history(repository: &Repository) -> Result<Vec<Commit>, GitError> {
    repository.commits(&repository.resolve("HEAD")?)?.collect()
}

/// A commit in the words of `git fast-import`. `rest` is its parents and changes.
fn commit(mark: u32, message: &str, rest: &str) -> Vec<u8> {
    commit_of_bytes(mark, message.as_bytes(), "", rest)
}

fn commit_of_bytes(mark: u32, message: &[u8], encoding: &str, rest: &str) -> Vec<u8> {
    let who = format!("A <a@example.com> {} +0000", 1_000_000_000 + mark);
    let head = format!("commit refs/heads/main\nmark :{mark}\nauthor {who}\ncommitter {who}\n{encoding}");
    let head = format!("{head}data {}\n", message.len());
    [head.as_bytes(), message, b"\n", rest.as_bytes(), b"\n"].concat()
}

/// A change that puts `content` at `path`, which is quoted as in C.
fn put(mode: &str, path: &str, content: &str) -> String {
    format!("M {mode} inline \"{path}\"\ndata {}\n{content}\n", content.len())
}

/// What a commit did, short enough to compare: `+mode path` and `-path`.
fn summary(commit: &Commit) -> String {
    let changes = commit.changes.iter().map(|change| {
        let path = change.path.escape_ascii();
        match &change.kind {
            ChangeKind::Put { mode, .. } => format!(" +{} {path}", mode.escape_ascii()),
            ChangeKind::Delete => format!(" -{path}"),
        }
    });
    format!("[{}]{}", commit.subject.escape_ascii(), changes.collect::<String>())
}

#[track_caller]
fn check(stream: &[u8], expected: &[&str]) {
    let Some(fixture) = Fixture::new(&[], stream) else { return };
    let history = fixture.history();
    assert_eq!(history.iter().map(summary).collect::<Vec<_>>(), expected);
    check_against_tree(&fixture.open(), &history);
}

/// The changes, applied one after the other, have to give the last commit's tree; and the counts have to agree.
#[track_caller]
fn check_against_tree(repository: &Repository, history: &[Commit]) {
    let mut files = BTreeMap::new();
    for change in history.iter().flat_map(|commit| &commit.changes) {
        match &change.kind {
            ChangeKind::Put { mode, blob } => drop(files.insert(&change.path[..], (*mode, blob.clone()))),
            ChangeKind::Delete => assert!(files.remove(&change.path[..]).is_some(), "{change:?}"),
        }
    }
    let head = repository.resolve("HEAD").unwrap();
    let raw = repository.ls_tree(&head).unwrap();
    let tree = parse_tree(&raw).unwrap();
    for entry in &tree {
        assert_eq!(entry.kind, if entry.mode == *b"160000" { &b"commit"[..] } else { b"blob" });
    }
    assert_eq!(tree.into_iter().map(|it| (it.path, (it.mode, it.blob))).collect::<BTreeMap<_, _>>(), files);
    assert_eq!(repository.count_commits(&head).unwrap(), history.len() as u64);
    assert_eq!(history.last().map(|commit| &commit.id), Some(&head));
}

/// Every odd change, one a commit, on a line with a merge in it.
fn odd_history() -> Vec<u8> {
    let submodule = |digit: &str| format!("M 160000 {} sub\n", digit.repeat(40));
    [
        commit(
            1,
            "root",
            &(put("100644", "a", "1") + &put("100644", "d/b", "1") + &put("100755", "run", "x")),
        ),
        commit(2, "nothing", ""),
        commit(3, "", &put("100644", "a", "2")),
        commit(4, ":100644 000000 \u{1}\tit's\nstill: \"subject\"\n\nbody", &put("120000", "link", "a")),
        commit(5, "mode", &put("100755", "a", "2")),
        commit(6, "link to file", &put("100644", "link", "now a file")),
        commit(7, "file to folder", &format!("D a\n{}", put("100644", "a/inside", "1"))),
        commit(8, "names", &(put("100644", "\\nline\\nend\\n", "1") + &put("100644", "\\377\\376", "1"))),
        commit(9, "more names", &(put("100644", ":1 2 3", "1") + &put("100644", "\u{fc} tab\\t", "1"))),
        commit(10, "submodule", &submodule("1")),
        commit(11, "submodule moves", &submodule("2")),
        commit(12, "a copy and a move", "C d/b d/copy\nR d/b d/moved\n"),
        commit(13, "on the side", &format!("from :11\n{}", put("100644", "side", "1"))),
        commit(14, "merge", &format!("from :12\nmerge :13\n{}", put("100644", "side", "1"))),
        commit(15, "merge of nothing", "from :14\nmerge :13\n"),
        commit(16, "all goes", "deleteall\n"),
        commit(17, "and comes again", &put("100644", "a", "1")),
    ]
    .concat()
}

#[test]
fn every_odd_change_is_read() {
    let expected = [
        "[root] +100644 a +100644 d/b +100755 run",
        "[nothing]",
        "[] +100644 a",
        r#"[:100644 000000 \x01\tit\'s still: \"subject\"] +120000 link"#,
        "[mode] +100755 a",
        "[link to file] +100644 link",
        "[file to folder] -a +100644 a/inside",
        r"[names] +100644 \nline\nend\n +100644 \xff\xfe",
        r"[more names] +100644 :1 2 3 +100644 \xc3\xbc tab\t",
        "[submodule] +160000 sub",
        "[submodule moves] +160000 sub",
        "[a copy and a move] -d/b +100644 d/copy +100644 d/moved",
        "[merge] +100644 side",
        "[merge of nothing]",
        r"[all goes] -\nline\nend\n -:1 2 3 -a/inside -d/copy -d/moved -link -run -side -sub -\xc3\xbc tab\t -\xff\xfe",
        "[and comes again] +100644 a",
    ];
    check(&odd_history(), &expected);
}

#[test]
fn subjects_come_as_utf8_where_the_commit_says_its_encoding_and_as_bytes_where_not() {
    let said = commit_of_bytes(1, b"gr\xfcn", "encoding ISO-8859-1\n", "");
    let unsaid = commit_of_bytes(2, b"gr\xfcn", "", "");
    check(&[said, unsaid].concat(), &[r"[gr\xc3\xbcn]", r"[gr\xfcn]"]);
}

#[test]
fn a_repository_of_long_ids_is_read() {
    let Some(fixture) = Fixture::new(&["--object-format=sha256"], &commit(1, "a", &put("100644", "a", "1")))
    else {
        return;
    };
    let history = fixture.history();
    assert_eq!(history[0].id.len(), 64);
    check_against_tree(&fixture.open(), &history);
}

/// Settings that would each change what a plain `git log` prints.
const SETTINGS: &str = "
    [diff]\n renames = copies\n ignoreSubmodules = all\n external = false\n orderFile = order\n relative = true
    noprefix = true\n submodule = log\n
    [log]\n showSignature = true\n showRoot = false\n diffMerges = combined\n follow = true\n abbrevCommit = true
    decorate = full\n
    [core]\n quotePath = true\n abbrev = 4\n pager = false\n
    [color]\n ui = always\n
    [i18n]\n logOutputEncoding = ISO-8859-1\n
    [format]\n pretty = fuller\n notes = true\n
    [notes]\n displayRef = *\n
    [alias]\n log = version\n
    [diff \"upper\"]\n textconv = false\n command = false\n
";

#[test]
fn settings_do_not_change_the_history() {
    let green = commit(18, "gr\u{fc}n", &put("100644", ".gitattributes", "* diff=upper\n"));
    let Some(fixture) = Fixture::new(&[], &[odd_history(), green].concat()) else { return };
    sign_head(&fixture);
    let plain = fixture.history();
    assert_eq!(plain.len(), 17);

    let config = fixture.folder.join(".git/config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + SETTINGS).unwrap();
    fs::create_dir(fixture.folder.join("d")).unwrap();
    fs::write(fixture.folder.join("order"), "side\nd/moved\nrun\n").unwrap();
    fs::write(fixture.folder.join("d/order"), "side\nd/moved\nrun\n").unwrap();
    fixture.git(&["notes", "add", "-m", "a note", "HEAD"], b"");
    assert_eq!(fixture.history(), plain);
    assert_eq!(history(&Repository::open(&fixture.folder.join("d")).unwrap()).unwrap(), plain);
    check_against_tree(&fixture.open(), &plain);
}

/// Gives the newest commit a signature that no key has made.
fn sign_head(fixture: &Fixture) {
    let bytes = fixture.git(&["cat-file", "commit", "HEAD"], b"");
    let blank = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let signature = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n nobody\n -----END PGP SIGNATURE-----";
    let signed = [&bytes[..blank], signature, &bytes[blank..]].concat();
    let id = fixture.git(&["hash-object", "-t", "commit", "-w", "--stdin"], &signed);
    fixture.git(&["update-ref", "refs/heads/main", String::from_utf8_lossy(&id).trim()], b"");
}

#[test]
fn replaced_commits_and_grafts_do_not_change_the_history() {
    let Some(fixture) = Fixture::new(&[], &odd_history()) else { return };
    let plain = fixture.history();
    fixture.git(&["replace", "HEAD~1", "HEAD~3"], b"");
    assert_eq!(fixture.history(), plain);
    let graft = format!("{} {}\n", fixture.id("HEAD"), plain[0].id);
    fs::create_dir_all(fixture.folder.join(".git/info")).unwrap();
    fs::write(fixture.folder.join(".git/info/grafts"), graft).unwrap();
    assert_eq!(fixture.history(), plain);
}

#[test]
fn a_repository_is_found_from_its_top_a_folder_a_file_and_when_bare() {
    let Some(fixture) = Fixture::new(&[], &odd_history()) else { return };
    let plain = fixture.history();
    let folder = fixture.folder.join("one/two");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    fixture.git(&["clone", "--quiet", "--bare", ".", "bare.git"], b"");
    for path in ["one/two", "one/two/file", ".git", "bare.git", "bare.git/refs"] {
        assert_eq!(history(&Repository::open(&fixture.folder.join(path)).unwrap()).unwrap(), plain, "{path}");
    }
}

#[test]
fn a_path_without_a_repository_is_refused_with_what_git_says() {
    let Some(fixture) = Fixture::new(&[], b"") else { return };
    fs::remove_dir_all(fixture.folder.join(".git")).unwrap();
    let error = Repository::open(&fixture.folder).unwrap_err().to_string();
    assert!(error.contains("is no git repository to read: fatal: not a git repository"), "{error}");
    let error = Repository::open(&fixture.folder.join("nowhere")).unwrap_err();
    assert!(matches!(error, GitError::NoRepository { .. }), "{error}");
}

#[test]
fn a_revision_that_names_no_commit_is_refused() {
    let Some(empty) = Fixture::new(&[], b"") else { return };
    let Some(fixture) = Fixture::new(&[], &commit(1, "a", &put("100644", "a", "1"))) else { return };
    let refused = [
        (&empty, "HEAD"),
        (&fixture, "nowhere"),
        (&fixture, "--all"),
        (&fixture, "--since=2000"),
        (&fixture, "-h"),
        (&fixture, "HEAD:a"),
        (&fixture, ""),
    ];
    for (fixture, revision) in refused {
        let error = fixture.open().resolve(revision).unwrap_err();
        assert!(matches!(error, GitError::NoCommit { .. }), "{revision:?}: {error}");
    }
    assert_eq!(fixture.open().resolve("main").unwrap(), fixture.id("HEAD"));
}

#[test]
fn a_missing_and_an_old_git_are_told_clearly() {
    let error = check_program("git-that-is-nowhere").unwrap_err().to_string();
    assert!(error.starts_with("git was not found on PATH; "), "{error}");
    assert_eq!(parse_version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
    assert_eq!(parse_version("git version 2.53.GIT"), Some((2, 53)));
    assert_eq!(parse_version("hub 1"), None);
    assert!(parse_version("git version 2.30.9") < Some(VERSION_MIN));
    assert!(parse_version("git version 3.0.0") > Some(VERSION_MIN));
}

#[test]
fn a_history_that_git_cannot_read_to_its_end_ends_with_an_error() {
    let Some(fixture) = Fixture::new(&[], &commit(1, "first", &put("100644", "a", "1"))) else { return };
    for number in 2..=4 {
        let blob = fixture.git(&["hash-object", "-w", "--stdin"], format!("{number}").as_bytes());
        let entry = format!("100644,{},a", String::from_utf8_lossy(&blob).trim());
        fixture.git(&["update-index", "--add", "--cacheinfo", &entry], b"");
        fixture.git(&["commit", "--quiet", "--no-gpg-sign", "-m", &number.to_string()], b"");
    }
    let tree = fixture.id("HEAD~1^{tree}");
    let _ = fs::remove_file(fixture.folder.join(".git/objects").join(&tree[..2]).join(&tree[2..]));

    let repository = fixture.open();
    let read: Vec<_> = repository.commits(&fixture.id("HEAD")).unwrap().collect();
    let (last, before) = read.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok) && before.len() < 3, "{read:?}");
    let said = last.as_ref().unwrap_err().to_string();
    assert!(said.contains(&tree) && said.contains("failed (exit status"), "{said}");
}

#[test]
fn a_long_history_streams_and_may_be_left_in_the_middle() {
    let one = |number: u32| {
        commit(number, &"long ".repeat(50), &put("100644", &format!("f{}", number % 7), &number.to_string()))
    };
    let Some(fixture) = Fixture::new(&[], &(1..=2_000).flat_map(one).collect::<Vec<u8>>()) else {
        return;
    };
    let history = fixture.history();
    assert_eq!(history.len(), 2_000);
    check_against_tree(&fixture.open(), &history);
    let repository = fixture.open();
    let first = repository.commits(&repository.resolve("HEAD").unwrap()).unwrap().next();
    assert_eq!(first.unwrap().unwrap(), history[0]);
}

/// Runs a shell's script in git's place.
#[cfg(unix)]
fn read_script(script: &str) -> Vec<Result<Commit, GitError>> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).stdin(Stdio::null());
    Commits::start(shell).unwrap().collect()
}

/// A pipe holds 64 KiB on most systems: whoever reads only one of two waits for ever here.
#[test]
#[cfg(unix)]
fn much_on_both_pipes_is_read_and_the_beginning_of_the_complaints_is_kept() {
    let id = "1".repeat(40);
    let script = format!(
        "i=0; while [ $i -lt 20000 ]; do echo complaint $i >&2; printf '{id} s\\0'; i=$((i+1)); done; exit 3"
    );
    let read = read_script(&script);
    assert_eq!(read.len(), 20_000);
    let said = read.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(said.contains("complaint 0\ncomplaint 1\n") && said.contains("(exit status: 3)"), "{said}");
    assert!(said.len() < 20_000);
}

#[test]
#[cfg(unix)]
fn output_that_breaks_off_never_gives_half_a_commit() {
    let (id, none) = ("1".repeat(40), "0".repeat(40));
    let change = format!(":000000 100644 {none} {id} A");
    let whole = format!("printf '{id} s\\0\\n{change}\\0a\\0'");
    assert!(matches!(&read_script(&whole)[..], [Ok(commit)] if summary(commit) == "[s] +100644 a"));
    for (script, what) in [
        (format!("{whole}; echo why >&2; exit 1"), "why"),
        (format!("printf '{id} s\\0{change}\\0a'"), "broke off"),
        (format!("printf '{id} s\\0{change}\\0a'; echo why >&2; exit 1"), "why"),
        (format!("printf '{id} s\\0{change}\\0'"), "broke off"),
        (format!("printf '{id} s\\0{change}9\\0a\\0'"), "which is not a change"),
        ("printf 'fatal\\0'".to_owned(), "which is not a commit"),
    ] {
        let read = read_script(&script);
        let [Err(error)] = &read[..] else { panic!("{script}: {read:?}") };
        assert!(error.to_string().contains(what), "{script}: {error}");
    }
}

#[test]
fn a_tree_that_is_no_tree_is_refused() {
    let id = "1".repeat(40);
    assert_eq!(parse_tree(b"").unwrap(), []);
    for raw in [format!("100644 blob {id}\ta"), format!("100644 blob {id} a\0"), format!("1 blob {id}\ta\0")]
    {
        assert!(parse_tree(raw.as_bytes()).is_err(), "{raw:?}");
    }
}
