//! From a name and a password to a token.

use bytes::Bytes;
use tonic::{Request, Status};
use watchful_wire::etcdserverpb::AuthenticateRequest;

use super::Auth;
use crate::answers;
use crate::auth::authority::Authority;
use crate::auth::passwords::{Given, Stored};

/// How much of a name that nobody has is in the log.
const NAME_SHOWN_CHARS: usize = 64;

/// How often a token is made anew because users changed meanwhile. Each change takes a commit, so this is seldom once.
const TRIES: usize = 64;

impl Auth {
    /// A token for whoever knows the password. Who is not there and who has no password are refused like a wrong one, and
    /// after the same work.
    pub(super) async fn token(&self, request: Request<AuthenticateRequest>) -> Result<String, Status> {
        let (authority, passwords) = (self.authority(), self.authority().passwords());
        let state = authority.state();
        if !state.enabled {
            return Err(answers::auth_not_enabled());
        }
        let lane = passwords.lane(request.extensions(), &request.get_ref().name);
        let AuthenticateRequest { name, password } = request.into_inner();
        let (kept, given) = (state.password(&name), Given::of(password));
        let name = if kept.is_some() { name } else { shown(name) };
        let stored = Stored::of(kept.as_deref(), state.usual_cost.unwrap_or(passwords.cost()));
        drop(state);
        match (passwords.is_right(lane, given, stored).await?, kept) {
            (true, Some(kept)) => issue(authority.clone(), name, kept).await,
            _ => {
                tracing::info!(user = ?name, "a wrong password");
                Err(answers::auth_failed())
            }
        }
    }
}

/// As much as the log tells of a name that nobody has. Whoever waits keeps no more of it.
fn shown(name: String) -> String {
    name.chars().take(NAME_SHOWN_CHARS).collect()
}

/// Issues the token, unless the password that was right is no longer the user's.
async fn issue(authority: Authority, name: String, kept: Bytes) -> Result<String, Status> {
    // To sign may take milliseconds.
    let issued = tokio::task::spawn_blocking(move || {
        for _ in 0..TRIES {
            let state = authority.state();
            if !state.enabled {
                return Err(answers::auth_not_enabled());
            }
            if state.password(&name).as_ref() != Some(&kept) {
                return Err(answers::auth_failed());
            }
            let token = authority.tokens().issue(&name, state.revision)?;
            if authority.is_now(&state) {
                return Ok(token);
            }
            // A change came in between, and may have ended this user's tokens before this one was there.
            authority.tokens().take_back(&token);
        }
        Err(Status::unavailable("watchful: users and roles change all the time; try again"))
    });
    issued.await.unwrap_or_else(|panic| Err(Status::internal(format!("watchful: {panic}"))))
}
