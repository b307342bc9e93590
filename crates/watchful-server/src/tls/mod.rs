//! TLS: the server's certificate, who may connect, and both read again when their files change.
//!
//! Certificates are renewed by other programs, at night. So the files are looked at every few seconds, and what they hold
//! then is for the next connection; those that are open go on. Where the new files are broken, it is said, and the old ones
//! stay.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

mod settings;

mod suites;

mod load;

mod clients;

mod generate;

mod stamp;

mod error;

pub use error::TlsError;
pub use settings::{Certificate, ClientCertificates, TlsSettings, TlsVersion};
pub(crate) use suites::check as check_cipher_suites;

use stamp::Stamp;

/// How often the files are looked at. Looking costs one call of the system a file.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What is needed to shake hands.
#[derive(Debug)]
pub struct Tls {
    settings: TlsSettings,
    config: ArcSwap<ServerConfig>,
    /// What the files looked like when they were read last.
    seen: Mutex<Vec<Stamp>>,
}

/// Whether the files had changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// No.
    Unchanged,
    /// Yes, and the next connection gets what they hold now.
    Changed,
}

impl Tls {
    /// Reads the files, or makes a certificate where the settings say so.
    ///
    /// # Errors
    ///
    /// One line that names the file that is missing or wrong, and what to do.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        generate::ensure(&settings.certificate, SystemTime::now())?;
        // What is changed while it is read is read again at the next look.
        let seen = Mutex::new(stamp::of(&settings));
        let config = ArcSwap::from_pointee(load::server_config(&settings)?);
        Ok(Self { settings, config, seen })
    }

    /// Shakes hands on `io`, and gives the common name of the client's certificate where it showed one.
    ///
    /// # Errors
    ///
    /// When the client does not speak TLS, or has no certificate that it needs, or goes away.
    pub(crate) async fn accept<I>(&self, io: I) -> io::Result<(TlsStream<I>, Option<Arc<str>>)>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsAcceptor::from(self.config.load_full()).accept(io).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let common_name = shown.and_then(clients::common_name);
        Ok((stream, common_name))
    }

    /// Reads the files again if they have changed, or are about to expire and are ours to make.
    ///
    /// # Errors
    ///
    /// When they are broken now. Then what was read before stays, and they are read again when they change again.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        generate::ensure(&self.settings.certificate, SystemTime::now())?;
        let mut seen = self.seen.lock();
        let now = stamp::of(&self.settings);
        if *seen == now {
            return Ok(Reloaded::Unchanged);
        }
        *seen = now;
        self.config.store(Arc::new(load::server_config(&self.settings)?));
        Ok(Reloaded::Changed)
    }

    /// Looks at the files every few seconds, for as long as anybody holds this, and tells in the log what came of it.
    pub fn follow_files(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        self.look_every(LOOK_INTERVAL)
    }

    fn look_every(self: &Arc<Self>, interval: Duration) -> impl Future<Output = ()> + Send + 'static {
        let tls = Arc::downgrade(self);
        async move {
            loop {
                tokio::time::sleep(interval).await;
                // Files may be on a disk that hangs, so not on a thread that serves.
                let look = Weak::clone(&tls);
                let looked = tokio::task::spawn_blocking(move || look.upgrade().map(|tls| tls.reload()));
                match looked.await {
                    Ok(Some(Ok(Reloaded::Unchanged))) => {}
                    Ok(Some(Ok(Reloaded::Changed))) => {
                        tracing::info!("the certificates have changed and were read again")
                    }
                    Ok(Some(Err(error))) => {
                        tracing::error!(%error, "the certificates read before stay in use")
                    }
                    Ok(None) | Err(_) => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
