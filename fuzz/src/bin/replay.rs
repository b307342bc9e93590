//! Runs inputs through a target, without a fuzzer: `cargo run -p watchful-fuzz -- TARGET FILE...`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // As under the fuzzer: a panic of any thread is one, not only of that which waits for the rest.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        std::process::abort();
    }));
    let mut args = std::env::args().skip(1);
    let target = args.next().and_then(|name| watchful_fuzz::target(&name));
    let Some(target) = target else {
        let names: Vec<_> = watchful_fuzz::ALL.iter().map(|target| target.name).collect();
        eprintln!("say which target, and which files: {}", names.join(", "));
        return ExitCode::FAILURE;
    };
    for path in args {
        match std::fs::read(&path) {
            Ok(input) => (target.run)(&input),
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::FAILURE;
            }
        }
        println!("{path}: passed");
    }
    ExitCode::SUCCESS
}
