//! The settings as a whole: what the flags mean together, and what cannot be together.

use std::path::PathBuf;
use std::time::Duration;

use watchful::{CompactionPolicy, Durability};

use super::draft::{CompactionMode, Draft, TlsDraft};
use super::error::ConfigError;
use super::{Config, value};
use crate::listen::ListenUrl;
use crate::log::LogLevel;
use crate::tls::{Certificate, ClientCertificates, TlsSettings};

const DEFAULT_CLIENT_URL: &str = "http://localhost:2379";

impl Draft {
    /// The settings that the flags make together.
    pub(crate) fn finish(mut self) -> Result<Config, ConfigError> {
        if self.settings.name.is_empty() {
            return Err(ConfigError::of("--name", "it is empty; give a name, or leave it out"));
        }
        self.settings.data_dir =
            self.data_dir.take().unwrap_or_else(|| PathBuf::from(format!("{}.watchful", self.settings.name)));
        self.finish_listening()?;
        self.finish_store()?;
        self.finish_times()?;
        let tls = self.finish_tls()?;
        if self.debug {
            self.log.level = LogLevel::Debug;
        }
        self.say_inert();
        Ok(Config {
            settings: self.settings,
            listen_client: self.listen_client,
            listen_metrics: self.listen_metrics,
            tls,
            log: self.log,
            notices: self.notices,
        })
    }

    fn finish_listening(&mut self) -> Result<(), ConfigError> {
        if self.listen_client.is_empty() {
            let default = DEFAULT_CLIENT_URL.parse::<ListenUrl>();
            self.listen_client.push(default.map_err(|wrong| ConfigError::of(DEFAULT_CLIENT_URL, wrong))?);
        }
        if !self.listen_client_http.is_empty() {
            self.notices.push(
                "--listen-client-http-urls adds to --listen-client-urls: each of them serves gRPC and HTTP"
                    .to_owned(),
            );
        }
        for url in self.listen_client_http.drain(..) {
            if !self.listen_client.contains(&url) {
                self.listen_client.push(url);
            }
        }
        match self.listen_metrics.iter().find(|url| url.port() != Some(0) && self.listen_client.contains(url))
        {
            Some(url) => Err(ConfigError::of(
                "--listen-metrics-urls",
                format!(
                    "{url} is one of --listen-client-urls, which serve metrics too; give another, or leave it out"
                ),
            )),
            None => Ok(()),
        }
    }

    fn finish_store(&mut self) -> Result<(), ConfigError> {
        self.settings.store.durability = match (self.durability, self.no_fsync) {
            (None | Some(Durability::Unsynced), true) => Durability::Unsynced,
            (Some(_), true) => {
                return Err(ConfigError::of(
                    "--unsafe-no-fsync",
                    "it asks for --durability=unsynced, and --durability says otherwise; leave one of them out",
                ));
            }
            (durability, false) => durability.unwrap_or_default(),
        };
        self.settings.store.compaction = retention(self.compaction, &self.retention)
            .map_err(|wrong| ConfigError::of("--auto-compaction-retention", wrong))?;
        Ok(())
    }

    fn finish_times(&mut self) -> Result<(), ConfigError> {
        let (heartbeat, election) = (self.heartbeat_ms, self.election_ms);
        if election < 5 * heartbeat {
            return Err(ConfigError::of(
                "--election-timeout",
                format!(
                    "{election} ms is less than five times --heartbeat-interval ({heartbeat} ms); raise it"
                ),
            ));
        }
        self.settings.lease_ttl_min_seconds = lease_ttl_min_seconds(heartbeat, election);
        // Either of them off means off, as in etcd.
        let keepalive = &mut self.settings.keepalive;
        let is_on = !self.keepalive_interval.is_zero() && !keepalive.timeout.is_zero();
        keepalive.interval = is_on.then_some(self.keepalive_interval);
        if let Some(slow) = [self.slow_apply, self.slow_unary].into_iter().flatten().min() {
            self.settings.slow_request = slow;
        }
        Ok(())
    }

    /// Where an address asks for TLS, what it is made of. Where none does, that the flags for it do nothing.
    fn finish_tls(&mut self) -> Result<Option<TlsSettings>, ConfigError> {
        let tls = std::mem::take(&mut self.tls);
        let addresses = || self.listen_client.iter().chain(&self.listen_metrics);
        let Some(secure) = addresses().find(|url| url.is_tls()) else {
            if tls.is_asked_for() {
                self.notices.push(
                    "the flags for TLS have no effect: no address begins with https; write https:// in \
                     --listen-client-urls"
                        .to_owned(),
                );
            }
            return Ok(None);
        };
        let certificate = self.certificate(&tls, secure)?;
        let clients = clients(&tls)?;
        if clients.is_some()
            && let Some(open) = addresses().find(|url| !url.is_tls() && url.port().is_some())
        {
            self.notices.push(format!("{open} is served without TLS, and asks for no client certificate"));
        }
        if tls.auto && tls.cert.is_some() {
            self.notices.push("--auto-tls has no effect: --cert-file is given".to_owned());
        }
        versions(&tls)?;
        Ok(Some(TlsSettings {
            certificate,
            clients,
            version_min: tls.version_min.unwrap_or_default(),
            version_max: tls.version_max,
            cipher_suites: tls.cipher_suites,
        }))
    }

