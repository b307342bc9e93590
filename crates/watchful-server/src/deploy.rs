//! The files of `deploy/`, checked against what they start and against the tools that read them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::config::{Config, Parsed};

const UNIT: &str = include_str!("../../../deploy/watchful.service");

const DOCKERFILE: &str = include_str!("../../../deploy/Dockerfile");

const MANIFEST: &str = include_str!("../../../Cargo.toml");

/// The values of a unit's setting.
fn unit(setting: &str) -> Vec<&'static str> {
    let lines = UNIT.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    lines.collect()
}

/// A Dockerfile's instructions, with lines that go on joined.
fn instructions() -> Vec<(String, String)> {
    let lines: Vec<_> =
        DOCKERFILE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.into(), b.trim().into())).collect()
}

fn instruction(name: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == name).map(|(_, text)| text).collect()
}

#[track_caller]
fn settings(args: &[&str], env: &[(&str, &str)]) -> Config {
    let env = env.iter().map(|(name, value)| (name.into(), value.into()));
    match Config::parse(args.iter().map(Into::into), env) {
        Ok(Parsed::Serve(config)) => *config,
        other => panic!("{other:?}"),
    }
}

/// Tells that a tool is missing; where all must be there, that is a failure.
fn skipped(tool: &str) {
    assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{tool} is missing, and REQUIRE_PEERS is set");
    eprintln!("SKIPPED: {tool} is not installed");
}

#[test]
fn the_unit_starts_the_server_in_its_own_folder() {
    let starts = unit("ExecStart");
    let words: Vec<_> = starts[0].split_whitespace().collect();
    let config = settings(&words[1..], &[]);
    let folder = PathBuf::from("/var/lib").join(unit("StateDirectory")[0]);
    assert_eq!((starts.len(), words[0]), (1, "/usr/local/bin/watchful"));
    assert_eq!((config.settings.data_dir, config.notices), (folder, Vec::new()));
    assert_eq!(unit("Type"), ["notify"]);
}

#[test]
fn systemd_reads_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("watchful.service");
    // The program has to be there; this one is.
    let program = std::env::current_exe().unwrap();
    std::fs::write(&path, UNIT.replace("/usr/local/bin/watchful", program.to_str().unwrap())).unwrap();
    let Ok(verified) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output()
    else {
        return skipped("systemd-analyze");
    };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    // It looks at other units of the machine too; only what it says of ours counts.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("watchful.service")).collect();
    assert!(ours.is_empty(), "{said}");
}

#[test]
fn the_container_builds_with_the_compiler_that_the_workspace_needs() {
    let needed =
        MANIFEST.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    let images = instruction("FROM");
    assert!(images[0].starts_with(&format!("rust:{needed}-")), "{images:?}, and {needed} is needed");
    let debian = images[0].split(['-', ' ']).nth(1).unwrap();
    assert_eq!(images[1], format!("debian:{debian}-slim"), "the C library is that of the build");
}

#[test]
fn the_container_serves_in_its_volume_as_nobody_in_particular() {
    const KNOWN: &[&str] = &[
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "VOLUME",
        "EXPOSE",
        "ENV",
        "HEALTHCHECK",
        "STOPSIGNAL",
        "ENTRYPOINT",
    ];
    for (name, text) in instructions() {
        assert!(KNOWN.contains(&name.as_str()), "{name} {text}");
    }
    let env = instruction("ENV").remove(0);
    let env: Vec<_> = env.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
    let config = settings(&[], &env);
    assert_eq!(config.settings.data_dir, Path::new(&instruction("VOLUME")[0]));
    assert_eq!(config.listen_client[0].port().map(|port| port.to_string()), instruction("EXPOSE").pop());
    assert_eq!((config.notices, instruction("USER")), (Vec::new(), vec!["watchful".to_owned()]));
    assert_eq!(instruction("ENTRYPOINT"), [r#"["watchful"]"#]);
    assert!(instruction("HEALTHCHECK")[0].ends_with(r#"CMD ["watchful", "status"]"#));
}
