//! `watchful role`: what those may do who have a role.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use watchful_wire::authpb::Permission;
use watchful_wire::authpb::permission::Type;
use watchful_wire::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGetResponse,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest,
};

use crate::failure::Failure;
use crate::json::{Base64, revision};
use crate::output::Output;
use crate::range::{RangeArgs, range_shown};
use crate::server::Server;
use crate::text::shown;

/// Add and delete roles, and say what they permit
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub(crate) struct RoleArgs {
    #[command(subcommand)]
    command: RoleCommand,
}

const GET_HELP: &str = r#"JSON: {"revision":7,"role":"r","permissions":[{"permission":"read","key":BASE64,"range_end":BASE64}]}
  range_end is empty for one key, and AA== (a zero byte) where the range has no end."#;

const GRANT_HELP: &str = r#"A second permission for the same keys takes the place of the first.
JSON: {"revision":7,"role":"r","permission":"read","key":BASE64,"range_end":BASE64}"#;

#[derive(Clone, Debug, Subcommand)]
enum RoleCommand {
    /// Add a role, which permits nothing yet
    #[command(after_help = r#"JSON: {"revision":7,"role":"r"}"#)]
    Add {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        role: String,
    },
    /// Delete a role, and take it from whoever has it
    #[command(alias = "delete", after_help = r#"JSON: {"revision":7,"role":"r"}"#)]
    Del {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        role: String,
    },
    /// Tell what a role permits
    #[command(after_help = GET_HELP)]
    Get {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        role: String,
    },
    /// List all roles
    #[command(after_help = r#"JSON, a line for each: {"role":"r"}"#)]
    List,
    /// Permit a role to read keys, to write them, or both
    #[command(alias = "grant-permission", after_help = GRANT_HELP)]
    Grant {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        role: String,
        /// What is permitted
        #[arg(value_enum)]
        permission: Kind,
        #[command(flatten)]
        range: RangeArgs,
    },
    /// Take a permission from a role: the same keys as were granted
    #[command(
        alias = "revoke-permission",
        after_help = r#"JSON: {"revision":7,"role":"r","key":BASE64,"range_end":BASE64}"#
    )]
    Revoke {
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        role: String,
        #[command(flatten)]
        range: RangeArgs,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Read,
    Write,
    Readwrite,
}

impl Kind {
    fn wire(self) -> Type {
        match self {
            Self::Read => Type::Read,
            Self::Write => Type::Write,
            Self::Readwrite => Type::Readwrite,
        }
    }

    fn of(permission: &Permission) -> Self {
        match permission.perm_type() {
            Type::Read => Self::Read,
            Type::Write => Self::Write,
            Type::Readwrite => Self::Readwrite,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Readwrite => "readwrite",
        }
    }
}

#[derive(Serialize)]
struct JsonRole<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<JsonPermission<'a>>>,
    #[serde(flatten)]
    permission: Option<JsonPermission<'a>>,
}

#[derive(Serialize)]
struct JsonPermission<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<Kind>,
    key: Base64<'a>,
    range_end: Base64<'a>,
}

impl<'a> JsonRole<'a> {
    fn new(revision: Option<i64>, role: &'a str) -> Self {
        Self { revision, role, permissions: None, permission: None }
    }
}

impl<'a> JsonPermission<'a> {
    fn new(permission: Option<Kind>, key: &'a [u8], range_end: &'a [u8]) -> Self {
        Self { permission, key: Base64(key), range_end: Base64(range_end) }
    }
}

pub(crate) async fn run(args: RoleArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    match args.command {
        RoleCommand::Add { role } => add(&role, server, out).await,
        RoleCommand::Del { role } => del(&role, server, out).await,
        RoleCommand::Get { role } => {
            let request = AuthRoleGetRequest { role: role.clone() };
            let response = server.answer(server.auth().role_get(request)).await?;
            print_role(&role, &response, out)
        }
        RoleCommand::List => list(server, out).await,
        RoleCommand::Grant { role, permission, range } => grant(&role, permission, range, server, out).await,
        RoleCommand::Revoke { role, range } => revoke(&role, range, server, out).await,
    }
}

async fn add(role: &str, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = AuthRoleAddRequest { name: role.to_owned() };
    let response = server.answer(server.auth().role_add(request)).await?;
    let answer = JsonRole::new(Some(revision(response.header.as_ref())), role);
    out.answer(&answer, format_args!("role {} added", shown(role.as_bytes())))
}

async fn del(role: &str, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = AuthRoleDeleteRequest { role: role.to_owned() };
    let response = server.answer(server.auth().role_delete(request)).await?;
    let answer = JsonRole::new(Some(revision(response.header.as_ref())), role);
    out.answer(&answer, format_args!("role {} deleted", shown(role.as_bytes())))
}

fn print_role(role: &str, response: &AuthRoleGetResponse, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json {
        let permission = |it| JsonPermission::new(Some(Kind::of(it)), &it.key, &it.range_end);
        let permissions = Some(response.perm.iter().map(permission).collect());
        let revision = Some(revision(response.header.as_ref()));
        return out.object(&JsonRole { permissions, ..JsonRole::new(revision, role) });
    }
    if role == "root" {
        return out.line("role root permits everything");
    }
    if response.perm.is_empty() {
        return out.line(format_args!("role {} permits nothing", shown(role.as_bytes())));
    }
    response.perm.iter().try_for_each(|it| {
        out.line(format_args!("{:<9}  {}", Kind::of(it).name(), range_shown(&it.key, &it.range_end, shown)))
    })
}

async fn list(server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let response = server.answer(server.auth().role_list(AuthRoleListRequest {})).await?;
    response.roles.iter().try_for_each(|role| out.answer(&JsonRole::new(None, role), shown(role.as_bytes())))
}

async fn grant(
    role: &str,
    kind: Kind,
    range: RangeArgs,
    server: &Server,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let range = range.range();
    let perm = Permission {
        perm_type: kind.wire().into(),
        key: range.key.clone().into(),
        range_end: range.range_end.clone().into(),
    };
    let request = AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(perm) };
    let response = server.answer(server.auth().role_grant_permission(request)).await?;
    let permission = Some(JsonPermission::new(Some(kind), &range.key, &range.range_end));
    let answer = JsonRole { permission, ..JsonRole::new(Some(revision(response.header.as_ref())), role) };
    let keys = range_shown(&range.key, &range.range_end, shown);
    out.answer(&answer, format_args!("{} {keys} granted to role {}", kind.name(), shown(role.as_bytes())))
}

async fn revoke(role: &str, range: RangeArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let range = range.range();
    let request = AuthRoleRevokePermissionRequest {
        role: role.to_owned(),
        key: range.key.clone().into(),
        range_end: range.range_end.clone().into(),
    };
    let response = server.answer(server.auth().role_revoke_permission(request)).await?;
    let permission = Some(JsonPermission::new(None, &range.key, &range.range_end));
    let answer = JsonRole { permission, ..JsonRole::new(Some(revision(response.header.as_ref())), role) };
    let keys = range_shown(&range.key, &range.range_end, shown);
    out.answer(&answer, format_args!("{keys} revoked from role {}", shown(role.as_bytes())))
}
