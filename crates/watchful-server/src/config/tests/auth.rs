//! The flags of users, tokens and passwords.

use super::*;
use crate::auth::{AuthSettings, TokenSettings};

#[test]
fn users_come_with_simple_tokens_unless_something_else_is_said() {
    let AuthSettings { tokens, simple_token_ttl, bcrypt_cost, client_cert_auth, .. } =
        config(&[]).settings.auth;
    assert_eq!((tokens, simple_token_ttl), (TokenSettings::Simple, Duration::from_secs(300)));
    assert_eq!((bcrypt_cost, client_cert_auth), (10, false));
}

#[test]
fn tokens_and_passwords_are_set() {
    check(&["--auth-token=simple"], |config| config.settings.auth.tokens.clone(), TokenSettings::Simple);
    check(&["--auth-token="], |config| config.settings.auth.tokens.clone(), TokenSettings::None);
    let jwt = &["--auth-token", "jwt,pub-key=a.pub,priv-key=a,sign-method=PS256,ttl=10m"];
    let Config { settings, .. } = config(jwt);
    let TokenSettings::Jwt(jwt) = settings.auth.tokens else { panic!("it is jwt") };
    assert_eq!((jwt.private_key, jwt.ttl), (Some("a".into()), Duration::from_secs(600)));
    check(&["--auth-token-ttl=60"], |config| config.settings.auth.simple_token_ttl, Duration::from_secs(60));
    check(&["--auth-token-ttl=0"], |config| config.settings.auth.simple_token_ttl, Duration::from_secs(300));
    check(&["--bcrypt-cost=4"], |config| config.settings.auth.bcrypt_cost, 4);
    check(
        &["--client-cert-auth", "--trusted-ca-file=ca"],
        |config| config.settings.auth.client_cert_auth,
        true,
    );
}

#[test]
fn variables_and_files_set_them_too() {
    let variables = [("ETCD_BCRYPT_COST", "12"), ("ETCD_AUTH_TOKEN_TTL", "7")];
    let auth = config_with(&[], &variables).settings.auth;
    assert_eq!((auth.bcrypt_cost, auth.simple_token_ttl), (12, Duration::from_secs(7)));
    let (_folder, path) = file(
        "auth-token: 'jwt,sign-method=HS256,priv-key=secret'\nauth-token-ttl: 9\nbcrypt-cost: 5\n\
         client-transport-security:\n  client-cert-auth: true\n  trusted-ca-file: ca\n",
    );
    let auth = config(&["--config-file", &path]).settings.auth;
    assert_eq!(
        (auth.bcrypt_cost, auth.simple_token_ttl, auth.client_cert_auth),
        (5, Duration::from_secs(9), true)
    );
    assert!(matches!(auth.tokens, TokenSettings::Jwt(_)));
}

#[test]
fn what_cannot_be_is_refused() {
    check_error(&["--auth-token=x"], "--auth-token: \"x\" is neither simple nor jwt");
    check_error(
        &["--auth-token=jwt,pub-key=a"],
        "--auth-token: sign-method is missing; write jwt,sign-method=RS256,…",
    );
    check_error(&["--bcrypt-cost=3"], "--bcrypt-cost: \"3\" is not a whole number from 4 to 16");
    check_error(&["--bcrypt-cost=17"], "--bcrypt-cost: \"17\" is not a whole number from 4 to 16");
    check_error(
        &["--auth-token-ttl=5m"],
        "--auth-token-ttl: \"5m\" is not a whole number from 0 to 4294967295",
    );
}
