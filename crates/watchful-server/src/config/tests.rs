//! What flags, variables and files come to, and every error.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchful::{CompactionPolicy, Durability};

use super::*;
use crate::log::{LogFormat, LogLevel, LogOutput};
use crate::tls::{Certificate, ClientCertificates, TlsVersion};

mod auth;

fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Parsed, ConfigError> {
    let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::parse(args.iter().map(OsString::from), env)
}

#[track_caller]
fn config_with(args: &[&str], env: &[(&str, &str)]) -> Config {
    match parse(args, env) {
        Ok(Parsed::Serve(config)) => *config,
        other => panic!("not settings: {other:?}"),
    }
}

#[track_caller]
fn config(args: &[&str]) -> Config {
    config_with(args, &[])
}

/// Checks what `look` sees of the settings that `args` make.
#[track_caller]
fn check<T: std::fmt::Debug + PartialEq>(args: &[&str], look: impl Fn(&Config) -> T, expected: T) {
    assert_eq!(look(&config(args)), expected, "{args:?}");
}

#[track_caller]
fn check_error(args: &[&str], expected: &str) {
    check_error_with(args, &[], expected);
}

#[track_caller]
fn check_error_with(args: &[&str], env: &[(&str, &str)], expected: &str) {
    match parse(args, env) {
        Err(error) => assert_eq!(error.to_string(), expected, "{args:?}"),
        Ok(_) => panic!("{args:?} is accepted"),
    }
}

#[track_caller]
fn check_notices(args: &[&str], env: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(config_with(args, env).notices, expected, "{args:?}");
}

fn urls(urls: &[ListenUrl]) -> Vec<String> {
    urls.iter().map(ToString::to_string).collect()
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etcd.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn nothing_at_all_is_enough() {
    let config = config(&[]);
    assert_eq!(urls(&config.listen_client), ["http://localhost:2379"]);
    assert_eq!(config.settings.data_dir, Path::new("default.watchful"));
    assert_eq!(config.settings.lease_ttl_min_seconds, 2);
    assert_eq!(config.settings.keepalive.interval, Some(Duration::from_secs(7200)));
    assert_eq!(config.settings.slow_request, Duration::from_millis(100));
    assert_eq!(config.settings.store.compaction, CompactionPolicy::Manual);
    assert!(config.settings.advertise_client_urls.is_empty());
    assert!(config.tls.is_none() && config.listen_metrics.is_empty() && config.notices.is_empty());
}

#[test]
fn gos_ways_to_write_a_flag_are_understood() {
    let name = |config: &Config| config.settings.name.clone();
    check(&["--name", "a"], name, "a".to_owned());
    check(&["-name", "a"], name, "a".to_owned());
    check(&["-name=a"], name, "a".to_owned());
    check(&["--name=a=b"], name, "a=b".to_owned());
    check(&["--name=a", "--name", "b"], name, "b".to_owned());
    let auto = |config: &Config| config.tls.is_some();
    let https = "--listen-client-urls=https://127.0.0.1:1";
    check(&[https, "--auto-tls"], auto, true);
    check(&[https, "-auto-tls=T"], auto, true);
    check(&["--auto-tls", "--auto-tls=false"], auto, false);
}

#[test]
fn what_is_no_flag_is_an_error_that_helps() {
    check_error(&["--data-dirr=x"], "there is no flag --data-dirr; did you mean --data-dir?");
    check_error(&["--frobnicate"], "there is no flag --frobnicate; --help lists those that there are");
    check_error(&["serve"], "\"serve\" is not a flag: flags begin with --; --help lists them");
    check_error(&["-"], "\"-\" is not a flag: flags begin with --; --help lists them");
    check_error(&["--"], "\"--\" is not a flag: flags begin with --; --help lists them");
    check_error(
        &["--client-cert-auth", "true"],
        "\"true\" is not a flag: to give --client-cert-auth a value, write --client-cert-auth=true",
    );
    check_error(
        &["gateway"],
        "\"gateway\" is not a flag: there is no proxy here; clients reach the one server themselves",
    );
    check_error(&["--name"], "--name needs a value: --name=…");
    check_error(&["--auto-tls=yes"], "--auto-tls: \"yes\" is neither true nor false");
    check_error(&["--help=maybe"], "--help: \"maybe\" is neither true nor false");
    check_error(&["--name="], "--name: it is empty; give a name, or leave it out");
}

#[test]
fn an_argument_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let arg = OsString::from_vec(b"--name=\xff".to_vec());
    let error = Config::parse([arg].into_iter(), []).unwrap_err();
    assert_eq!(error.to_string(), "the argument \"--name=\u{fffd}\" is not UTF-8; write it in UTF-8");
    let env = (OsString::from("ETCD_NAME"), OsString::from_vec(vec![0xff]));
    let error = Config::parse([].into_iter(), [env]).unwrap_err();
    assert_eq!(error.to_string(), "ETCD_NAME: its value is not UTF-8; set it again, or unset it");
}

