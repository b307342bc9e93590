//! Compiles the messages and services with protox, so that nobody needs `protoc` to build Watchful.

use std::path::PathBuf;

use prost::Message as _;

const FILES: &[&str] =
    &["kv.proto", "auth.proto", "rpc.proto", "lock.proto", "election.proto", "watchers.proto"];

#[expect(clippy::disallowed_methods, reason = "a build script writes what the crate is made of")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        // These two carry stored bytes: they are written by hand.
        .extern_path(".mvccpb.KeyValue", "crate::KeyValue")
        .extern_path(".etcdserverpb.WatchResponse", "crate::WatchResponse")
        .build_transport(false)
        .codec_path("crate::codec::WireCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
