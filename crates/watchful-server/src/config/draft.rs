//! Settings in the making: what the flags have set so far, before it is looked at as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use watchful::Durability;

use super::table::{Does, Flag, Why};
use super::value::{self, Wrong};
use crate::auth::AuthSettings;
use crate::listen::ListenUrl;
use crate::log::{LogOutput, LogSettings};
use crate::settings::ServerSettings;
use crate::tls::{self, TlsVersion};

/// What the flags have set so far.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) settings: ServerSettings,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) listen_client: Vec<ListenUrl>,
    pub(crate) listen_client_http: Vec<ListenUrl>,
    pub(crate) listen_metrics: Vec<ListenUrl>,
    pub(crate) heartbeat_ms: u64,
    pub(crate) election_ms: u64,
    pub(crate) durability: Option<Durability>,
    pub(crate) no_fsync: bool,
    pub(crate) compaction: CompactionMode,
    pub(crate) retention: String,
    pub(crate) keepalive_interval: Duration,
    pub(crate) slow_apply: Option<Duration>,
    pub(crate) slow_unary: Option<Duration>,
    pub(crate) tls: TlsDraft,
    pub(crate) log: LogSettings,
    pub(crate) debug: bool,
    /// The flags that were given and have no effect, by the reason.
    pub(crate) inert: BTreeMap<Why, Vec<&'static str>>,
    pub(crate) notices: Vec<String>,
}

/// What `--auto-compaction-retention` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompactionMode {
    Periodic,
    Revision,
}

/// What the flags say about TLS.
#[derive(Debug, Default)]
pub(crate) struct TlsDraft {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) client_cert_auth: bool,
    pub(crate) client_crl: Option<PathBuf>,
    pub(crate) client_hostnames: Vec<String>,
    pub(crate) auto: bool,
    pub(crate) validity_years: u32,
    pub(crate) version_min: Option<TlsVersion>,
    pub(crate) version_max: Option<TlsVersion>,
    pub(crate) cipher_suites: Vec<String>,
}

