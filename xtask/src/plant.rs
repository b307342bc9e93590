//! `cargo xtask plant`: faults that are put in on purpose, to see that the trials catch them.
//!
//! A fault is a patch under `trials/plants/`, headed by what is wrong and by the command that has to fail for it:
//!
//! ```text
//! fault: the answer is given before the commit
//! caught by: cargo test -p watchful --test it kill
//! ---
//! diff --git …
//! ```
//!
//! Each is applied to a copy of the tree under `target/plants`, so nothing of the tree itself changes. A command counts only if it
//! passes without the fault; a fault counts as caught if the command then fails by itself: a build that fails does not
//! count, nor does a command that has to be stopped. `--check` only sees whether all patches still apply.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use xshell::{Shell, cmd};

use crate::{Outcome, root};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which of them, by the names of their files; all, where none is named
    faults: Vec<String>,
    /// Only see whether the patches apply
    #[arg(long)]
    check: bool,
    /// Only tell which there are
    #[arg(long)]
    list: bool,
    /// How long a command may take, its build included
    #[arg(long, default_value_t = 900)]
    seconds_max: u64,
}

impl Arguments {
    /// Only whether all patches apply.
    pub(crate) fn check() -> Self {
        Self { faults: Vec::new(), check: true, list: false, seconds_max: 0 }
    }
}

/// A patch and its head.
struct Fault {
    name: String,
    path: PathBuf,
    about: String,
    command: String,
}

/// What became of a command.
enum Ending {
    Passed,
    /// By itself, so long after it was built.
    Failed(Duration),
    NotBuilt,
    Stopped,
}

const FOLDER: &str = "trials/plants";

pub(crate) fn run(shell: &Shell, arguments: &Arguments) -> Outcome {
    let faults = wanted(read_all(&root().join(FOLDER))?, &arguments.faults)?;
    if arguments.list {
        faults.iter().for_each(|fault| println!("{:<32} {}", fault.name, fault.about));
        return Ok(());
    }
    let tree = copy_tree(shell)?;
    for fault in &faults {
        apply(shell, &tree, fault, &["--check"])
            .map_err(|error| format!("{} does not apply; mend the patch: {error}", fault.name))?;
    }
    println!("{} faults can be planted", faults.len());
    if arguments.check { Ok(()) } else { try_all(shell, &tree, &faults, arguments) }
}

fn try_all(shell: &Shell, tree: &Path, faults: &[Fault], arguments: &Arguments) -> Outcome {
    let time = Duration::from_secs(arguments.seconds_max);
    let commands: BTreeSet<&str> = faults.iter().map(|fault| fault.command.as_str()).collect();
    for command in commands {
        println!("without a fault: {command}");
        if !matches!(try_command(tree, command, time)?, Ending::Passed) {
            return Err(format!("without any fault, this does not pass: {command}").into());
        }
    }
    let mut rows = BTreeMap::new();
    for fault in faults {
        println!("{}: {}", fault.name, fault.about);
        apply(shell, tree, fault, &[])?;
        let ending = try_command(tree, &fault.command, time);
        apply(shell, tree, fault, &["--reverse"])?;
        let told = match ending? {
            Ending::Failed(after) => Ok(format!("{:.1}", after.as_secs_f64())),
            Ending::Passed => Err("NOT CAUGHT"),
            Ending::NotBuilt => Err("DOES NOT BUILD"),
            Ending::Stopped => Err("HANGS"),
        };
        println!("    {}", told.as_deref().unwrap_or_else(|bad| bad));
        rows.insert(fault.name.as_str(), (fault, told));
    }
    println!("\n| Fault | Caught by | Seconds |\n|---|---|---|");
    for (fault, told) in rows.values() {
        println!("| {} | `{}` | {} |", fault.about, fault.command, told.as_deref().unwrap_or_else(|bad| bad));
    }
    match rows.values().filter(|(_, told)| told.is_err()).count() {
        0 => Ok(()),
        missed => Err(format!("{missed} of {} faults are not caught", rows.len()).into()),
    }
}

fn read_all(folder: &Path) -> Outcome<Vec<Fault>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    paths.into_iter().filter(|path| path.extension().is_some_and(|it| it == "patch")).map(read).collect()
}

fn read(path: PathBuf) -> Outcome<Fault> {
    let text = fs::read_to_string(&path)?;
    let head = text.split("\n---\n").next().unwrap_or_default();
    let field = |name: &str| {
        let value =
            head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        value.ok_or_else(|| format!("{} has no line that begins with `{name}`", path.display()))
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Fault { name, about: field("fault:")?, command: field("caught by:")?, path })
}

fn wanted(all: Vec<Fault>, names: &[String]) -> Outcome<Vec<Fault>> {
    if let Some(name) = names.iter().find(|name| !all.iter().any(|fault| fault.name == **name)) {
        return Err(
            format!("there is no fault {name}; `cargo xtask plant --list` tells which there are").into()
        );
    }
    Ok(all.into_iter().filter(|fault| names.is_empty() || names.contains(&fault.name)).collect())
}

