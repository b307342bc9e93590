//! Web tokens against those of Go's library, which etcd uses; and each way in which one can be wrong.

use std::path::{Path, PathBuf};

use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/jwt").join(name)
}

/// A key's file; none for a dash or nothing.
fn key(name: &str) -> Option<PathBuf> {
    (!name.is_empty() && name != "-").then(|| golden(name))
}

fn tokens(method: &str, private: &str, public: &str) -> Result<WebTokens, String> {
    WebTokens::new(&JwtSettings {
        sign_method: method.parse().unwrap(),
        public_key: key(public),
        private_key: key(private),
        ttl: Duration::from_secs(300),
    })
}

fn alice(revision: u64) -> Option<(String, u64)> {
    Some(("alice".to_owned(), revision))
}

/// `header.claims.signature` by HS256 with the golden secret.
fn signed(header: &Value, claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &std::fs::read(golden("secret")).unwrap());
    let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature))
}

fn hs256() -> WebTokens {
    tokens("HS256", "secret", "").unwrap()
}

#[test]
fn tokens_of_go_are_read_and_ours_are_like_them() {
    let lines = std::fs::read_to_string(golden("by-go.txt")).unwrap();
    for line in lines.lines() {
        let [method, private, public, token] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let own = tokens(method, private, "").unwrap();
        assert_eq!(own.read(token), alice(7), "{method}");
        let issued = own.sign("alice", 9).unwrap();
        assert_eq!(own.read(&issued), alice(9), "{method}");
        assert_eq!(issued.split('.').next(), token.split('.').next(), "{method}: the same header");
        if public != "-" {
            let checks = tokens(method, "", public).unwrap();
            assert_eq!((checks.read(token), checks.read(&issued)), (alice(7), alice(9)), "{method}");
            tokens(method, private, public).unwrap();
        }
    }
    assert_eq!(lines.lines().count(), SignMethod::ALL.len());
}

#[test]
fn keys_are_read_in_each_form() {
    let same = |method: &str, one: (&str, &str), other: (&str, &str)| {
        let issued = tokens(method, one.0, one.1).unwrap().sign("alice", 1).unwrap();
        assert_eq!(tokens(method, other.0, other.1).unwrap().read(&issued), alice(1), "{one:?} {other:?}");
    };
    same("RS256", ("rsa.pem", ""), ("rsa-pkcs1.pem", ""));
    same("RS256", ("rsa-pkcs1.pem", "rsa-cert.pem"), ("", "rsa-cert.pem"));
    same("ES256", ("p256.pem", ""), ("p256-sec1.pem", "p256.pub.pem"));
}

#[test]
fn keys_that_do_not_fit_are_refused_with_what_is_wrong() {
    let check = |method: &str, private: &str, public: &str, expected: &str| {
        let wrong = tokens(method, private, public).unwrap_err();
        let wrong =
            wrong.replace(&format!("{}/", golden("").display().to_string().trim_end_matches('/')), "");
        assert_eq!(wrong, expected);
    };
    check("RS256", "p256.pem", "", "priv-key: p256.pem: no RSA key that can be used: WrongAlgorithm");
    check(
        "RS256",
        "rsa.pub.pem",
        "",
        "priv-key: rsa.pub.pem: there is no private key of RSA in it; it must be PEM",
    );
    check(
        "ES256",
        "p384-sec1.pem",
        "",
        "priv-key: p384-sec1.pem: no EC key that can be used: WrongAlgorithm",
    );
    check(
        "ES256",
        "",
        "p384.pub.pem",
        "pub-key: p384.pub.pem: the key is not one of EC for this sign-method",
    );
    check(
        "EdDSA",
        "",
        "rsa.pub.pem",
        "pub-key: rsa.pub.pem: the key is not one of Ed25519 for this sign-method",
    );
    check(
        "RS256",
        "",
        "rsa-1024.pub.pem",
        "pub-key: rsa-1024.pub.pem: the key has 1024 bits, and 2048 are the least",
    );
    check(
        "RS256",
        "",
        "secret",
        "pub-key: secret: there is no public key and no certificate in it; it must be PEM",
    );
    check("HS256", "none", "", "priv-key: none: No such file or directory (os error 2)");
    let mismatch = "pub-key is not the public key of priv-key; give those that belong together";
    check("EdDSA", "ed25519.pem", "ed25519-other.pub.pem", mismatch);
}

