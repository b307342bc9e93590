//! The flags that do something.

use super::draft::Draft;
use super::table::{
    Flag,
    Section::{self, Limits, Logging, Member, Security, Store},
    Takes::{self, Duration, Switch, Value},
};
use super::value::{self, Wrong};

const fn set(
    section: Section,
    name: &'static str,
    takes: Takes,
    default: &'static str,
    help: &'static str,
    set: fn(&mut Draft, &str) -> Result<(), Wrong>,
) -> Flag {
    Flag::set(section, name, takes, default, help, set)
}

#[rustfmt::skip]
pub(crate) static FLAGS: &[Flag] = &[
    Flag::first("help", Switch, "Print this text."),
    Flag::first("version", Switch, "Print the version."),
    Flag::first("config-file", Value("FILE"),
        "Take all settings from this YAML file: flags' names as keys, and etcd's own layout. Other flags and all \
         variables then have no effect, as in etcd."),
    set(Member, "name", Value("NAME"), "default", "The member's name, for people.",
        |draft, text| { text.clone_into(&mut draft.settings.name); Ok(()) }),
    set(Member, "data-dir", Value("FOLDER"), "NAME.watchful", "The folder that holds everything.",
        |draft, text| { draft.data_dir = (!text.is_empty()).then(|| text.into()); Ok(()) }),
    set(Member, "listen-client-urls", Value("URL,…"), "http://localhost:2379",
        "Where clients are served: http, https, unix or unixs. Port 0 takes a free one.",
        |draft, text| Draft::urls(&mut draft.listen_client, text)),
    set(Member, "listen-client-http-urls", Value("URL,…"), "",
        "Further addresses for clients. Every address serves gRPC, JSON and plain HTTP alike.",
        |draft, text| Draft::urls(&mut draft.listen_client_http, text)),
    set(Member, "advertise-client-urls", Value("URL,…"), "where it listens", "The addresses that clients are told to use.",
        Draft::advertise),
    set(Member, "heartbeat-interval", Value("MS"), "100",
        "Milliseconds. Only for the shortest lease: half as long again as the election timeout, in whole seconds.",
        |draft, text| { draft.heartbeat_ms = value::number(text, 1, 50_000)?; Ok(()) }),
    set(Member, "election-timeout", Value("MS"), "1000",
        "Milliseconds, 5 heartbeats at least. Only for the shortest lease: 2 s with these defaults, as in etcd.",
        |draft, text| { draft.election_ms = value::number(text, 1, 50_000)?; Ok(()) }),

    set(Store, "durability", Value("MODE"), "synced",
        "When a write is answered. synced: it is on the disk. relaxed: a power failure may take the last writes. \
         unsynced: a power failure may take the store.",
        Draft::durability),
    set(Store, "unsafe-no-fsync", Switch, "false", "The same as --durability=unsynced.",
        |draft, text| { draft.no_fsync = value::boolean(text)?; Ok(()) }),
    set(Store, "quota-backend-bytes", Value("BYTES"), "0",
        "How much may be in use before writes are refused with NOSPACE. 0: 8 GiB (etcd: 2 GiB). Negative: no quota.",
        Draft::quota),
    set(Store, "auto-compaction-mode", Value("MODE"), "periodic",
        "What --auto-compaction-retention counts: periodic (time) or revision.",
        Draft::compaction_mode),
    set(Store, "auto-compaction-retention", Value("AMOUNT"), "0",
        "How much history is kept: a duration (5m; a bare number is hours) or a number of revisions. 0: all of it.",
        |draft, text| { text.trim().clone_into(&mut draft.retention); Ok(()) }),
    set(Store, "watch-progress-notify-interval", Duration, "10m",
        "How often quiet watches that asked for it hear how far they are.",
        |draft, text| {
            // Zero is etcd's way to say the default.
            match value::duration(text)? {
                interval if interval.is_zero() => {}
                interval => draft.settings.store.progress_interval = interval,
            }
            Ok(())
        }).experimental(),
    set(Store, "outbox-bytes", Value("BYTES"), "1048576",
        "The most that is queued for one watch stream whose client does not read. History is read in halves of it.",
        |draft, text| {
            let bytes = value::number(text, 64 << 10, 1 << 30)?;
            draft.settings.store.outbox_bytes_max = bytes;
            draft.settings.store.chunk_bytes_max = bytes / 2;
            Ok(())
        }),

    set(Limits, "max-txn-ops", Value("COUNT"), "128", "The most operations of a transaction.",
        |draft, text| { draft.settings.limits.txn_ops_max = value::number(text, 1, 1 << 20)?; Ok(()) }),
    set(Limits, "max-request-bytes", Value("BYTES"), "1572864", "The most bytes of a request. 1 GiB at most.",
        |draft, text| { draft.settings.limits.request_bytes_max = value::number(text, 1, 1 << 30)?; Ok(()) }),
    set(Limits, "max-concurrent-streams", Value("COUNT"), "4294967295", "The most calls at once on one connection.",
        |draft, text| { draft.settings.limits.concurrent_streams_max = value::number(text, 1, u32::MAX)?; Ok(()) }),
    set(Limits, "grpc-keepalive-interval", Duration, "2h",
        "How long a connection may be quiet before it is asked whether it is still there. 0: never.",
        |draft, text| { draft.keepalive_interval = value::duration(text)?; Ok(()) }),
    set(Limits, "grpc-keepalive-timeout", Duration, "20s", "How long to wait for that answer. 0: it is not asked.",
        |draft, text| { draft.settings.keepalive.timeout = value::duration(text)?; Ok(()) }),

    set(Security, "cert-file", Value("FILE"), "", "The server's certificate and its chain, PEM. Read again when it changes.",
        |draft, text| Draft::path(&mut draft.tls.cert, text)),
    set(Security, "key-file", Value("FILE"), "", "The key of the certificate, PEM: PKCS#8, PKCS#1 or SEC1.",
        |draft, text| Draft::path(&mut draft.tls.key, text)),
    set(Security, "trusted-ca-file", Value("FILE"), "",
        "Who signs clients' certificates, PEM. Clients then must show one, as in etcd.",
        |draft, text| Draft::path(&mut draft.tls.client_ca, text)),
    set(Security, "client-cert-auth", Switch, "false",
        "Clients must show a certificate, whose common name is the user of who shows no token. It needs \
         --trusted-ca-file.",
        Draft::client_cert_auth),
    set(Security, "client-crl-file", Value("FILE"), "", "Clients' certificates that were revoked, PEM or DER.",
        |draft, text| Draft::path(&mut draft.tls.client_crl, text)),
    set(Security, "client-cert-allowed-hostname", Value("NAME,…"), "",
        "Clients' certificates must be for one of these names.",
        |draft, text| { draft.tls.client_hostnames = Draft::words(text); Ok(()) }),
    set(Security, "auto-tls", Switch, "false",
        "Make a certificate where none is given, and keep it in the folder's fixtures/client.",
        |draft, text| { draft.tls.auto = value::boolean(text)?; Ok(()) }),
    set(Security, "self-signed-cert-validity", Value("YEARS"), "1", "How long a certificate of --auto-tls is valid.",
        |draft, text| { draft.tls.validity_years = value::number(text, 1, 100)?; Ok(()) }),
    set(Security, "tls-min-version", Value("VERSION"), "TLS1.2", "TLS1.2 or TLS1.3.",
        |draft, text| Draft::tls_version(&mut draft.tls.version_min, text)),
    set(Security, "tls-max-version", Value("VERSION"), "", "TLS1.2 or TLS1.3; the newest where it is not given.",
        |draft, text| Draft::tls_version(&mut draft.tls.version_max, text)),
    set(Security, "cipher-suites", Value("NAME,…"), "", "The cipher suites of TLS 1.2, by their IANA names. All good ones by default.",
        Draft::cipher_suites),

    set(Security, "auth-token", Value("KIND,…"), "simple",
        "What tokens are: simple, or jwt with sign-method=RS256 (or HS…, PS…, ES256, ES384, EdDSA), priv-key=FILE, \
         pub-key=FILE and ttl=5m. Empty: none are issued.",
        |draft, text| { draft.settings.auth.tokens = text.trim().parse()?; Ok(()) }),
    set(Security, "auth-token-ttl", Value("SECONDS"), "300", "How long a simple token lives after its last use. 0: 300.",
        Draft::simple_token_ttl),
    set(Security, "bcrypt-cost", Value("COST"), "10",
        "How much work a password's hash is, 4 to 16: one more is twice the work.",
        |draft, text| {
            let costs = crate::auth::BCRYPT_COST;
            draft.settings.auth.bcrypt_cost = value::number(text, *costs.start(), *costs.end())?;
            Ok(())
        }),

    set(Logging, "log-level", Value("LEVEL"), "info", "debug, info, warn or error (panic and fatal mean error).",
        |draft, text| { draft.log.level = text.parse()?; Ok(()) }),
    set(Logging, "log-format", Value("FORMAT"), "console", "console, for people, or json (etcd's default).",
        |draft, text| { draft.log.format = text.parse()?; Ok(()) }),
    set(Logging, "log-outputs", Value("WHERE,…"), "default", "stderr (the default), stdout, or files to append to.",
        Draft::log_outputs),
    set(Logging, "debug", Switch, "false", "The same as --log-level=debug; from older etcds.",
        |draft, text| { draft.debug = value::boolean(text)?; Ok(()) }),
    set(Logging, "warning-apply-duration", Duration, "100ms",
        "Requests that take longer are told in the log. Of this and the next, the smaller one holds.",
        |draft, text| { draft.slow_apply = Some(value::duration(text)?); Ok(()) }).experimental(),
    set(Logging, "warning-unary-request-duration", Duration, "",
        "The same, under etcd's other name: here a request is timed as a whole.",
        |draft, text| { draft.slow_unary = Some(value::duration(text)?); Ok(()) }).experimental(),
    set(Logging, "listen-metrics-urls", Value("URL,…"), "", "Further addresses that serve /metrics and /health only.",
        |draft, text| Draft::urls(&mut draft.listen_metrics, text)),
    set(Logging, "metrics", Value("DETAIL"), "basic", "basic or extensive; both show everything.",
        |_, text| match text {
            "basic" | "extensive" => Ok(()),
            _ => Err(format!("{text:?} is neither basic nor extensive")),
        }),
];
