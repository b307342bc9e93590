//! Who asks: a user's name and password, as they were said, or are asked for at the terminal.
//!
//! What `--user` and `--password` mean together is as with etcdctl, and so are its variables. No password is ever printed.

use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _};

use crate::args::Connection;
use crate::failure::Failure;

/// More than any password has: what is read has a bound.
const LINE_BYTES_MAX: u64 = 4 << 10;

/// What nobody should read over a shoulder, or in a log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// A user, and what shows that it is this one.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: Secret,
}

impl Login {
    /// None where nobody is named.
    pub(crate) fn of(to: &Connection) -> Result<Option<Self>, Failure> {
        let user = said(to.user.as_ref(), "ETCDCTL_USER")?;
        let password = said(to.password.as_ref(), "ETCDCTL_PASSWORD")?;
        let Some((name, password)) = read(user, password).map_err(Failure::told)? else { return Ok(None) };
        let password = password.map_or_else(|| password_of(&name), Ok)?;
        Ok(Some(Self { name, password }))
    }
}

/// An option, or else etcdctl's variable for it. Nothing is as good as none.
fn said(option: Option<&Secret>, variable: &str) -> Result<Option<Secret>, Failure> {
    let said = match (option, std::env::var(variable)) {
        (Some(said), _) => Some(said.clone()),
        (None, Ok(said)) => Some(Secret(said)),
        (None, Err(std::env::VarError::NotPresent)) => None,
        (None, Err(std::env::VarError::NotUnicode(_))) => {
            return Err(Failure::told(format!("the variable {variable} is no text")));
        }
    };
    Ok(said.filter(|said| !said.0.is_empty()))
}

/// The name, and the password where there is one. Beside a password, the user is a name as a whole.
fn read(
    user: Option<Secret>,
    password: Option<Secret>,
) -> Result<Option<(String, Option<Secret>)>, &'static str> {
    match (user, password) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("a password is given, and nobody whose it is: say --user NAME"),
        (Some(user), Some(password)) => Ok(Some((user.0, Some(password)))),
        (Some(user), None) => Ok(Some(user.split())),
    }
}

fn password_of(name: &str) -> Result<Secret, Failure> {
    if !io::stderr().is_terminal() {
        return Err(Failure::told(format!(
            "the password of {name} is not given, and there is no terminal to ask for it: say --user {name}:PASSWORD, \
             or set ETCDCTL_PASSWORD"
        )));
    }
    ask(&format!("Password of {name}: "))
}

/// A password that somebody is to have: asked for twice at a terminal, and otherwise the first line of stdin.
pub(crate) fn new_password(name: &str) -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        return first_line(io::stdin().lock());
    }
    let password = ask(&format!("New password of {name}: "))?;
    if password != ask("The same again: ")? {
        return Err(Failure::told("the two are not the same: nothing was changed"));
    }
    Ok(password)
}

fn first_line(input: impl io::BufRead) -> Result<Secret, Failure> {
    let mut line = String::new();
    input
        .take(LINE_BYTES_MAX)
        .read_line(&mut line)
        .map_err(|error| Failure::told(format!("stdin cannot be read: {error}")))?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    match line.strip_suffix('\r').unwrap_or(line) {
        "" => Err(Failure::told("there is no password: stdin has none in its first line")),
        password => Ok(Secret(password.to_owned())),
    }
}

/// Asks at the terminal, and shows nothing of what is typed.
fn ask(prompt: &str) -> Result<Secret, Failure> {
    let asked = rpassword::prompt_password(prompt);
    asked.map(Secret).map_err(|error| Failure::told(format!("no password can be asked for: {error}")))
}

impl Secret {
    pub(crate) fn reveal(self) -> String {
        self.0
    }

    /// Of `NAME:PASSWORD`, both; of anything else, a name.
    pub(crate) fn split(self) -> (String, Option<Self>) {
        match self.0.split_once(':') {
            Some((name, password)) => (name.to_owned(), Some(Self(password.to_owned()))),
            None => (self.0, None),
        }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Without what it is.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user: Option<&str>, password: Option<&str>, expected: Result<Option<(&str, Option<&str>)>, ()>) {
        let secret = |text: Option<&str>| text.map(|text| Secret(text.to_owned()));
        let found = read(secret(user), secret(password)).map_err(|_| ());
        let expected =
            expected.map(|login| login.map(|(name, password)| (name.to_owned(), secret(password))));
        assert_eq!(found, expected, "{user:?} {password:?}");
    }

    #[test]
    fn users_and_passwords_as_etcdctl_takes_them() {
        check(None, None, Ok(None));
        check(Some("a"), None, Ok(Some(("a", None))));
        check(Some("a:b"), None, Ok(Some(("a", Some("b")))));
        check(Some("a:b:c"), None, Ok(Some(("a", Some("b:c")))));
        check(Some("a:"), None, Ok(Some(("a", Some("")))));
        check(Some("a:b"), Some("c"), Ok(Some(("a:b", Some("c")))));
        check(None, Some("c"), Err(()));
    }

    #[test]
    fn a_password_is_a_line() {
        let check = |input: &str, expected: Option<&str>| {
            let found = first_line(input.as_bytes()).ok().map(Secret::reveal);
            assert_eq!(found.as_deref(), expected, "{input:?}");
        };
        check("a b\nc", Some("a b"));
        check("a\r\n", Some("a"));
        check("a", Some("a"));
        check("\na", None);
        check("", None);
    }
}
