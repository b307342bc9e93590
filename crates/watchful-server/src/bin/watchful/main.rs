//! The program: a server, for now with two flags.

use std::error::Error;

use tokio_stream::StreamExt;
use watchful_server::{Server, ServerSettings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let folder = value("--data-dir").unwrap_or_else(|| "watchful-data".to_owned());
    let url = value("--listen-client-urls").unwrap_or_else(|| "http://127.0.0.1:2379".to_owned());
    let listener = tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await?;
    println!("ready: watchful serves http://{}", listener.local_addr()?);
    let connections = tokio_stream::wrappers::TcpListenerStream::new(listener).map(|connection| {
        connection.inspect(|connection| {
            let _ = connection.set_nodelay(true);
        })
    });
    let server = Server::open(ServerSettings::new(folder))?;
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    server
        .serve(connections, async move {
            term.recv().await;
        })
        .await?;
    Ok(server.close()?)
}
