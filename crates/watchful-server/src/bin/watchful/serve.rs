//! Starts the server: `watchful [FLAGS]`, or `watchful serve [FLAGS]`. For now with two flags.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use tokio_stream::StreamExt as _;
use watchful_server::{Server, ServerSettings};

/// Serves until it is told to end. `flags` is what follows the program's name, or the word `serve`.
pub(crate) fn serve(flags: &[OsString]) -> ExitCode {
    let served = tokio::runtime::Runtime::new().map_err(Box::from).and_then(|runtime| runtime.block_on(run(flags)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &[OsString]) -> Result<(), Box<dyn Error>> {
    let value = |name: &str| {
        let at = flags.iter().position(|flag| flag == name)?;
        Some(flags.get(at + 1)?.to_string_lossy().into_owned())
    };
    let folder = value("--data-dir").unwrap_or_else(|| "watchful-data".to_owned());
    let url = value("--listen-client-urls").unwrap_or_else(|| "http://127.0.0.1:2379".to_owned());
    let listener = tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await?;
    writeln!(io::stdout(), "ready: watchful serves http://{}", listener.local_addr()?)?;
    let connections = tokio_stream::wrappers::TcpListenerStream::new(listener).map(|connection| {
        connection.inspect(|connection| {
            let _ = connection.set_nodelay(true);
        })
    });
    let server = Server::open(ServerSettings::new(folder))?;
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    server.serve(connections, async move {
            term.recv().await;
        }).await?;
    Ok(server.close()?)
}
