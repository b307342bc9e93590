//! The table of flags as text: for `--help`, and for the page for operators.

use std::fmt::Write as _;

use super::table::{self, Does, Flag, Section, Takes};

/// How wide a line of the help text may be.
const WIDTH: usize = 100;

const USAGE: &str = "\
Watchful: a key-value store that you can watch, with etcd's API.

Usage:
  watchful [FLAGS]       serve
  watchful COMMAND …     talk to a server; watchful COMMAND --help says more

One dash will do (-data-dir), and so will a variable (ETCD_DATA_DIR); a flag goes before its variable.
";

/// What `--help` prints.
pub(crate) fn text() -> String {
    let mut text = USAGE.to_owned();
    for section in Section::ALL {
        text.push('\n');
        wrap(&mut text, &format!("{}:", section.title()), 0);
        for flag in of(section) {
            if matches!(flag.does, Does::Nothing(_)) {
                continue;
            }
            let default =
                if flag.default.is_empty() { String::new() } else { format!(" ({})", flag.default) };
            let _ = writeln!(text, "  --{}{}{default}", flag.name, takes(flag));
            wrap(&mut text, flag.help, 6);
        }
        wrap(&mut text, &inert(section), 2);
    }
    text
}

/// The table of the page for operators.
#[cfg(test)]
pub(crate) fn markdown() -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(text, "### {}\n\n| Flag | Default | Meaning |\n|---|---|---|", section.title());
        for flag in of(section).filter(|flag| !matches!(flag.does, Does::Nothing(_))) {
            let default =
                if flag.default.is_empty() { "–".to_owned() } else { format!("`{}`", flag.default) };
            let _ = writeln!(text, "| `--{}{}` | {default} | {} |", flag.name, takes(flag), cell(flag.help));
        }
        if section == Section::Inert {
            text.push_str("\nWithout an effect, and said so at the start:\n\n| Flags | Why |\n|---|---|\n");
            for why in table::Why::ALL {
                let names = names_of(why).map(|name| format!("`--{name}`")).collect::<Vec<_>>();
                let _ = writeln!(text, "| {} | {} |", names.join(", "), why.sentence());
            }
        }
        text.push('\n');
    }
    text
}

fn of(section: Section) -> impl Iterator<Item = &'static Flag> {
    table::all().filter(move |flag| flag.section == section)
}

/// The flags without an effect, in one paragraph.
fn inert(section: Section) -> String {
    if section != Section::Inert {
        return String::new();
    }
    let names = of(section).filter(|flag| matches!(flag.does, Does::Nothing(_)));
    let names: Vec<_> = names.map(|flag| format!("--{}", flag.name)).collect();
    format!("Without an effect: {}", names.join(" "))
}

#[cfg(test)]
fn names_of(why: table::Why) -> impl Iterator<Item = &'static str> {
    table::all().filter(move |flag| matches!(flag.does, Does::Nothing(of) if of == why)).map(|flag| flag.name)
}

fn takes(flag: &Flag) -> String {
    match flag.takes {
        Takes::Switch => String::new(),
        Takes::Duration => "=DURATION".to_owned(),
        Takes::Value(what) => format!("={what}"),
    }
}

/// Appends `words`, broken into lines that begin with `indent` blanks.
fn wrap(text: &mut String, words: &str, indent: usize) {
    let mut column = 0;
    for word in words.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            text.push('\n');
            column = 0;
        }
        if column == 0 {
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    if column > 0 {
        text.push('\n');
    }
}
