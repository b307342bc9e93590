//! Starts the server: `watchful [FLAGS]`, or `watchful serve [FLAGS]`.
//!
//! In this order: read the flags, take the addresses, open the store, accept. So an address that is taken is told before a
//! folder is made, and clients that come early wait instead of being refused.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use watchful_server::{
    Certificate, Config, Listener, Parsed, Server, Tls, TlsSettings, bind, incoming, init_log,
    raise_descriptors, ready,
};

use crate::failure::deepest;

/// How long the end waits for threads, once the store is closed.
const THREADS_TIMEOUT: Duration = Duration::from_secs(1);

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Serves until it is told to end. `flags` is what follows the program's name, or the word `serve`.
pub(crate) fn serve(flags: &[OsString]) -> ExitCode {
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}", deepest(&*error));
            ExitCode::FAILURE
        }
    }
}

fn start(flags: &[OsString]) -> Outcome {
    match Config::parse(flags.iter().cloned(), std::env::vars_os())? {
        Parsed::Serve(config) => {
            init_log(&config.log)?;
            raise_descriptors();
            config.notices.iter().for_each(|notice| tracing::warn!("{notice}"));
            let runtime = tokio::runtime::Runtime::new()?;
            let outcome = runtime.block_on(run(*config));
            // The store is closed. What is still worked at (a password that is dear to compare with) is nobody's any more.
            runtime.shutdown_timeout(THREADS_TIMEOUT);
            outcome
        }
        Parsed::Help(text) | Parsed::Version(text) => Ok(writeln!(io::stdout(), "{}", text.trim_end())?),
    }
}

async fn run(mut config: Config) -> Outcome {
    let stop = on_signals()?;
    let clients = bind(&config.listen_client)?;
    let metrics = bind(&config.listen_metrics)?;
    let trusted = config.tls.as_ref().and_then(own_certificate);
    let tls = config.tls.take().map(Tls::load).transpose()?.map(Arc::new);
    let urls: Vec<String> = clients.iter().map(|listener| listener.url().to_string()).collect();
    if config.settings.advertise_client_urls.is_empty() {
        config.settings.advertise_client_urls.clone_from(&urls);
    }
    let settings = config.settings;
    let folder = settings.data_dir.clone();
    let server = tokio::task::spawn_blocking(move || Server::open(settings)).await??;
    if let Some(tls) = &tls {
        tokio::spawn(tls.follow_files());
    }
    let mut serving = serve_all(&server, clients, metrics, tls, &stop);
    tell_ready(&urls, &folder, trusted.as_deref());
    let mut outcome = Ok(());
    while let Some(served) = serving.join_next().await {
        // One that fails takes the others along: half a server is worse than none that is seen to be gone.
        stop.cancel();
        outcome = outcome.and(served.map_err(io::Error::other).and_then(|served| served));
    }
    tokio::task::spawn_blocking(move || server.close()).await??;
    Ok(outcome?)
}

fn serve_all(
    server: &Server,
    clients: Vec<Listener>,
    metrics: Vec<Listener>,
    tls: Option<Arc<Tls>>,
    stop: &CancellationToken,
) -> JoinSet<io::Result<()>> {
    let mut serving = JoinSet::new();
    let connections =
        |listener: Listener| incoming(listener, tls.clone(), Arc::clone(&server.shared().counts));
    for listener in clients {
        let (server, connections, stop) = (server.clone(), connections(listener), stop.clone());
        serving.spawn(async move { server.serve(connections, stop.cancelled_owned()).await });
    }
    for listener in metrics {
        let (server, connections) = (server.clone(), connections(listener));
        serving.spawn(async move { server.serve_metrics(connections).await });
    }
    serving
}

/// The certificate that the server made for itself: clients have to be told to trust it.
fn own_certificate(tls: &TlsSettings) -> Option<PathBuf> {
    match &tls.certificate {
        Certificate::Generated { dir, .. } => Some(dir.join("cert.pem")),
        Certificate::Files { .. } => None,
    }
}

/// The line that says where, and one to try. Whoever started the server may have stopped reading: it serves all the same.
fn tell_ready(urls: &[String], folder: &Path, trusted: Option<&Path>) {
    let all = urls.join(", ");
    let mut lines = format!("ready: watchful serves {all} from the folder {}\n", folder.display());
    if let Some(url) = urls.first() {
        let cacert = trusted.map(|path| format!(" --cacert={}", path.display())).unwrap_or_default();
        lines += &format!("try:   etcdctl --endpoints={url}{cacert} put hello world\n");
    }
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "nobody reads where the server serves: {all}");
    }
    ready::ready(&format!("serving {all}"));
}

/// Cancelled when the program is told to end: by the system (SIGTERM) or by a person (Ctrl-C).
fn on_signals() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to end: finishing what was accepted");
        ready::stopping();
        stopping.cancel();
    });
    Ok(stop)
}
