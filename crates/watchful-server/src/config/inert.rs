//! The flags of etcd that have nothing to do here. Those that are harmless are accepted, and it is said that they have no
//! effect. Those that ask for what is not there stop the program, because nobody should believe they have it.

use super::table::{
    Flag,
    Takes::{Duration, Switch, Value},
    Why::{Always, Cluster, Missing, Storage},
};

const TEXT: super::table::Takes = Value("…");

const fn inert(name: &'static str, takes: super::table::Takes, why: super::table::Why) -> Flag {
    Flag::inert(name, takes, why)
}

const CLUSTER_OF_ONE: &str = "this server is a cluster of one and finds no other members; leave it out";

const NO_PROXY: &str = "there is no proxy here; clients reach the one server themselves";

#[rustfmt::skip]
pub(crate) static INERT: &[Flag] = &[
    Flag::set(super::table::Section::Inert, "initial-cluster", Value("NAME=URL,…"), "",
        "One member is accepted, without an effect; several are refused: nothing is replicated here.",
        super::draft::Draft::initial_cluster),
    Flag::refused("discovery", TEXT, &[""], CLUSTER_OF_ONE),
    Flag::refused("discovery-token", TEXT, &[""], CLUSTER_OF_ONE),
    Flag::refused("discovery-endpoints", TEXT, &[""], CLUSTER_OF_ONE),
    Flag::refused("discovery-srv", TEXT, &[""], CLUSTER_OF_ONE),
    Flag::refused("proxy", TEXT, &["", "off"], NO_PROXY),
    Flag::refused("discovery-fallback", TEXT, &["", "exit"], NO_PROXY),
    Flag::refused("enable-v2", Switch, &["false"], "etcd's v2 API is not served; clients must speak v3"),
    Flag::refused("enable-v2v3", TEXT, &[""], "etcd's v2 API is not served; clients must speak v3").experimental(),
    Flag::refused("cors", TEXT, &["", "*"], "origins are not looked at; put a proxy in front that looks at them"),
    Flag::refused("host-whitelist", TEXT, &["", "*"],
        "host names are not looked at; listen on a loopback address, or ask for client certificates"),
    Flag::refused("enable-grpc-gateway", Switch, &["true"], "JSON under /v3 is always served, under the same rules as gRPC"),

    inert("initial-advertise-peer-urls", TEXT, Cluster),
    inert("initial-cluster-state", TEXT, Cluster),
    inert("initial-cluster-token", TEXT, Cluster),
    inert("listen-peer-urls", TEXT, Cluster),
    inert("initial-election-tick-advance", Switch, Cluster),
    inert("pre-vote", Switch, Cluster),
    inert("strict-reconfig-check", Switch, Cluster),
    inert("force-new-cluster", Switch, Cluster),
    inert("max-learners", TEXT, Cluster).experimental(),
    inert("raft-read-timeout", Duration, Cluster),
    inert("raft-write-timeout", Duration, Cluster),
    inert("snapshot-catchup-entries", TEXT, Cluster).experimental(),
    inert("downgrade-check-time", Duration, Cluster).experimental(),
    inert("wait-cluster-ready-timeout", Duration, Cluster).experimental(),
    inert("client-cert-file", TEXT, Cluster),
    inert("client-key-file", TEXT, Cluster),
    inert("peer-cert-file", TEXT, Cluster),
    inert("peer-key-file", TEXT, Cluster),
    inert("peer-client-cert-auth", Switch, Cluster),
    inert("peer-client-cert-file", TEXT, Cluster),
    inert("peer-client-key-file", TEXT, Cluster),
    inert("peer-trusted-ca-file", TEXT, Cluster),
    inert("peer-cert-allowed-cn", TEXT, Cluster),
    inert("peer-cert-allowed-hostname", TEXT, Cluster),
    inert("peer-auto-tls", Switch, Cluster),
    inert("peer-crl-file", TEXT, Cluster),
    inert("peer-skip-client-san-verification", Switch, Cluster).experimental(),
    inert("discovery-proxy", TEXT, Cluster),
    inert("discovery-srv-name", TEXT, Cluster),
    inert("discovery-dial-timeout", Duration, Cluster),
    inert("discovery-request-timeout", Duration, Cluster),
    inert("discovery-keepalive-time", Duration, Cluster),
    inert("discovery-keepalive-timeout", Duration, Cluster),
    inert("discovery-insecure-transport", Switch, Cluster),
    inert("discovery-insecure-skip-tls-verify", Switch, Cluster),
    inert("discovery-cert", TEXT, Cluster),
    inert("discovery-key", TEXT, Cluster),
    inert("discovery-cacert", TEXT, Cluster),
    inert("discovery-user", TEXT, Cluster),
    inert("discovery-password", TEXT, Cluster),
    inert("proxy-failure-wait", TEXT, Cluster),
    inert("proxy-refresh-interval", TEXT, Cluster),
    inert("proxy-dial-timeout", TEXT, Cluster),
    inert("proxy-write-timeout", TEXT, Cluster),
    inert("proxy-read-timeout", TEXT, Cluster),

    inert("wal-dir", TEXT, Storage),
    inert("max-wals", TEXT, Storage),
    inert("max-snapshots", TEXT, Storage),
    inert("snapshot-count", TEXT, Storage),
    inert("backend-batch-interval", Duration, Storage),
    inert("backend-batch-limit", TEXT, Storage),
    inert("backend-bbolt-freelist-type", TEXT, Storage).experimental(),
    inert("compaction-batch-limit", TEXT, Storage).experimental(),
    inert("compaction-sleep-interval", Duration, Storage).experimental(),
    inert("bootstrap-defrag-threshold-megabytes", TEXT, Storage).experimental(),
    inert("memory-mlock", Switch, Storage).experimental(),
    inert("txn-mode-write-with-shared-buffer", Switch, Storage).experimental(),
    inert("stop-grpc-service-on-defrag", Switch, Storage).experimental(),

    inert("corrupt-check-time", Duration, Missing).experimental(),
    inert("compact-hash-check-enabled", Switch, Missing).experimental(),
    inert("compact-hash-check-time", Duration, Missing).experimental(),
    inert("feature-gates", TEXT, Missing),
    inert("grpc-keepalive-min-time", Duration, Missing),
    inert("socket-reuse-port", Switch, Missing),
    inert("enable-pprof", Switch, Missing),
    inert("enable-distributed-tracing", Switch, Missing).experimental(),
    inert("distributed-tracing-address", TEXT, Missing).experimental(),
    inert("distributed-tracing-service-name", TEXT, Missing).experimental(),
    inert("distributed-tracing-instance-id", TEXT, Missing).experimental(),
    inert("distributed-tracing-sampling-rate", TEXT, Missing).experimental(),
    inert("logger", TEXT, Missing),
    inert("log-package-levels", TEXT, Missing),
    inert("enable-log-rotation", Switch, Missing),
    inert("log-rotation-config-json", TEXT, Missing),

    inert("initial-corrupt-check", Switch, Always).experimental(),
    inert("enable-lease-checkpoint", Switch, Cluster).experimental(),
    inert("enable-lease-checkpoint-persist", Switch, Cluster).experimental(),
    inert("socket-reuse-address", Switch, Always),
];