#[test]
fn a_public_key_alone_checks_and_does_not_sign() {
    let refused = tokens("EdDSA", "", "ed25519.pub.pem").unwrap().sign("alice", 1).unwrap_err();
    assert_eq!(refused.message(), "auth: token signing attempted with verify-only key");
}

#[test]
fn a_token_is_for_one_method_whatever_it_says() {
    let claims = json!({ "username": "root", "revision": 1 });
    for alg in ["none", "HS384", "RS256", "hs256", ""] {
        assert_eq!(hs256().read(&signed(&json!({ "alg": alg }), &claims)), None, "{alg}");
    }
    assert_eq!(hs256().read(&signed(&json!({ "alg": "HS256", "crit": ["x"] }), &claims)), None);
    // A public key is known to everybody, and is no secret of HS256.
    let public = std::fs::read(golden("rsa.pub.pem")).unwrap();
    let message = signed(&json!({ "alg": "HS256" }), &claims);
    let message = message.rsplit_once('.').unwrap().0;
    let forged = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), message.as_bytes());
    let forged = format!("{message}.{}", BASE64.encode(forged));
    assert_eq!(tokens("RS256", "", "rsa.pub.pem").unwrap().read(&forged), None);
}

#[test]
fn a_token_holds_for_its_time() {
    let now = seconds_since_1970();
    let read = |end: Value| {
        let mut claims = json!({ "username": "alice", "revision": 3 });
        claims.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        hs256().read(&signed(&json!({ "alg": "HS256" }), &claims))
    };
    assert_eq!(read(json!({})), alice(3));
    assert_eq!(read(json!({ "exp": now + 100, "nbf": now - 100 })), alice(3));
    assert_eq!(read(json!({ "exp": now + 100, "aud": "x", "iss": "y" })), alice(3));
    assert_eq!(read(json!({ "exp": now })), None);
    assert_eq!(read(json!({ "exp": 0 })), None);
    assert_eq!(read(json!({ "exp": "soon" })), None);
    assert_eq!(read(json!({ "nbf": now + 100 })), None);
}

#[test]
fn a_token_has_to_say_who_and_at_which_revision() {
    let read = |claims: Value| hs256().read(&signed(&json!({ "alg": "HS256" }), &claims));
    assert_eq!(read(json!({ "username": "alice", "revision": 7.0 })), alice(7));
    for claims in [
        json!({ "username": "alice" }),
        json!({ "revision": 1 }),
        json!({ "username": 1, "revision": 1 }),
        json!({ "username": "alice", "revision": "1" }),
        json!({ "username": "alice", "revision": -1 }),
        json!({ "username": "alice", "revision": 1e30 }),
        json!([]),
    ] {
        assert_eq!(read(claims.clone()), None, "{claims}");
    }
}

#[test]
fn a_token_that_was_touched_is_none() {
    let tokens = hs256();
    let token = tokens.sign("alice", 1).unwrap();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(touched) = String::from_utf8(bytes) {
            assert_eq!(tokens.read(&touched), None, "{touched}");
        }
    }
    for wrong in ["", ".", "..", "a.b", "a.b.c.d", &token[1..], &format!("{token}=")] {
        assert_eq!(tokens.read(wrong), None, "{wrong}");
    }
    assert_eq!(tokens.read(&"a".repeat(TOKEN_BYTES_MAX + 1)), None);
}

#[test]
fn no_key_is_printed() {
    let printed = format!("{:?}", hs256());
    assert_eq!(printed, "WebTokens { method: Hs256, ttl: 300s, .. }");
}
