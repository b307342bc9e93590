//! What prost and tonic make of the `.proto` files, by package.

/// One package's module, as the build script wrote it.
macro_rules! package {
    ($(#[$doc:meta])* $module:ident, $package:literal) => {
        $(#[$doc])*
        #[allow(
            missing_docs,
            unreachable_pub,
            clippy::all,
            clippy::allow_attributes_without_reason,
            clippy::missing_errors_doc,
            rustdoc::all,
            reason = "the output of prost and tonic; etcd's documentation and proto/ tell the fields"
        )]
        pub mod $module {
            include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
        }
    };
}

package!(
    /// Keys and events.
    mvccpb, "mvccpb"
);
package!(
    /// Users, roles and permissions.
    authpb, "authpb"
);
package!(
    /// The services of a server: KV, Watch, Lease, Cluster, Maintenance, Auth.
    etcdserverpb, "etcdserverpb"
);
package!(
    /// The lock service.
    v3lockpb, "v3lockpb"
);
package!(
    /// The election service.
    v3electionpb, "v3electionpb"
);
package!(
    /// Who watches: Watchful's own service.
    watchers, "watchful"
);
