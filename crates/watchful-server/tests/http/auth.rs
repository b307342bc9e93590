//! Users over JSON: a token comes from one call and goes with the others as `Authorization`.

use serde_json::json;

use crate::support::{Served, base64, put};

#[tokio::test]
async fn a_token_comes_and_goes_as_json() {
    let served = Served::start_with(|settings| settings.auth.bcrypt_cost = 4).await;
    for (path, request) in [
        ("user/add", json!({"name": "root", "password": "r"})),
        ("user/grant", json!({"user": "root", "role": "root"})),
        ("enable", json!({})),
    ] {
        assert_eq!(served.post(&format!("/v3/auth/{path}"), &request.to_string()).await.0, 200, "{path}");
    }
    let (status, refused) = served.post("/v3/kv/put", &put("k", "1")).await;
    assert_eq!((status.as_u16(), &refused["message"]), (400, &json!("etcdserver: user name is empty")));
    let login = |password: &str| json!({"name": "root", "password": password}).to_string();
    let (status, refused) = served.post("/v3/auth/authenticate", &login("x")).await;
    let failed = json!("etcdserver: authentication failed, invalid user ID or password");
    assert_eq!((status.as_u16(), &refused["message"]), (400, &failed));
    let (_, answer) = served.post("/v3/auth/authenticate", &login("r")).await;
    let token = answer["token"].as_str().unwrap();
    for shown in [token.to_owned(), format!("Bearer {token}")] {
        assert_eq!(served.post_as(&shown, "/v3/kv/put", &put("k", "1")).await.0, 200);
        let (_, users) = served.post_as(&shown, "/v3/auth/user/list", "{}").await;
        assert_eq!(users["users"], json!(["root"]));
    }
    let range = json!({"key": base64("k")}).to_string();
    let (status, refused) = served.post_as("x.1", "/v3/kv/range", &range).await;
    assert_eq!((status.as_u16(), &refused["message"]), (401, &json!("etcdserver: invalid auth token")));
}
