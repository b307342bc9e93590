//! `watchful user`: who there is, and which roles they have.

use clap::builder::{NonEmptyStringValueParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use serde::Serialize;
use watchful_wire::authpb::UserAddOptions;
use watchful_wire::etcdserverpb::{
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
};

use crate::failure::Failure;
use crate::json::revision;
use crate::login::{Secret, new_password};
use crate::output::Output;
use crate::server::Server;
use crate::text::shown;

/// Add, change and delete users, and give them roles
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

const ADD_HELP: &str = r#"A password that is not given with the name is asked for on a terminal; otherwise it is the first line
of stdin, which other users of this machine do not see.
JSON: {"revision":7,"user":"alice"}"#;

const PASSWD_HELP: &str = r#"It is asked for on a terminal, and otherwise is the first line of stdin. What the user's tokens were,
they are no longer.
JSON: {"revision":7,"user":"alice"}"#;

#[derive(Clone, Debug, Subcommand)]
enum UserCommand {
    /// Add a user
    #[command(after_help = ADD_HELP)]
    Add {
        /// The name, and the password
        #[arg(
            value_name = "NAME[:PASSWORD]",
            value_parser = NonEmptyStringValueParser::new().map(Secret::from)
        )]
        // Not `user`: that is who asks.
        account: Secret,
        /// None: the user comes with a client certificate of that name
        #[arg(long)]
        no_password: bool,
    },
    /// Delete a user
    #[command(alias = "delete", after_help = r#"JSON: {"revision":7,"user":"alice"}"#)]
    Del {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
    },
    /// Tell a user's roles
    #[command(after_help = r#"JSON: {"revision":7,"user":"alice","roles":["app-reader"]}"#)]
    Get {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
    },
    /// List all users
    #[command(after_help = r#"JSON, a line for each: {"user":"alice"}"#)]
    List,
    /// Change a user's password
    #[command(after_help = PASSWD_HELP)]
    Passwd {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
    },
    /// Give a user a role
    #[command(
        alias = "grant-role",
        after_help = r#"JSON: {"revision":7,"user":"alice","role":"app-reader"}"#
    )]
    Grant {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        role: String,
    },
    /// Take a role from a user
    #[command(
        alias = "revoke-role",
        after_help = r#"JSON: {"revision":7,"user":"alice","role":"app-reader"}"#
    )]
    Revoke {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        role: String,
    },
}

#[derive(Default, Serialize)]
struct JsonUser<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
}

pub(crate) async fn run(args: UserArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    match args.command {
        UserCommand::Add { account, no_password } => add(account, no_password, server, out).await,
        UserCommand::Del { name } => del(&name, server, out).await,
        UserCommand::Get { name } => get(&name, server, out).await,
        UserCommand::List => list(server, out).await,
        UserCommand::Passwd { name } => passwd(&name, server, out).await,
        UserCommand::Grant { name, role } => grant(&name, &role, server, out).await,
        UserCommand::Revoke { name, role } => revoke(&name, &role, server, out).await,
    }
}

async fn add(
    account: Secret,
    no_password: bool,
    server: &Server,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let (name, password) = if no_password { (account.reveal(), None) } else { account.split() };
    if name.is_empty() {
        return Err(Failure::told("a user has a name: write NAME or NAME:PASSWORD"));
    }
    let password = match password {
        Some(password) => password.reveal(),
        None if no_password => String::new(),
        None => new_password(&name)?.reveal(),
    };
    let options = Some(UserAddOptions { no_password });
    let request = AuthUserAddRequest { name: name.clone(), password, options, ..Default::default() };
    let response = server.answer(server.auth().user_add(request)).await?;
    let answer =
        JsonUser { revision: Some(revision(response.header.as_ref())), user: &name, ..Default::default() };
    out.answer(&answer, format_args!("user {} added", shown(name.as_bytes())))
}

async fn del(user: &str, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = AuthUserDeleteRequest { name: user.to_owned() };
    let response = server.answer(server.auth().user_delete(request)).await?;
    let answer = JsonUser { revision: Some(revision(response.header.as_ref())), user, ..Default::default() };
    out.answer(&answer, format_args!("user {} deleted", shown(user.as_bytes())))
}

async fn get(user: &str, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = AuthUserGetRequest { name: user.to_owned() };
    let response = server.answer(server.auth().user_get(request)).await?;
    let roles = &response.roles[..];
    let revision = Some(revision(response.header.as_ref()));
    let answer = JsonUser { revision, user, roles: Some(roles), ..Default::default() };
    let (user, names) = (shown(user.as_bytes()), shown(roles.join(", ").as_bytes()));
    match roles {
        [] => out.answer(&answer, format_args!("user {user} has no roles")),
        [_] => out.answer(&answer, format_args!("user {user} has the role {names}")),
        _ => out.answer(&answer, format_args!("user {user} has the roles {names}")),
    }
}

async fn list(server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let response = server.answer(server.auth().user_list(AuthUserListRequest {})).await?;
    response
        .users
        .iter()
        .try_for_each(|user| out.answer(&JsonUser { user, ..Default::default() }, shown(user.as_bytes())))
}

async fn passwd(user: &str, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let password = new_password(user)?.reveal();
    let request = AuthUserChangePasswordRequest { name: user.to_owned(), password, ..Default::default() };
    let response = server.answer(server.auth().user_change_password(request)).await?;
    let answer = JsonUser { revision: Some(revision(response.header.as_ref())), user, ..Default::default() };
    out.answer(&answer, format_args!("password of user {} changed", shown(user.as_bytes())))
}

async fn grant(user: &str, role: &str, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
    let response = server.answer(server.auth().user_grant_role(request)).await?;
    let revision = Some(revision(response.header.as_ref()));
    let answer = JsonUser { revision, user, role: Some(role), ..Default::default() };
    let (user, role) = (shown(user.as_bytes()), shown(role.as_bytes()));
    out.answer(&answer, format_args!("role {role} granted to user {user}"))
}

async fn revoke(user: &str, role: &str, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = AuthUserRevokeRoleRequest { name: user.to_owned(), role: role.to_owned() };
    let response = server.answer(server.auth().user_revoke_role(request)).await?;
    let revision = Some(revision(response.header.as_ref()));
    let answer = JsonUser { revision, user, role: Some(role), ..Default::default() };
    let (user, role) = (shown(user.as_bytes()), shown(role.as_bytes()));
    out.answer(&answer, format_args!("role {role} revoked from user {user}"))
}
