//! Differences and workloads, for people.

use std::fmt::{Display, Write as _};

use crate::caller::Caller;
use crate::run::{Exchange, Pair, Report};
use crate::terse::{lines, terse};

/// The most lines of two answers that are shown where they differ.
const LINES_MAX: usize = 60;

/// The most characters of a line: values may be large.
const LINE_MAX: usize = 4000;

/// A difference: the request, and where the answers part.
pub(crate) fn difference(pair: &Pair, exchange: &Exchange) -> String {
    let mut text = format!("step {}: {}\n", exchange.step, asked(exchange));
    let [first, second] = exchange.answers.each_ref().map(lines);
    let head = first.iter().zip(&second).take_while(|(one, other)| one == other).count();
    let tail_max = first.len().min(second.len()) - head;
    let tail = first.iter().rev().zip(second.iter().rev()).take_while(|(one, other)| one == other).count();
    let tail = tail.min(tail_max);
    let _ = writeln!(text, "  - {}   + {}", pair.reference.name, pair.subject.name);
    // The head of both is the same: what encloses the difference.
    push(&mut text, ' ', &first[head.saturating_sub(6)..head]);
    push(&mut text, '-', &first[head..first.len() - tail]);
    push(&mut text, '+', &second[head..second.len() - tail]);
    text
}

/// The request, and who asked where that is somebody.
fn asked(exchange: &Exchange) -> String {
    let request = cut(&exchange.request.to_string());
    match exchange.caller {
        Caller::Nobody => request,
        Caller::User(name) => format!("{name}: {request}"),
        Caller::Stranger => format!("with a wrong token: {request}"),
    }
}

fn push(text: &mut String, mark: char, lines: &[String]) {
    for line in lines.iter().take(LINES_MAX) {
        let _ = writeln!(text, "  {mark} {}", cut(line));
    }
    if lines.len() > LINES_MAX {
        let _ = writeln!(text, "  {mark} … and {} lines more", lines.len() - LINES_MAX);
    }
}

/// Everything that was asked and answered, in order.
pub(crate) fn transcript(pair: &Pair, report: &Report) -> String {
    let mut text = String::new();
    for exchange in &report.transcript {
        let _ = writeln!(text, "{:>3}  {}", exchange.step, asked(exchange));
        let [first, second] = exchange.answers.each_ref().map(|answer| cut(&terse(answer)));
        let known = exchange.known.map(|id| format!("  (known: {id})")).unwrap_or_default();
        if first == second && exchange.answers[0] == exchange.answers[1] {
            let _ = writeln!(text, "       both: {first}");
        } else {
            let _ = writeln!(text, "       {}: {first}{known}", pair.reference.name);
            let _ = writeln!(text, "       {}: {second}", pair.subject.name);
        }
    }
    text
}

/// The known differences of a run, and how often each was met.
pub(crate) fn known(report: &Report) -> String {
    if report.known.is_empty() {
        return String::new();
    }
    let each = report.known.iter().map(|(id, count)| format!("{id} ×{count}"));
    format!("; known: {}", each.collect::<Vec<_>>().join(", "))
}

fn cut(text: &(impl Display + ?Sized)) -> String {
    let text = text.to_string();
    match text.char_indices().nth(LINE_MAX) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text,
    }
}