/// Brings the copy up to date. A file that has not changed is left alone, so that cargo builds nothing again for it.
fn copy_tree(shell: &Shell) -> Outcome<PathBuf> {
    let tree = root().join("target/plants/tree");
    let listed = cmd!(shell, "git ls-files --cached --others --exclude-standard").quiet().read()?;
    let paths: BTreeSet<PathBuf> =
        listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect();
    for path in &paths {
        let (from, to) = (fs::read(root().join(path))?, tree.join(path));
        if fs::read(&to).is_ok_and(|there| there == from) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(root().join(path), &to)?;
    }
    remove_others(&tree, &tree, &paths)?;
    Ok(tree)
}

/// Removes what the tree no longer has, but for what was built.
fn remove_others(tree: &Path, folder: &Path, paths: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path == tree.join("target") {
            continue;
        }
        if path.is_dir() {
            remove_others(tree, &path, paths)?;
        } else if path.strip_prefix(tree).is_ok_and(|relative| !paths.contains(relative)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Applies the patch to the copy, which git must not take for a part of the repository that it lies in.
fn apply(shell: &Shell, tree: &Path, fault: &Fault, how: &[&str]) -> Outcome {
    let _there = shell.push_dir(tree);
    let path = &fault.path;
    let git = cmd!(shell, "git apply {how...} {path}").quiet();
    let above = tree.parent().unwrap_or(tree);
    Ok(git.env("GIT_CEILING_DIRECTORIES", above).env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE").run()?)
}

/// Runs it in the copy, in a group of processes of its own that can be stopped as a whole.
fn try_command(tree: &Path, command: &str, time: Duration) -> Outcome<Ending> {
    let mut line = Command::new("sh");
    line.args(["-c", command]).process_group(0).current_dir(tree).stdin(Stdio::null());
    line.env("CARGO_TARGET_DIR", tree.join("target")).env("CARGO_INCREMENTAL", "0");
    let begun = Instant::now();
    let mut child = line.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (lines, told) = mpsc::channel();
    for pipe in pipes(&mut child) {
        read_lines(pipe, lines.clone());
    }
    drop(lines);
    let (mut built, mut kept, mut is_built) = (begun, Vec::new(), true);
    loop {
        match told.recv_timeout(time.saturating_sub(begun.elapsed())) {
            Ok(line) => {
                if begins_work(&line) {
                    built = Instant::now();
                }
                is_built &= !line.contains("could not compile");
                kept.push(line);
            }
            Err(RecvTimeoutError::Timeout) => {
                stop(&mut child)?;
                return Ok(Ending::Stopped);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let after = built.elapsed();
    let passed = child.wait()?.success();
    let ending = match (passed, is_built) {
        (true, _) => return Ok(Ending::Passed),
        (false, true) => Ending::Failed(after),
        (false, false) => Ending::NotBuilt,
    };
    kept.iter().rev().take(12).rev().for_each(|line| println!("    | {line}"));
    Ok(ending)
}

fn pipes(child: &mut Child) -> impl Iterator<Item = Box<dyn Read + Send>> + use<> {
    let out = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let err = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    out.into_iter().chain(err)
}

fn read_lines(pipe: Box<dyn Read + Send>, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}

/// Whether a test program or a trial says by this line that it begins: what it needs is built by then.
fn begins_work(line: &str) -> bool {
    let line = line.trim_start();
    let is_test = line.starts_with("Running ") && line.contains("/deps/");
    is_test || line.contains(", seed ")
}

/// The child is the leader of its group, which has its number.
fn stop(child: &mut Child) -> io::Result<()> {
    let group = format!("-{}", child.id());
    Command::new("kill").args(["-KILL", "--", &group]).status()?;
    child.kill()?;
    child.wait().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(command: &str) -> Ending {
        let folder = Shell::new().unwrap().create_temp_dir().unwrap();
        try_command(folder.path(), command, Duration::from_secs(2)).unwrap()
    }

    #[test]
    fn a_command_passes_fails_is_not_built_or_is_stopped() {
        assert!(matches!(ending("true"), Ending::Passed));
        assert!(matches!(ending("echo failed; false"), Ending::Failed(_)));
        assert!(matches!(ending("echo 'error: could not compile `a`' >&2; false"), Ending::NotBuilt));
        assert!(matches!(ending("sleep 60"), Ending::Stopped));
    }

    #[test]
    fn a_fault_says_what_it_is_and_what_catches_it() {
        let folder = Shell::new().unwrap().create_temp_dir().unwrap();
        let path = folder.path().join("early.patch");
        fs::write(&path, "fault: too early\ncaught by: false\n---\nfault: not this\n").unwrap();
        fs::write(folder.path().join("README.md"), "").unwrap();
        let all = read_all(folder.path()).unwrap();
        assert_eq!((all[0].name.as_str(), all[0].about.as_str()), ("early", "too early"));
        assert_eq!((all.len(), all[0].command.as_str()), (1, "false"));
        assert!(wanted(all, &["late".to_owned()]).is_err_and(|error| error.to_string().contains("late")));
        fs::write(&path, "fault: too early\n---\n").unwrap();
        let error = read_all(folder.path()).err().unwrap().to_string();
        assert!(error.ends_with("early.patch has no line that begins with `caught by:`"), "{error}");
    }
}
