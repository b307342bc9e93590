//! Compiles the record's message with protox, so that nobody needs `protoc` to build Watchful.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/record.proto");
    let descriptors = protox::compile(["proto/record.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
