//! A flood of wrong passwords: whoever has a token goes on, whoever has the right password still gets in, the memory stays
//! bounded, and no password and no token is in the log, however much is logged.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::{JoinSet, block_in_place};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Request};
use watchful_clients::own_memory;
use watchful_wire::authpb::Permission;
use watchful_wire::etcdserverpb::auth_client::AuthClient;
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest, PutRequest, RangeRequest,
};

use crate::support::{DEADLINE, Server, connect};

const CLIENTS: usize = 64;

/// What the others do while the flood goes on. A read takes no time beside a hash: were they done by the same threads, so
/// many reads would wait for more hashes than this.
const READS: usize = 1_000;
const WRITES: usize = 100;

/// What is told of each client, of each call, and of a thread of its own that makes hashes, is small.
const GROWTH_BYTES_MAX: u64 = 32 << 20;

/// Passwords that nobody has, and those of the users. They must not be seen again.
const WRONG: &str = "wrong-Zei5Aeth";
const ROOTS: &str = "roots-Ohph7ahw";
const BOBS: &str = "bobs-ieQu4phe";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_wrong_passwords_holds_nobody_else_up() {
    let mut server = Server::watchful_with(&["--log-level=debug"]);
    let channel = connect(&server.endpoint()).await;
    people(&channel).await;
    let token = log_in(&channel).await;
    let before = own_memory(server.process_id());

    let flood = Flood::start(&server.endpoint()).await;
    flood.until_answered(CLIENTS).await;
    let answered = flood.answered();
    timeout(DEADLINE, read(&channel, &token)).await.expect("reads should go on");
    let meanwhile = flood.answered() - answered;
    timeout(DEADLINE, write(&channel, &token)).await.expect("writes should go on");
    let again = timeout(DEADLINE, log_in(&channel)).await.expect("the right password should get its turn");
    let by_json = block_in_place(|| log_in_by_json(&server.authority()));
    let grown = own_memory(server.process_id()).saturating_sub(before);
    assert!(meanwhile < READS, "{READS} reads waited for {meanwhile} hashes");
    assert!(grown <= GROWTH_BYTES_MAX, "the server grew by {} MiB", grown >> 20);
    assert_eq!(flood.stop().await, CLIENTS, "the flood should have gone on to the end");

    drop(channel);
    let ended = block_in_place(|| server.terminate());
    let log = ended.stdout + &ended.stderr;
    // Beside which call a line belongs to, which it tells at that level only.
    for told in ["call{method=\"/etcdserverpb.Auth/Authenticate\"", "a wrong password user=\"root\""] {
        assert!(log.contains(told), "{told} should be in it: {log}");
    }
    for secret in [WRONG, ROOTS, BOBS, &token, &again, &by_json] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// Root, and bob who may read and write everything.
async fn people(channel: &Channel) {
    let mut auth = AuthClient::new(channel.clone());
    for (name, password) in [("root", ROOTS), ("bob", BOBS)] {
        let (name, password) = (name.to_owned(), password.to_owned());
        auth.user_add(AuthUserAddRequest { name, password, ..Default::default() }).await.unwrap();
    }
    auth.role_add(AuthRoleAddRequest { name: "all".to_owned() }).await.unwrap();
    let perm = Some(Permission { perm_type: 2, key: "\0".into(), range_end: "\0".into() });
    let grant = AuthRoleGrantPermissionRequest { name: "all".to_owned(), perm };
    auth.role_grant_permission(grant).await.unwrap();
    for (user, role) in [("root", "root"), ("bob", "all")] {
        let (user, role) = (user.to_owned(), role.to_owned());
        auth.user_grant_role(AuthUserGrantRoleRequest { user, role }).await.unwrap();
    }
    auth.auth_enable(AuthEnableRequest {}).await.unwrap();
}

async fn log_in(channel: &Channel) -> String {
    let login = AuthenticateRequest { name: "bob".to_owned(), password: BOBS.to_owned() };
    AuthClient::new(channel.clone()).authenticate(login).await.unwrap().into_inner().token
}

/// Asks for a token through the gateway, and uses it there.
fn log_in_by_json(authority: &str) -> String {
    let login = format!(r#"{{"name": "bob", "password": "{BOBS}"}}"#);
    let answer = post(authority, "/v3/auth/authenticate", "", &login);
    let (_, rest) = answer.split_once(r#""token":""#).unwrap_or_else(|| panic!("no token: {answer}"));
    let token = rest.split('"').next().unwrap().to_owned();
    let answer =
        post(authority, "/v3/kv/range", &format!("Authorization: {token}\r\n"), r#"{"key": "YQ=="}"#);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    token
}

fn post(authority: &str, path: &str, header: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}{header}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("token", token.parse().unwrap());
    request
}

async fn read(channel: &Channel, token: &str) {
    let mut kv = KvClient::new(channel.clone());
    for _ in 0..READS {
        kv.range(with_token(token, RangeRequest { key: "a".into(), ..Default::default() })).await.unwrap();
    }
}

async fn write(channel: &Channel, token: &str) {
    let mut kv = KvClient::new(channel.clone());
    for at in 0..WRITES {
        let put = PutRequest { key: "a".into(), value: at.to_string().into(), ..Default::default() };
        kv.put(with_token(token, put)).await.unwrap();
    }
}

/// Clients that try one wrong password after the other.
struct Flood {
    clients: JoinSet<()>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Flood {
    async fn start(endpoint: &str) -> Self {
        let (answered, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let channel = connect(endpoint).await;
            clients.spawn(guess(channel, Arc::clone(&answered), Arc::clone(&stop)));
        }
        Self { clients, answered, stop }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    async fn until_answered(&self, count: usize) {
        let reached = async {
            while self.answered() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, reached).await.expect("wrong passwords should be answered");
    }

    /// Ends it. Answers with how many clients were still at it.
    async fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut clients = 0;
        while let Some(ended) = timeout(DEADLINE, self.clients.join_next()).await.expect("it should end") {
            ended.unwrap();
            clients += 1;
        }
        clients
    }
}

async fn guess(channel: Channel, answered: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    let mut auth = AuthClient::new(channel);
    while !stop.load(Ordering::Relaxed) {
        let login = AuthenticateRequest { name: "root".to_owned(), password: WRONG.to_owned() };
        let refused = auth.authenticate(login).await.expect_err("the password is wrong");
        assert!(matches!(refused.code(), Code::InvalidArgument | Code::ResourceExhausted), "{refused}");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}
