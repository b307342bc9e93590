//! What is counted of gRPC calls, method by method: a table that is made once and only read and counted in afterwards.

use std::time::Duration;

use tonic::Code;

use crate::counts::Counter;
use crate::gateway::descriptors;

/// gRPC's codes, `Ok` to `Unauthenticated`.
const CODES: usize = 17;

/// The bounds of the buckets for durations, in microseconds: those that etcd has, and finer ones below, because most
/// calls here take less than etcd's first.
const BOUNDS_MICROSECONDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// Counts of calls by method.
#[derive(Debug)]
pub struct Calls {
    /// By path.
    methods: Vec<Method>,
    /// Every path that is no method: one row, so that nobody can fill memory with names.
    unknown: Method,
    /// Bytes that were received in calls.
    pub received_bytes: Counter,
    /// Bytes that were sent in answers.
    pub sent_bytes: Counter,
}

/// Counts of one method's calls.
#[derive(Debug)]
pub struct Method {
    path: String,
    service: usize,
    kind: Kind,
    /// Calls that began.
    pub started: Counter,
    /// Messages that were received.
    pub received: Counter,
    /// Messages that were sent.
    pub sent: Counter,
    handled: [Counter; CODES],
    durations: [Counter; BOUNDS_MICROSECONDS.len() + 1],
    nanoseconds: Counter,
}

/// How many messages go in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One and one.
    Unary,
    /// Many and one.
    ClientStream,
    /// One and many.
    ServerStream,
    /// Many and many.
    BidiStream,
}

/// A method's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodId(Option<usize>);

/// Methods that the server has beside those of the descriptors.
const OTHERS: [(&str, Kind); 4] = [
    ("/grpc.health.v1.Health/Check", Kind::Unary),
    ("/grpc.health.v1.Health/Watch", Kind::ServerStream),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Kind::BidiStream),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Kind::BidiStream),
];

impl Default for Calls {
    fn default() -> Self {
        let described = descriptors().services().flat_map(|service| {
            let methods: Vec<_> = service.methods().collect();
            methods.into_iter().map(move |method| {
                let path = format!("/{}/{}", service.full_name(), method.name());
                Method::new(path, Kind::of(method.is_client_streaming(), method.is_server_streaming()))
            })
        });
        let others = OTHERS.into_iter().map(|(path, kind)| Method::new(path.to_owned(), kind));
        let mut methods: Vec<Method> = described.chain(others).collect();
        methods.sort_by(|one, other| one.path.cmp(&other.path));
        let unknown = Method::new("/unknown/unknown".to_owned(), Kind::Unary);
        Self { methods, unknown, received_bytes: Counter::default(), sent_bytes: Counter::default() }
    }
}

impl Calls {
    /// The place of the method with this path.
    #[must_use]
    pub fn find(&self, path: &str) -> MethodId {
        MethodId(self.methods.binary_search_by(|method| method.path.as_str().cmp(path)).ok())
    }

    /// The counts of a method.
    #[must_use]
    pub fn method(&self, id: MethodId) -> &Method {
        id.0.and_then(|at| self.methods.get(at)).unwrap_or(&self.unknown)
    }

    /// The method with this path, if there is one.
    pub(crate) fn known(&self, path: &str) -> Option<&Method> {
        self.find(path).0.and_then(|at| self.methods.get(at))
    }

    /// Every method, the row for unknown ones last.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().chain([&self.unknown])
    }
}

impl Method {
    fn new(path: String, kind: Kind) -> Self {
        // `/service/method`: both parts are there by construction.
        let service = path.rfind('/').unwrap_or(0);
        Self {
            path,
            service,
            kind,
            started: Counter::default(),
            received: Counter::default(),
            sent: Counter::default(),
            handled: Default::default(),
            durations: Default::default(),
            nanoseconds: Counter::default(),
        }
    }

    /// The call is over.
    pub(crate) fn ended(&self, code: Code, took: Duration) {
        self.handled[code as usize].add(1);
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.durations[BOUNDS_MICROSECONDS.partition_point(|bound| *bound < microseconds)].add(1);
        self.nanoseconds.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The path of its calls.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its service's full name.
    #[must_use]
    pub fn service(&self) -> &str {
        self.path[..self.service].trim_start_matches('/')
    }

    /// Its own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path[self.service..].trim_start_matches('/')
    }