impl Draft {
    pub(crate) fn new() -> Self {
        let settings = ServerSettings::new("");
        Self {
            keepalive_interval: settings.keepalive.interval.unwrap_or_default(),
            settings,
            data_dir: None,
            listen_client: Vec::new(),
            listen_client_http: Vec::new(),
            listen_metrics: Vec::new(),
            heartbeat_ms: 100,
            election_ms: 1000,
            durability: None,
            no_fsync: false,
            compaction: CompactionMode::Periodic,
            retention: String::new(),
            slow_apply: None,
            slow_unary: None,
            tls: TlsDraft { validity_years: 1, ..TlsDraft::default() },
            log: LogSettings::default(),
            debug: false,
            inert: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    /// Does what `flag` does.
    pub(crate) fn set(&mut self, flag: &'static Flag, text: &str) -> Result<(), Wrong> {
        if flag.takes == super::table::Takes::Switch {
            value::boolean(text)?;
        }
        match flag.does {
            Does::Set(set) => set(self, text)?,
            Does::Nothing(why) => self.has_no_effect(why, flag.name),
            Does::Refuse { unless, why } if !unless.contains(&refusable(flag, text)?) => {
                return Err(why.to_owned());
            }
            Does::Refuse { .. } | Does::First => {}
        }
        Ok(())
    }

    pub(crate) fn has_no_effect(&mut self, why: Why, name: &'static str) {
        let names = self.inert.entry(why).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    pub(crate) fn urls(place: &mut Vec<ListenUrl>, text: &str) -> Result<(), Wrong> {
        let urls = value::list(text).into_iter().map(|url| url.parse().map_err(|wrong| format!("{wrong}")));
        *place = urls.collect::<Result<_, _>>()?;
        Ok(())
    }

    pub(crate) fn path(place: &mut Option<PathBuf>, text: &str) -> Result<(), Wrong> {
        *place = (!text.is_empty()).then(|| text.into());
        Ok(())
    }

    pub(crate) fn words(text: &str) -> Vec<String> {
        value::list(text).into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn advertise(&mut self, text: &str) -> Result<(), Wrong> {
        let mut urls = Vec::new();
        Self::urls(&mut urls, text)?;
        self.settings.advertise_client_urls = urls.iter().map(ToString::to_string).collect();
        Ok(())
    }

    pub(crate) fn durability(&mut self, text: &str) -> Result<(), Wrong> {
        self.durability = Some(match text {
            "synced" => Durability::Synced,
            "relaxed" => Durability::Relaxed,
            "unsynced" => Durability::Unsynced,
            _ => return Err(format!("{text:?} is none of synced, relaxed and unsynced")),
        });
        Ok(())
    }

    pub(crate) fn quota(&mut self, text: &str) -> Result<(), Wrong> {
        let bytes: i64 = value::number(text, i64::MIN, i64::MAX)?;
        self.settings.store.quota_bytes = match u64::try_from(bytes) {
            Ok(0) => watchful::Settings::default().quota_bytes,
            Ok(bytes) => bytes,
            Err(_) => u64::MAX,
        };
        Ok(())
    }

    pub(crate) fn compaction_mode(&mut self, text: &str) -> Result<(), Wrong> {
        self.compaction = match text {
            "periodic" => CompactionMode::Periodic,
            "revision" => CompactionMode::Revision,
            _ => return Err(format!("{text:?} is neither periodic nor revision")),
        };
        Ok(())
    }

    pub(crate) fn tls_version(place: &mut Option<TlsVersion>, text: &str) -> Result<(), Wrong> {
        *place = if text.is_empty() { None } else { Some(text.parse()?) };
        Ok(())
    }

    pub(crate) fn cipher_suites(&mut self, text: &str) -> Result<(), Wrong> {
        self.tls.cipher_suites = Self::words(text);
        tls::check_cipher_suites(&self.tls.cipher_suites)
    }

    /// It is about the connection, and about who a caller is.
    pub(crate) fn client_cert_auth(&mut self, text: &str) -> Result<(), Wrong> {
        self.tls.client_cert_auth = value::boolean(text)?;
        self.settings.auth.client_cert_auth = self.tls.client_cert_auth;
        Ok(())
    }

    pub(crate) fn simple_token_ttl(&mut self, text: &str) -> Result<(), Wrong> {
        let seconds = value::number(text, 0, u32::MAX)?;
        self.settings.auth.simple_token_ttl = match seconds {
            // As in etcd.
            0 => AuthSettings::default().simple_token_ttl,
            seconds => Duration::from_secs(seconds.into()),
        };
        Ok(())
    }

    pub(crate) fn log_outputs(&mut self, text: &str) -> Result<(), Wrong> {
        self.log.outputs = value::list(text).into_iter().map(LogOutput::named).collect();
        Ok(())
    }

    /// Accepts one member; several URLs of one member are one member.
    pub(crate) fn initial_cluster(&mut self, text: &str) -> Result<(), Wrong> {
        let mut names = Vec::new();
        for member in value::list(text) {
            let (name, _) = member
                .split_once('=')
                .ok_or_else(|| format!("{member:?} is not a member; write it as NAME=URL"))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if let [first, second, ..] = names[..] {
            return Err(format!(
                "it names several members ({first}, {second}{}), and this server is a cluster of one that replicates \
                 nothing; name one member, or run etcd where data must outlive a machine",
                if names.len() > 2 { ", …" } else { "" }
            ));
        }
        if !names.is_empty() {
            self.has_no_effect(Why::Cluster, "initial-cluster");
        }
        Ok(())
    }
}

/// What a flag that may be refused was given, in the form in which it is compared.
fn refusable<'t>(flag: &Flag, text: &'t str) -> Result<&'t str, Wrong> {
    Ok(match flag.takes {
        super::table::Takes::Switch if value::boolean(text)? => "true",
        super::table::Takes::Switch => "false",
        _ => text.trim(),
    })
}
