//! TLS over the loopback, with certificates made for the test.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::{Stream, StreamExt};

use super::*;
use crate::counts::Counts;
use crate::listen::{Conn, Listener, bind, incoming, incoming_within};

/// A folder with an authority of its own, and what it signs.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As programs that renew certificates do it: another file takes the name.
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("part"), text).unwrap();
        std::fs::rename(self.path("part"), self.path(name)).unwrap();
    }

    /// Signs a certificate for `common_name`, and keeps it and its key as `name.pem` and `name.key`.
    fn sign(&self, name: &str, common_name: &str, hosts: &[&str], serial: u64) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.pem"), &cert.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// Writes a list that revokes `serial`.
    fn revoke(&self, serial: u64) {
        let now = SystemTime::now();
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + Duration::from_secs(3600)).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write("crl.pem", &list.signed_by(&self.issuer).unwrap().pem().unwrap());
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings {
            certificate: Certificate::Files { cert: self.path("server.pem"), key: self.path("server.key") },
            clients: None,
            version_min: TlsVersion::default(),
            version_max: None,
            cipher_suites: Vec::new(),
        }
    }

    fn for_clients(&self, crl: bool, hostnames: &[&str]) -> TlsSettings {
        let clients = ClientCertificates {
            ca: self.path("ca.pem"),
            crl: crl.then(|| self.path("crl.pem")),
            hostnames: hostnames.iter().map(|name| (*name).to_owned()).collect(),
        };
        TlsSettings { clients: Some(clients), ..self.settings() }
    }
}

type Incoming = Box<dyn Stream<Item = io::Result<Conn>> + Send + Unpin>;

/// A server that takes connections in.
struct Server {
    address: std::net::SocketAddr,
    tls: Arc<Tls>,
    counts: Arc<Counts>,
    incoming: Incoming,
}

impl Server {
    fn start(settings: TlsSettings) -> Self {
        Self::start_by(settings, |listener, tls, counts| Box::new(incoming(listener, tls, counts)))
    }

    /// One whose clients may take as long as `timeout` for their first words.
    fn start_within(timeout: Duration, settings: TlsSettings) -> Self {
        Self::start_by(settings, |listener, tls, counts| {
            Box::new(incoming_within(timeout, listener, tls, counts))
        })
    }

