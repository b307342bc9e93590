//! `watchful auth`: whether everybody has to say who they are.

use clap::{Args, Subcommand};
use serde::Serialize;
use watchful_wire::etcdserverpb::{AuthDisableRequest, AuthEnableRequest, AuthStatusRequest};

use crate::failure::Failure;
use crate::json::revision;
use crate::output::Output;
use crate::server::Server;

/// Turn auth on and off: users, roles and permissions
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    command: AuthCommand,
}

const ENABLE_HELP: &str = r#"It needs a user root that has the role root:
  watchful user add root && watchful role add root && watchful user grant root root
JSON: {"revision":7,"enabled":true}"#;

#[derive(Clone, Debug, Subcommand)]
enum AuthCommand {
    /// From here on, everybody says who they are, and does what they may
    #[command(after_help = ENABLE_HELP)]
    Enable,
    /// From here on, everybody may do everything; users and roles stay
    #[command(after_help = r#"JSON: {"revision":7,"enabled":false}"#)]
    Disable,
    /// Tell whether it is on
    #[command(after_help = r#"JSON: {"revision":7,"enabled":true,"auth_revision":5}
  auth_revision: counts the changes of users, roles and permissions."#)]
    Status,
}

#[derive(Serialize)]
struct JsonAuth {
    revision: i64,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_revision: Option<u64>,
}

pub(crate) async fn run(args: AuthArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    match args.command {
        AuthCommand::Enable => {
            let response = server.answer(server.auth().auth_enable(AuthEnableRequest {})).await?;
            print(revision(response.header.as_ref()), true, None, out)
        }
        AuthCommand::Disable => {
            let response = server.answer(server.auth().auth_disable(AuthDisableRequest {})).await?;
            print(revision(response.header.as_ref()), false, None, out)
        }
        AuthCommand::Status => {
            let response = server.answer(server.auth().auth_status(AuthStatusRequest {})).await?;
            let told = Some(response.auth_revision);
            print(revision(response.header.as_ref()), response.enabled, told, out)
        }
    }
}

fn print(
    revision: i64,
    enabled: bool,
    auth_revision: Option<u64>,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let is = if enabled { "on" } else { "off" };
    let answer = JsonAuth { revision, enabled, auth_revision };
    match auth_revision {
        None => out.answer(&answer, format_args!("auth is {is}")),
        Some(told) => out.answer(&answer, format_args!("auth is {is}, at its revision {told}")),
    }
}