    /// How many messages go in each direction.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many calls ended with this code.
    #[must_use]
    pub fn handled(&self, code: Code) -> u64 {
        self.handled[code as usize].get()
    }

    /// How many calls ended in all.
    #[must_use]
    pub fn handled_in_all(&self) -> u64 {
        self.handled.iter().map(Counter::get).sum()
    }

    /// The seconds that calls took: all together, and for each bound how many were in its bucket.
    pub(crate) fn seconds(&self) -> (f64, Vec<(f64, u64)>) {
        #[allow(clippy::cast_precision_loss, reason = "a sum of seconds is a measurement")]
        let seconds = |count: u64, unit: f64| count as f64 / unit;
        let bounds = BOUNDS_MICROSECONDS.iter().map(|bound| seconds(*bound, 1e6)).chain([f64::MAX]);
        let buckets = bounds.zip(self.durations.iter().map(Counter::get)).collect();
        (seconds(self.nanoseconds.get(), 1e9), buckets)
    }
}

impl Kind {
    fn of(client_streaming: bool, server_streaming: bool) -> Self {
        match (client_streaming, server_streaming) {
            (false, false) => Self::Unary,
            (true, false) => Self::ClientStream,
            (false, true) => Self::ServerStream,
            (true, true) => Self::BidiStream,
        }
    }

    /// As etcd's label `grpc_type` says it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ClientStream => "client_stream",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

/// A code as etcd's label `grpc_code` says it, and every code there is.
pub(crate) const CODE_LABELS: [(Code, &str); CODES] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "Canceled"),
    (Code::Unknown, "Unknown"),
    (Code::InvalidArgument, "InvalidArgument"),
    (Code::DeadlineExceeded, "DeadlineExceeded"),
    (Code::NotFound, "NotFound"),
    (Code::AlreadyExists, "AlreadyExists"),
    (Code::PermissionDenied, "PermissionDenied"),
    (Code::ResourceExhausted, "ResourceExhausted"),
    (Code::FailedPrecondition, "FailedPrecondition"),
    (Code::Aborted, "Aborted"),
    (Code::OutOfRange, "OutOfRange"),
    (Code::Unimplemented, "Unimplemented"),
    (Code::Internal, "Internal"),
    (Code::Unavailable, "Unavailable"),
    (Code::DataLoss, "DataLoss"),
    (Code::Unauthenticated, "Unauthenticated"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_path_and_strange_paths_share_a_row() {
        let calls = Calls::default();
        let watch = calls.method(calls.find("/etcdserverpb.Watch/Watch"));
        assert_eq!(
            (watch.service(), watch.name(), watch.kind()),
            ("etcdserverpb.Watch", "Watch", Kind::BidiStream)
        );
        let range = calls.method(calls.find("/etcdserverpb.KV/Range"));
        assert_eq!((range.name(), range.kind()), ("Range", Kind::Unary));
        let rows = calls.methods().count();
        for strange in ["", "/", "/etcdserverpb.KV/Rang", "/etcdserverpb.KV/Range/", "/a/b"] {
            assert_eq!(calls.method(calls.find(strange)).service(), "unknown");
        }
        assert_eq!(calls.methods().count(), rows);
    }

    #[test]
    fn a_duration_is_in_the_bucket_of_the_first_bound_that_is_not_below_it() {
        let calls = Calls::default();
        let method = calls.method(calls.find("/etcdserverpb.KV/Put"));
        for microseconds in [1, 100, 101, 5_000, 60_000_000] {
            method.ended(Code::Ok, Duration::from_micros(microseconds));
        }
        let (sum, buckets) = method.seconds();
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.0001, 2), (0.00025, 1), (0.005, 1), (f64::MAX, 1)]);
        assert!((sum - 60.005_202).abs() < 1e-9, "{sum}");
        assert_eq!((method.handled(Code::Ok), method.handled_in_all()), (5, 5));
    }

    #[test]
    fn the_labels_are_in_the_order_of_the_codes() {
        assert!(CODE_LABELS.iter().enumerate().all(|(at, (code, _))| *code as usize == at));
    }
}