    fn start_by(
        settings: TlsSettings,
        incoming: impl FnOnce(Listener, Option<Arc<Tls>>, Arc<Counts>) -> Incoming,
    ) -> Self {
        let listener = bind(&["https://127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
        let (tls, counts) = (Arc::new(Tls::load(settings).unwrap()), Arc::new(Counts::default()));
        let address = listener.address().unwrap();
        let incoming = incoming(listener, Some(Arc::clone(&tls)), Arc::clone(&counts));
        Self { address, tls, counts, incoming }
    }

    /// Connects, and has one byte echoed; gives the certificate that the server showed, and the server's end.
    async fn talk(&mut self, client: &Client) -> io::Result<(CertificateDer<'static>, Conn)> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let talk = async {
            let mut stream = TlsConnector::from(Arc::clone(&client.0)).connect(name, stream).await?;
            stream.write_all(b"?").await?;
            // With TLS 1.3 a client hears only now that its certificate is refused.
            stream.read_exact(&mut [0]).await?;
            Ok(stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
        };
        let echo = async {
            let mut conn = self.incoming.next().await.unwrap().unwrap();
            let mut byte = [0];
            conn.read_exact(&mut byte).await.unwrap();
            conn.write_all(&byte).await.unwrap();
            conn.flush().await.unwrap();
            conn
        };
        tokio::time::timeout(Duration::from_secs(30), both(talk, echo)).await.expect("it comes within 30 s")
    }

    /// Waits until `failed` connections were refused.
    async fn refused(&self, failed: u64) {
        let counted = async {
            while self.counts.connections_failed.get() < failed {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), counted).await.expect("it is counted within 30 s");
        assert_eq!((self.counts.connections_failed.get(), self.counts.connections.get()), (failed, 0));
    }
}

/// What the client says, with the server's end; where the client fails, no server's end is waited for.
async fn both<C, S>(
    client: impl Future<Output = io::Result<C>>,
    server: impl Future<Output = S>,
) -> io::Result<(C, S)> {
    tokio::pin!(client, server);
    tokio::select! {
        said = &mut client => Ok((said?, server.await)),
        end = &mut server => Ok((client.await?, end)),
    }
}

struct Client(Arc<ClientConfig>);

impl Client {
    /// A client that trusts what `ca` holds and shows the certificate `name`, if any.
    fn new(ca: &Path, own: Option<(&Authority, &str)>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((authority, name)) => {
                let cert = CertificateDer::from_pem_file(authority.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self(Arc::new(config))
    }
}

#[tokio::test]
async fn a_client_that_knows_the_authority_connects_and_another_does_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.sign("server", "server", &["localhost"], 1);
    let mut server = Server::start(authority.settings());
    let (_, conn) = server.talk(&Client::new(&authority.path("ca.pem"), None)).await.unwrap();
    assert_eq!(conn.peer().common_name, None);
    assert_eq!(server.counts.connections.get(), 1);
    drop(conn);
    let error = server.talk(&Client::new(&stranger.path("ca.pem"), None)).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    server.refused(1).await;
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_refused() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    let server = Server::start(authority.settings());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\n\r\n").await.unwrap();
    server.refused(1).await;
}

#[tokio::test]
async fn clients_that_say_nothing_hold_up_nobody() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    let mut server = Server::start(authority.settings());
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let (_, conn) = server.talk(&Client::new(&authority.path("ca.pem"), None)).await.unwrap();
    assert_eq!((server.counts.connections.get(), server.counts.connections_failed.get()), (1, 0));
    drop(conn);
    drop(silent);
    server.refused(100).await;
}

/// No connection was accepted while a thousand handshakes were under way, and each may take ten seconds: whoever opened as
/// many again and again kept everybody out.
#[tokio::test]
async fn more_clients_that_say_nothing_than_may_shake_hands_hold_up_nobody() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    // Longer than anything is waited for here, so a client that waits until the others' time is over is never served.
    let mut server = Server::start_within(Duration::from_secs(600), authority.settings());
    // Both ends are here.
    crate::raise_descriptors();
    let mut silent = Vec::new();
    for _ in 0..1_100 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let (_, _conn) = server.talk(&Client::new(&authority.path("ca.pem"), None)).await.unwrap();
    assert!(server.counts.connections_failed.get() > 0, "the oldest of them were cut");
}

#[tokio::test]
async fn a_client_needs_its_certificate_and_is_known_by_it() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.sign("server", "server", &["localhost"], 1);
    authority.sign("alice", "alice", &[], 2);
    stranger.sign("mallory", "alice", &[], 2);
    let ca = authority.path("ca.pem");
    let mut server = Server::start(authority.for_clients(false, &[]));
    let (_, conn) = server.talk(&Client::new(&ca, Some((&authority, "alice")))).await.unwrap();
    assert_eq!(conn.peer().common_name.as_deref(), Some("alice"));
    drop(conn);
    server.talk(&Client::new(&ca, None)).await.unwrap_err();
    server.refused(1).await;
    server.talk(&Client::new(&ca, Some((&stranger, "mallory")))).await.unwrap_err();
    server.refused(2).await;
}

#[tokio::test]
async fn a_revoked_certificate_and_one_of_another_name_are_refused() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    authority.sign("alice", "alice", &["alice.example"], 2);
    authority.sign("bob", "bob", &["bob.example"], 3);
    authority.sign("carol", "carol", &["carol.example"], 4);
    authority.revoke(3);
    let ca = authority.path("ca.pem");
    let mut server = Server::start(authority.for_clients(true, &["alice.example", "bob.example"]));
    let (_, conn) = server.talk(&Client::new(&ca, Some((&authority, "alice")))).await.unwrap();
    drop(conn);
    server.talk(&Client::new(&ca, Some((&authority, "bob")))).await.unwrap_err();
    server.refused(1).await;
    server.talk(&Client::new(&ca, Some((&authority, "carol")))).await.unwrap_err();
    server.refused(2).await;
}