#[test]
fn addresses_are_listened_on() {
    let client = |config: &Config| urls(&config.listen_client);
    let list = "http://127.0.0.1:0, http://[::1]:2379,unix:///run/w.sock,http://127.0.0.1:0";
    let expected = ["http://127.0.0.1:0", "http://[::1]:2379", "unix:///run/w.sock"].map(str::to_owned);
    check(&["--listen-client-urls", list], client, expected.to_vec());
    check(
        &["--listen-metrics-urls=http://127.0.0.1:2381"],
        |config| urls(&config.listen_metrics),
        vec!["http://127.0.0.1:2381".to_owned()],
    );
    check(
        &["--advertise-client-urls=http://db.example:2379"],
        |config| config.settings.advertise_client_urls.clone(),
        vec!["http://db.example:2379".to_owned()],
    );
    check(
        &["--listen-client-urls=http://127.0.0.1:1", "--listen-client-http-urls=http://127.0.0.1:2"],
        client,
        vec!["http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned()],
    );
    check_error(
        &["--listen-client-urls=http://127.0.0.1:1", "--listen-metrics-urls=http://127.0.0.1:1"],
        "--listen-metrics-urls: http://127.0.0.1:1 is one of --listen-client-urls, which serve metrics too; give \
         another, or leave it out",
    );
    check_error(
        &["--listen-client-urls=http://127.0.0.1"],
        "--listen-client-urls: \"http://127.0.0.1\" has no port; write it as http://127.0.0.1:2379",
    );
}

#[test]
fn the_store_is_set() {
    let compaction = |config: &Config| config.settings.store.compaction;
    let hours = |hours: u64| CompactionPolicy::KeepFor(Duration::from_secs(hours * 3600));
    check(&["--auto-compaction-retention=5"], compaction, hours(5));
    check(
        &["--auto-compaction-retention=5m"],
        compaction,
        CompactionPolicy::KeepFor(Duration::from_secs(300)),
    );
    check(&["--auto-compaction-retention=0"], compaction, CompactionPolicy::Manual);
    check(&["--auto-compaction-retention=0s"], compaction, CompactionPolicy::Manual);
    check(
        &["--auto-compaction-mode=revision", "--auto-compaction-retention=1000"],
        compaction,
        CompactionPolicy::KeepRevisions(1000),
    );
    let quota = |config: &Config| config.settings.store.quota_bytes;
    check(&["--quota-backend-bytes=0"], quota, 8 << 30);
    check(&["--quota-backend-bytes=1000"], quota, 1000);
    check(&["--quota-backend-bytes=-1"], quota, u64::MAX);
    let durability = |config: &Config| config.settings.store.durability;
    check(&[], durability, Durability::Synced);
    check(&["--durability=relaxed"], durability, Durability::Relaxed);
    check(&["--unsafe-no-fsync"], durability, Durability::Unsynced);
    check(&["--unsafe-no-fsync", "--durability=unsynced"], durability, Durability::Unsynced);
    let progress = |config: &Config| config.settings.store.progress_interval;
    check(&["--experimental-watch-progress-notify-interval=5s"], progress, Duration::from_secs(5));
    check(&["--watch-progress-notify-interval=0"], progress, Duration::from_secs(600));
    let outbox =
        |config: &Config| (config.settings.store.outbox_bytes_max, config.settings.store.chunk_bytes_max);
    check(&["--outbox-bytes=65536"], outbox, (65_536, 32_768));
}

#[test]
fn what_the_store_cannot_be_is_refused() {
    check_error(
        &["--auto-compaction-mode=daily"],
        "--auto-compaction-mode: \"daily\" is neither periodic nor revision",
    );
    check_error(
        &["--auto-compaction-mode=revision", "--auto-compaction-retention=5m"],
        "--auto-compaction-retention: \"5m\" is not a number of revisions; for a duration choose \
         --auto-compaction-mode=periodic",
    );
    check_error(
        &["--auto-compaction-retention=soon"],
        "--auto-compaction-retention: \"soon\" is not a duration; write it as 300ms, 10s, 5m or 1h30m",
    );
    check_error(
        &["--auto-compaction-retention=99999999999"],
        "--auto-compaction-retention: \"99999999999\" is not a duration; write it as 300ms, 10s, 5m or 1h30m",
    );
    check_error(
        &["--quota-backend-bytes=8G"],
        "--quota-backend-bytes: \"8G\" is not a whole number from -9223372036854775808 to 9223372036854775807",
    );
    check_error(&["--durability=none"], "--durability: \"none\" is none of synced, relaxed and unsynced");
    check_error(
        &["--unsafe-no-fsync", "--durability=synced"],
        "--unsafe-no-fsync: it asks for --durability=unsynced, and --durability says otherwise; leave one of them out",
    );
    check_error(
        &["--outbox-bytes=1"],
        "--outbox-bytes: \"1\" is not a whole number from 65536 to 1073741824",
    );
}

#[test]
fn limits_and_times_are_set() {
    let limits = |config: &Config| {
        let limits = &config.settings.limits;
        (limits.txn_ops_max, limits.request_bytes_max, limits.concurrent_streams_max)
    };
    check(
        &["--max-txn-ops=10000", "--max-request-bytes=100", "--max-concurrent-streams=7"],
        limits,
        (10_000, 100, 7),
    );
    let keepalive = |config: &Config| config.settings.keepalive.interval;
    check(&["--grpc-keepalive-interval=10s"], keepalive, Some(Duration::from_secs(10)));
    check(&["--grpc-keepalive-interval=0"], keepalive, None);
    check(&["--grpc-keepalive-timeout=0s"], keepalive, None);
    let timeout = |config: &Config| config.settings.keepalive.timeout;
    check(&["--grpc-keepalive-timeout=3s"], timeout, Duration::from_secs(3));
    // etcd's rule: ceil(3 * (election / heartbeat) / 2 * heartbeat).
    let ttl = |config: &Config| config.settings.lease_ttl_min_seconds;
    check(&["--election-timeout=5000"], ttl, 8);
    check(&["--heartbeat-interval=10", "--election-timeout=50"], ttl, 1);
    check(&["--heartbeat-interval=300", "--election-timeout=1600"], ttl, 3);
    let slow = |config: &Config| config.settings.slow_request;
    check(&["--warning-apply-duration=50ms"], slow, Duration::from_millis(50));
    check(&["--experimental-warning-apply-duration=1s"], slow, Duration::from_secs(1));
    check(
        &["--warning-apply-duration=1s", "--warning-unary-request-duration=200ms"],
        slow,
        Duration::from_millis(200),
    );
    check_error(&["--max-txn-ops=0"], "--max-txn-ops: \"0\" is not a whole number from 1 to 1048576");
    check_error(
        &["--grpc-keepalive-interval=10"],
        "--grpc-keepalive-interval: \"10\" is not a duration; write it as 300ms, 10s, 5m or 1h30m",
    );
    check_error(
        &["--heartbeat-interval=0"],
        "--heartbeat-interval: \"0\" is not a whole number from 1 to 50000",
    );
    check_error(
        &["--heartbeat-interval=300"],
        "--election-timeout: 1000 ms is less than five times --heartbeat-interval (300 ms); raise it",
    );
}

#[test]
fn tls_is_made_of_files() {
    let https = "--listen-client-urls=https://10.0.0.1:2379";
    let config = config(&[
        https,
        "--cert-file=a.crt",
        "--key-file=a.key",
        "--trusted-ca-file=ca.crt",
        "--client-cert-auth",
        "--client-crl-file=crl.pem",
        "--client-cert-allowed-hostname=a.example,b.example",
        "--tls-min-version=TLS1.2",
        "--tls-max-version=TLS1.3",
        "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    ]);
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate, Certificate::Files { cert: "a.crt".into(), key: "a.key".into() });
    let clients = ClientCertificates {
        ca: "ca.crt".into(),
        crl: Some("crl.pem".into()),
        hostnames: vec!["a.example".to_owned(), "b.example".to_owned()],
    };
    assert_eq!(tls.clients, Some(clients));
    assert_eq!((tls.version_min, tls.version_max), (TlsVersion::Tls12, Some(TlsVersion::Tls13)));
    assert_eq!(tls.cipher_suites.len(), 2);
}

#[test]
fn a_certificate_can_be_made() {
    let args = ["--data-dir=/d", "--listen-client-urls=https://10.0.0.1:2379", "--auto-tls"];
    let advertise = "--advertise-client-urls=https://db.example:2379";
    let config = config(&[&args[..], &[advertise, "--self-signed-cert-validity=3"]].concat());
    let expected = Certificate::Generated {
        dir: PathBuf::from("/d/fixtures/client"),
        validity_years: 3,
        hosts: vec!["10.0.0.1".to_owned(), "db.example".to_owned()],
    };
    assert_eq!(config.tls.unwrap().certificate, expected);
}

#[test]
fn tls_that_cannot_be_is_refused() {
    let https = "--listen-client-urls=https://10.0.0.1:2379";
    check_error(
        &[https],
        "https://10.0.0.1:2379 asks for TLS, and there is no certificate; give --cert-file and --key-file, or --auto-tls",
    );
    check_error(&[https, "--cert-file=a"], "--cert-file: its key is missing; give --key-file too");
    check_error(&[https, "--key-file=a"], "--key-file: its certificate is missing; give --cert-file too");
    let needs_ca = |what: &str| {
        format!("{what}: it needs to know who signs clients' certificates; give --trusted-ca-file too")
    };
    check_error(&[https, "--auto-tls", "--client-cert-auth"], &needs_ca("--client-cert-auth"));
    check_error(&[https, "--auto-tls", "--client-crl-file=a"], &needs_ca("--client-crl-file"));
    check_error(
        &[https, "--auto-tls", "--client-cert-allowed-hostname=a"],
        &needs_ca("--client-cert-allowed-hostname"),
    );
    check_error(&["--tls-min-version=SSL3"], "--tls-min-version: \"SSL3\" is neither TLS1.2 nor TLS1.3");
    check_error(
        &[https, "--auto-tls", "--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
        "--tls-max-version: TLS1.2 is older than --tls-min-version (TLS1.3); raise it, or leave it out",
    );
    check_error(
        &[https, "--auto-tls", "--tls-min-version=TLS1.3", "--cipher-suites=TLS_AES_128_GCM_SHA256"],
        "--cipher-suites: those of TLS 1.3 cannot be chosen, and --tls-min-version asks for it; leave one of them out",
    );
    let error = parse(&["--cipher-suites=TLS_RSA_WITH_RC4_128_SHA"], &[]).unwrap_err().to_string();
    let start = "--cipher-suites: \"TLS_RSA_WITH_RC4_128_SHA\" is not offered; choose from TLS_ECDHE_";
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn tls_without_an_effect_is_said() {
    check_notices(
        &["--auto-tls"],
        &[],
        &[
            "the flags for TLS have no effect: no address begins with https; write https:// in --listen-client-urls",
        ],
    );
    check_notices(
        &[
            "--listen-client-urls=https://127.0.0.1:1,http://127.0.0.1:2",
            "--auto-tls",
            "--cert-file=a",
            "--key-file=b",
            "--trusted-ca-file=c",
        ],
        &[],
        &[
            "http://127.0.0.1:2 is served without TLS, and asks for no client certificate",
            "--auto-tls has no effect: --cert-file is given",
        ],
    );
}

#[test]
fn the_log_is_set() {
    let log = |config: &Config| (config.log.level, config.log.format, config.log.outputs.clone());
    check(&[], log, (LogLevel::Info, LogFormat::Console, vec![LogOutput::Stderr]));
    check(
        &["--log-level=fatal", "--log-format=json", "--log-outputs=stdout,/var/log/w.log"],
        log,
        (LogLevel::Error, LogFormat::Json, vec![LogOutput::Stdout, LogOutput::File("/var/log/w.log".into())]),
    );
    check(&["--debug", "--log-level=warn"], |config| config.log.level, LogLevel::Debug);
    check_error(
        &["--log-level=loud"],
        "--log-level: \"loud\" is none of debug, info, warn, error, panic and fatal",
    );
    check_error(&["--log-format=xml"], "--log-format: \"xml\" is neither console nor json");
    check_error(&["--metrics=all"], "--metrics: \"all\" is neither basic nor extensive");
}

#[test]
fn flags_for_peers_are_accepted_and_said() {
    check_notices(
        &[
            "--name=a",
            "--initial-cluster=a=http://10.0.0.1:2380,a=http://10.0.0.2:2380",
            "--listen-peer-urls=http://10.0.0.1:2380",
            "--pre-vote=false",
            "--snapshot-count=10000",
        ],
        &[],
        &[
            "--initial-cluster, --listen-peer-urls, --pre-vote have no effect: there is one member, and it has no peers",
            "--snapshot-count has no effect: the store has one file and no log beside it",
        ],
    );
    check_notices(&["--proxy=off", "--auth-token=simple", "--cors=*", "--discovery="], &[], &[]);
}

#[test]
fn what_is_not_there_is_refused() {
    check_error(
        &["--initial-cluster=a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,c=http://10.0.0.3:2380"],
        "--initial-cluster: it names several members (a, b, …), and this server is a cluster of one that replicates \
         nothing; name one member, or run etcd where data must outlive a machine",
    );
    check_error(&["--initial-cluster=a"], "--initial-cluster: \"a\" is not a member; write it as NAME=URL");
    let alone = "this server is a cluster of one and finds no other members; leave it out";
    for flag in ["discovery", "discovery-token", "discovery-endpoints", "discovery-srv"] {
        check_error(&[&format!("--{flag}=x")], &format!("--{flag}: {alone}"));
    }
    check_error(&["--proxy=on"], "--proxy: there is no proxy here; clients reach the one server themselves");
    check_error(&["--enable-v2"], "--enable-v2: etcd's v2 API is not served; clients must speak v3");
    check_error(
        &["--cors=http://a.example"],
        "--cors: origins are not looked at; put a proxy in front that looks at them",
    );
    check_error(
        &["--host-whitelist=a.example"],
        "--host-whitelist: host names are not looked at; listen on a loopback address, or ask for client certificates",
    );
    check_error(
        &["--enable-grpc-gateway=false"],
        "--enable-grpc-gateway: JSON under /v3 is always served, under the same rules as gRPC",
    );
}

#[test]
fn variables_are_read_and_flags_go_first() {
    let config =
        config_with(&["--name=flag"], &[("ETCD_DATA_DIR", "/d"), ("ETCD_NAME", "variable"), ("HOME", "/")]);
    assert_eq!((config.settings.name.as_str(), config.settings.data_dir.to_str()), ("flag", Some("/d")));
    assert_eq!(config.notices, ["ETCD_NAME has no effect: --name is given too, and a flag goes first"]);
    let unknown = |name: &str| format!("{name} is set, but there is no such setting, and it has no effect");
    check_notices(
        &[],
        &[("ETCD_NAMES", "a"), ("ETCDCTL_API", "3"), ("ETCD_PROXY", "")],
        &[&unknown("ETCD_NAMES")],
    );
    check_notices(&[], &[("ETCD_VERSION", "3")], &[&unknown("ETCD_VERSION")]);
    let experimental = [("ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL", "5s")];
    assert_eq!(config_with(&[], &experimental).settings.store.progress_interval, Duration::from_secs(5));
    check_error_with(
        &[],
        &[("ETCD_MAX_TXN_OPS", "many")],
        "ETCD_MAX_TXN_OPS: \"many\" is not a whole number from 1 to 1048576",
    );
}

#[test]
fn a_file_holds_all_settings() {
    let (_folder, path) = file(
        "# etcd's own layout\n\
         name: 'a'\n\
         data-dir: /d\n\
         listen-client-urls: https://127.0.0.1:2379,https://10.0.0.1:2379\n\
         max-txn-ops: 1000\n\
         grpc-keepalive-interval: 10000000000\n\
         watch-progress-notify-interval: 5s\n\
         auto-compaction-retention: 1\n\
         cipher-suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n\
         log-outputs: [stderr]\n\
         discovery:\n\
         initial-cluster: a=http://127.0.0.1:2380\n\
         client-transport-security:\n  cert-file: c\n  key-file: k\n  client-cert-auth: true\n  trusted-ca-file: ca\n\
         peer-transport-security:\n  cert-file: c\n",
    );
    let config = config(&["--config-file", &path]);
    assert_eq!((config.settings.name.as_str(), config.settings.limits.txn_ops_max), ("a", 1000));
    assert_eq!(config.settings.keepalive.interval, Some(Duration::from_secs(10)));
    assert_eq!(config.settings.store.progress_interval, Duration::from_secs(5));
    assert_eq!(config.settings.store.compaction, CompactionPolicy::KeepFor(Duration::from_secs(3600)));
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate, Certificate::Files { cert: "c".into(), key: "k".into() });
    assert_eq!((tls.clients.unwrap().ca, tls.cipher_suites.len()), (PathBuf::from("ca"), 1));
    let peers = "--initial-cluster, --peer-transport-security have no effect: there is one member, and it has no peers";
    assert_eq!(config.notices, [peers]);
}

#[test]
fn with_a_file_nothing_else_holds() {
    let (_folder, path) = file("name: file\n");
    let env = [("ETCD_CONFIG_FILE", path.as_str()), ("ETCD_DATA_DIR", "/d")];
    let config = config_with(&["--max-txn-ops=1"], &env);
    assert_eq!((config.settings.name.as_str(), config.settings.limits.txn_ops_max), ("file", 128));
    assert_eq!(config.settings.data_dir, Path::new("file.watchful"));
    let notice = format!("only {path} is read, and these have no effect: --max-txn-ops, ETCD_DATA_DIR");
    assert_eq!(config.notices, [notice]);
}

#[track_caller]
fn check_file_error(text: &str, expected: &str) {
    let (_folder, path) = file(text);
    check_error(&["--config-file", &path], &expected.replace("FILE", &path));
}

#[test]
fn a_wrong_file_says_the_line() {
    check_file_error(
        "name: a\nmax-txn-opps: 1\n",
        "FILE, line 2: max-txn-opps: there is no flag --max-txn-opps; did you mean --max-txn-ops?",
    );
    check_file_error(
        "name: a\nmax-txn-ops: x\n",
        "FILE, line 2: max-txn-ops: \"x\" is not a whole number from 1 to 1048576",
    );
    check_file_error("version: true\n", "FILE, line 1: version: it is for the command line; take it out");
    check_file_error("name: {a: b}\n", "FILE, line 1: name: give one value, or a list of them");
    check_file_error(
        "client-transport-security:\n  allowed-cn: [a]\n",
        "FILE, line 2: allowed-cn: client-transport-security has no such key; take it out",
    );
    check_file_error("client-transport-security: 1\n", "FILE, line 1: settings: write `name: value` lines");
    check_file_error(
        "discovery-config: {}\n",
        "FILE, line 1: discovery-config: this server is a cluster of one; leave it out",
    );
    check_file_error("[a]: b\n", "FILE, line 1: settings: a key must be a flag's name");
    check_file_error("", "FILE: it is empty; write one list of `name: value` lines");
    check_file_error(
        "name: a\n---\nname: b\n",
        "FILE: it has several documents; write one list of `name: value` lines",
    );
    check_error(
        &["--config-file=/nowhere/etcd.yaml"],
        "--config-file: cannot read /nowhere/etcd.yaml: No such file or directory (os error 2)",
    );
    let (_folder, path) = file("name: 'a\n");
    let error = parse(&["--config-file", &path], &[]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{path} is not YAML: ")), "{error}");
    let (_folder, path) = file("name: a\nname: b\n");
    let error = parse(&["--config-file", &path], &[]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{path} is not YAML: ")), "{error}");
    let large = format!("name: {}\n", "a".repeat(1 << 20));
    check_file_error(&large, "--config-file: FILE is larger than 1 MiB; is it the right file?");
}

#[test]
fn help_and_version_come_before_everything() {
    let Ok(Parsed::Help(help)) = parse(&["--max-txn-ops=x", "-h"], &[]) else { panic!("no help") };
    for flag in table::all() {
        assert!(help.contains(&format!("--{}", flag.name)), "--{} is not in the help", flag.name);
    }
    assert!(help.lines().all(|line| line.chars().count() <= 110), "a line is too long");
    let Ok(Parsed::Version(version)) = parse(&["--version"], &[]) else { panic!("no version") };
    assert!(version.starts_with("watchful Version: 0."), "{version}");
    assert!(version.contains(&format!("\netcd Version: {ETCD_VERSION}")), "{version}");
}

/// The page for operators shows the same table. `WATCHFUL_BLESS=1` writes it there.
#[test]
fn the_page_for_operators_has_the_table() {
    const BEGIN: &str = "<!-- flags: begin (made from the table of flags; WATCHFUL_BLESS=1 cargo test -p watchful-server) -->\n";
    const END: &str = "<!-- flags: end -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/OPERATIONS.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the mark of the beginning");
    let (table, after) = rest.split_once(END).expect("the page has the mark of the end");
    let expected = format!("\n{}", help::markdown());
    if std::env::var_os("WATCHFUL_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert_eq!(table, expected, "docs/OPERATIONS.md is old; WATCHFUL_BLESS=1 writes it");
    }
}