    fn certificate(&self, tls: &TlsDraft, secure: &ListenUrl) -> Result<Certificate, ConfigError> {
        let wrong = |what: &str, wrong: &str| Err(ConfigError::of(what, wrong));
        match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => Ok(Certificate::Files { cert: cert.clone(), key: key.clone() }),
            (Some(_), None) => wrong("--cert-file", "its key is missing; give --key-file too"),
            (None, Some(_)) => wrong("--key-file", "its certificate is missing; give --cert-file too"),
            (None, None) if tls.auto => Ok(Certificate::Generated {
                dir: self.settings.data_dir.join("fixtures").join("client"),
                validity_years: tls.validity_years,
                hosts: self.hosts(),
            }),
            (None, None) => Err(ConfigError(format!(
                "{secure} asks for TLS, and there is no certificate; give --cert-file and --key-file, or --auto-tls"
            ))),
        }
    }

    /// The hosts that a certificate made here is for.
    fn hosts(&self) -> Vec<String> {
        let advertised = self.settings.advertise_client_urls.iter().filter_map(|url| url.parse().ok());
        let urls = self.listen_client.iter().chain(&self.listen_metrics).cloned().chain(advertised);
        let mut hosts: Vec<String> =
            urls.filter_map(|url: ListenUrl| url.host().map(str::to_owned)).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// One line for each reason why flags that were given have no effect.
    fn say_inert(&mut self) {
        for (why, names) in std::mem::take(&mut self.inert) {
            let names: Vec<String> = names.iter().map(|name| format!("--{name}")).collect();
            let (names, verb) = (names.join(", "), if names.len() == 1 { "has" } else { "have" });
            self.notices.push(format!("{names} {verb} no effect: {}", why.sentence()));
        }
    }
}

impl TlsDraft {
    fn is_asked_for(&self) -> bool {
        self.auto
            || self.client_cert_auth
            || [&self.cert, &self.key, &self.client_ca].iter().any(|path| path.is_some())
    }
}

/// Who may connect; none where anybody may.
fn clients(tls: &TlsDraft) -> Result<Option<ClientCertificates>, ConfigError> {
    let needs_ca = |what: &str| {
        Err(ConfigError::of(
            what,
            "it needs to know who signs clients' certificates; give --trusted-ca-file too",
        ))
    };
    match &tls.client_ca {
        Some(ca) => Ok(Some(ClientCertificates {
            ca: ca.clone(),
            crl: tls.client_crl.clone(),
            hostnames: tls.client_hostnames.clone(),
        })),
        None if tls.client_cert_auth => needs_ca("--client-cert-auth"),
        None if tls.client_crl.is_some() => needs_ca("--client-crl-file"),
        None if !tls.client_hostnames.is_empty() => needs_ca("--client-cert-allowed-hostname"),
        None => Ok(None),
    }
}

fn versions(tls: &TlsDraft) -> Result<(), ConfigError> {
    let least = tls.version_min.unwrap_or_default();
    if let Some(most) = tls.version_max.filter(|most| *most < least) {
        return Err(ConfigError::of(
            "--tls-max-version",
            format!("{most} is older than --tls-min-version ({least}); raise it, or leave it out"),
        ));
    }
    if least == crate::tls::TlsVersion::Tls13 && !tls.cipher_suites.is_empty() {
        return Err(ConfigError::of(
            "--cipher-suites",
            "those of TLS 1.3 cannot be chosen, and --tls-min-version asks for it; leave one of them out",
        ));
    }
    Ok(())
}

/// etcd's rule for the shortest lease: half as long again as an election, rounded up to whole seconds.
fn lease_ttl_min_seconds(heartbeat_ms: u64, election_ms: u64) -> i64 {
    let ticks = election_ms / heartbeat_ms;
    let seconds = (3 * ticks / 2 * heartbeat_ms).div_ceil(1000);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn retention(mode: CompactionMode, text: &str) -> Result<CompactionPolicy, value::Wrong> {
    if text.is_empty() {
        return Ok(CompactionPolicy::Manual);
    }
    match (mode, text.parse::<u64>()) {
        (_, Ok(0)) => Ok(CompactionPolicy::Manual),
        (CompactionMode::Revision, Ok(revisions)) => Ok(CompactionPolicy::KeepRevisions(revisions)),
        (CompactionMode::Revision, Err(_)) => Err(format!(
            "{text:?} is not a number of revisions; for a duration choose --auto-compaction-mode=periodic"
        )),
        // A thousand years of hours are enough for anybody, and do not overflow.
        (CompactionMode::Periodic, Ok(hours)) if hours <= 8_760_000 => {
            Ok(CompactionPolicy::KeepFor(Duration::from_secs(hours * 3600)))
        }
        (CompactionMode::Periodic, _) => match value::duration(text)? {
            window if window.is_zero() => Ok(CompactionPolicy::Manual),
            window => Ok(CompactionPolicy::KeepFor(window)),
        },
    }
}