#[tokio::test]
async fn a_new_certificate_is_for_the_next_connection_and_a_broken_one_for_none() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    let mut server = Server::start(authority.settings());
    let client = Client::new(&authority.path("ca.pem"), None);
    let (first, _open) = server.talk(&client).await.unwrap();
    assert_eq!(server.tls.reload(), Ok(Reloaded::Unchanged));

    authority.sign("server", "server", &["localhost"], 2);
    assert_eq!(server.tls.reload(), Ok(Reloaded::Changed));
    let (second, _open) = server.talk(&client).await.unwrap();
    assert_ne!(first, second);

    authority.write("server.pem", "not a certificate");
    server.tls.reload().unwrap_err();
    assert_eq!(server.tls.reload(), Ok(Reloaded::Unchanged), "it is said once");
    let (third, _open) = server.talk(&client).await.unwrap();
    assert_eq!(second, third);

    std::fs::remove_file(authority.path("server.pem")).unwrap();
    server.tls.reload().unwrap_err();
    authority.sign("server", "server", &["localhost"], 3);
    assert_eq!(server.tls.reload(), Ok(Reloaded::Changed));
}

#[tokio::test]
async fn files_are_looked_at_for_as_long_as_somebody_serves() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    let tls = Arc::new(Tls::load(authority.settings()).unwrap());
    let first = Arc::as_ptr(&tls.config.load_full());
    let following = tokio::spawn(tls.look_every(Duration::from_millis(1)));
    authority.sign("server", "server", &["localhost"], 2);
    let changed = async {
        while std::ptr::eq(Arc::as_ptr(&tls.config.load_full()), first) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), changed).await.expect("it is read again");
    drop(tls);
    tokio::time::timeout(Duration::from_secs(30), following).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn a_certificate_that_was_made_is_kept_until_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fixtures/client");
    let certificate = |hosts: &[&str]| Certificate::Generated {
        dir: dir.clone(),
        validity_years: 1,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    let settings = TlsSettings { certificate: certificate(&["10.0.0.1"]), ..Authority::new().settings() };
    let mut server = Server::start(settings);
    let client = Client::new(&dir.join("cert.pem"), None);
    let (_, conn) = server.talk(&client).await.unwrap();
    drop(conn);

    let made = || std::fs::read(dir.join("cert.pem")).unwrap();
    let first = made();
    let year = Duration::from_secs(365 * 24 * 3600);
    let later = SystemTime::now() + year - Duration::from_secs(7200);
    generate::ensure(&certificate(&["10.0.0.1"]), later).unwrap();
    assert_eq!(made(), first, "it is still valid");
    generate::ensure(&certificate(&["10.0.0.1"]), later + Duration::from_secs(7200)).unwrap();
    assert_ne!(made(), first, "it has expired");
    assert_eq!(server.tls.reload(), Ok(Reloaded::Changed));

    let second = made();
    generate::ensure(&certificate(&["10.0.0.2", "db.example"]), SystemTime::now()).unwrap();
    assert_ne!(made(), second, "it is for other hosts");
    std::fs::write(dir.join("key.pem"), "").unwrap();
    let third = made();
    generate::ensure(&certificate(&["10.0.0.2"]), SystemTime::now()).unwrap();
    assert_ne!(made(), third, "its key is gone");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(dir.join("key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Checks that the settings are refused, with the folder's path left out of the line.
#[track_caller]
fn check_error(authority: &Authority, settings: TlsSettings, expected: &str) {
    let error = Tls::load(settings).unwrap_err().to_string();
    assert_eq!(error.replace(&format!("{}/", authority.folder.path().display()), ""), expected);
}

#[test]
fn each_wrong_file_is_one_clear_line() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    authority.sign("other", "other", &["localhost"], 2);
    let files = |cert: &str, key: &str| TlsSettings {
        certificate: Certificate::Files { cert: authority.path(cert), key: authority.path(key) },
        ..authority.settings()
    };
    let check = |cert: &str, key: &str, expected: &str| check_error(&authority, files(cert, key), expected);
    check(
        "none.pem",
        "server.key",
        "none.pem: cannot read it (No such file or directory (os error 2)); check the path, and that this user may read it",
    );
    check(
        "server.key",
        "server.key",
        "server.key: there is no certificate in it; it must hold BEGIN CERTIFICATE, which is PEM",
    );
    check(
        "server.pem",
        "server.pem",
        "server.pem: there is no private key in it that can be read; it must hold BEGIN PRIVATE KEY, which is PEM \
         without a password (openssl pkey -in OLD -out NEW takes one away)",
    );
    check(
        "server.pem",
        "other.key",
        "other.key: the key is not that of server.pem; give the two files that were made together",
    );
    authority.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let error = Tls::load(files("cut.pem", "server.key")).unwrap_err().to_string();
    assert!(
        error.contains("cut.pem: it is not whole PEM (") && error.ends_with("); make or copy it again"),
        "{error}"
    );
    authority.write("odd.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let error = Tls::load(files("odd.pem", "server.key")).unwrap_err().to_string();
    assert!(
        error.contains("odd.pem: the certificate cannot be used (") && error.ends_with("); make it again"),
        "{error}"
    );
    authority.write("odd.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let error = Tls::load(files("server.pem", "odd.key")).unwrap_err().to_string();
    let end = "); make one for RSA, ECDSA or Ed25519";
    assert!(error.contains("odd.key: the key cannot be used (") && error.ends_with(end), "{error}");
    std::fs::File::create(authority.path("large.pem")).unwrap().set_len((16 << 20) + 1).unwrap();
    check("large.pem", "server.key", "large.pem: it is larger than 16 MiB; is it the right file?");
}

#[test]
fn each_wrong_file_for_clients_is_one_clear_line() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    authority.write("crl.pem", "");
    check_error(
        &authority,
        authority.for_clients(true, &[]),
        "crl.pem: there is no list of revoked certificates in it; it must hold BEGIN X509 CRL",
    );
    authority.write("crl.pem", "not a list");
    let error = Tls::load(authority.for_clients(true, &[])).unwrap_err().to_string();
    let middle = "crl.pem: it cannot be used to judge clients' certificates (";
    assert!(error.contains(middle) && error.ends_with("); make it again"), "{error}");
    check_error(
        &authority,
        authority.for_clients(false, &["a host"]),
        "--client-cert-allowed-hostname: \"a host\" is not a host's name; write names such as a.example",
    );
    authority.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let error = Tls::load(authority.for_clients(false, &[])).unwrap_err().to_string();
    assert!(error.contains("ca.pem: it holds what cannot sign certificates ("), "{error}");
}

#[test]
fn versions_that_nothing_speaks_are_refused() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    let settings = authority.settings();
    let settings =
        TlsSettings { version_min: TlsVersion::Tls13, version_max: Some(TlsVersion::Tls12), ..settings };
    let error = Tls::load(settings).unwrap_err().to_string();
    assert!(error.starts_with("the versions and cipher suites of TLS do not fit together: "), "{error}");
}

#[tokio::test]
async fn only_the_versions_that_were_chosen_are_spoken() {
    let authority = Authority::new();
    authority.sign("server", "server", &["localhost"], 1);
    let settings = TlsSettings {
        version_max: Some(TlsVersion::Tls12),
        cipher_suites: vec!["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305".to_owned()],
        ..authority.settings()
    };
    let server = Server::start(settings);
    let stream = TcpStream::connect(server.address).await.unwrap();
    let client = Client::new(&authority.path("ca.pem"), None);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(client.0).connect(name, stream).await.unwrap();
    let (_, session) = stream.get_ref();
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    let suite = session.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256);
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
}
