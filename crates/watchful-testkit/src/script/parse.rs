//! From text to steps.

use bytes::Bytes;
use watchful_revision::KeyRange;

use super::Step;
use crate::{Compare, CompareTarget, Comparison, Op, Order, RangeOptions, SortTarget, Txn};

/// The steps of a script.
///
/// # Panics
///
/// When a line means nothing; it says which.
#[must_use]
pub fn parse(script: &str) -> Vec<Step> {
    let lines = script.lines().enumerate();
    let lines = lines.map(|(at, line)| (at + 1, line.split('#').next().unwrap_or_default().trim()));
    lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| Line::new(number, line).step()).collect()
}

/// A key range, as scripts write it.
///
/// # Panics
///
/// When it holds no key.
#[must_use]
pub fn parse_range(word: &str) -> KeyRange {
    if let Some(prefix) = word.strip_suffix('*') {
        return KeyRange::prefix(parse_bytes(prefix));
    }
    match word.split_once("..") {
        None => KeyRange::key(parse_bytes(word)),
        Some((start, "")) => KeyRange::from_key(parse_bytes(start)),
        Some((start, end)) => KeyRange::between(parse_bytes(start), parse_bytes(end))
            .unwrap_or_else(|_| panic!("the range `{word}` holds no key")),
    }
}

/// The bytes of a word: as written, but for `\xNN`, and `""` for none.
///
/// # Panics
///
/// When a `\` does not begin an `\xNN`.
#[must_use]
pub fn parse_bytes(word: &str) -> Bytes {
    if word == "\"\"" {
        return Bytes::new();
    }
    let (plain, escaped) = word.split_once('\\').unwrap_or((word, ""));
    let mut bytes = plain.as_bytes().to_vec();
    for escape in escaped.split('\\').filter(|_| plain.len() < word.len()) {
        let (byte, rest) = escape
            .strip_prefix('x')
            .and_then(|digits| digits.split_at_checked(2))
            .and_then(|(digits, rest)| Some((u8::from_str_radix(digits, 16).ok()?, rest)))
            .unwrap_or_else(|| panic!("`{word}`: a backslash begins a byte such as \\x00"));
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes.into()
}

/// One line on its way: what is left of its words.
struct Line<'a> {
    number: usize,
    text: &'a str,
    words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
}

impl<'a> Line<'a> {
    fn new(number: usize, text: &'a str) -> Self {
        let words: Vec<&str> = text.split_whitespace().flat_map(split_signs).collect();
        Self { number, text, words: words.into_iter().peekable() }
    }

    fn step(mut self) -> Step {
        let first = self.words.peek().copied().unwrap_or_default();
        let step = match first {
            "compact" => Step::Compact(self.word_then_number()),
            "grant" => Step::Grant { id: self.word_then_number(), ttl: self.number() },
            "revoke" => Step::Revoke { id: self.word_then_number() },
            "txn" => Step::Txn(self.transaction()),
            _ => match first.strip_prefix('!') {
                Some(name) => Step::Call { name: name.to_owned(), arguments: self.arguments() },
                None => Step::Txn(vec![self.op()]),
            },
        };
        match self.words.next() {
            Some(word) => self.fail(&format!("`{word}` is too much")),
            None => step,
        }
    }

    fn arguments(&mut self) -> Vec<String> {
        self.words.by_ref().skip(1).map(str::to_owned).collect()
    }

    /// The operations of a transaction; a single one with its compares, where it has any.
    fn transaction(&mut self) -> Vec<Op> {
        let Op::Txn(txn) = self.op() else { self.fail("a transaction is `txn { … }`") };
        if txn.compares.is_empty() && txn.else_ops.is_empty() { txn.then_ops } else { vec![Op::Txn(txn)] }
    }

    fn op(&mut self) -> Op {
        match self.word() {
            "put" => self.put(),
            "del" => Op::DeleteRange(parse_range(self.word())),
            "get" => self.get(),
            "txn" => self.txn(),
            word => self.fail(&format!("`{word}` is no step")),
        }
    }

    fn put(&mut self) -> Op {
        let key = parse_bytes(self.word());
        let (mut value, mut lease) = (Bytes::new(), 0);
        let (mut ignore_value, mut ignore_lease) = (false, false);
        while let Some(word) = self.option() {
            match word.split_once('=') {
                Some(("lease", id)) => lease = self.parse_number(id),
                _ if word == "ignore_value" => ignore_value = true,
                _ if word == "ignore_lease" => ignore_lease = true,
                _ => value = parse_bytes(word),
            }
        }
        Op::Put { key, value, lease, ignore_value, ignore_lease }
    }

    fn get(&mut self) -> Op {
        let range = parse_range(self.word());
        let (mut options, mut revision) = (RangeOptions::default(), 0);
        while let Some(word) = self.option() {
            match word.strip_prefix('@') {
                Some(at) => revision = self.parse_number(at),
                None => self.range_option(word, &mut options),
            }
        }
        Op::Range { range, options, revision }
    }

    fn range_option(&self, word: &str, options: &mut RangeOptions) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "limit" => options.limit = self.parse_number(value),
            "by" => options.target = self.sort_target(value),
            "asc" => options.order = Order::Ascend,
            "desc" => options.order = Order::Descend,
            "min_mod" => options.min_mod_revision = self.parse_number(value),
            "max_mod" => options.max_mod_revision = self.parse_number(value),
            "min_create" => options.min_create_revision = self.parse_number(value),
            "max_create" => options.max_create_revision = self.parse_number(value),
            "keys_only" => options.keys_only = true,
            "count_only" => options.count_only = true,
            _ => self.fail(&format!("`{word}` is no option of a read")),
        }
    }

    fn sort_target(&self, word: &str) -> SortTarget {
        match word {
            "key" => SortTarget::Key,
            "version" => SortTarget::Version,
            "create" => SortTarget::Create,
            "mod" => SortTarget::Mod,
            "value" => SortTarget::Value,
            _ => self.fail(&format!("`{word}` is nothing to sort by")),
        }
    }

    fn txn(&mut self) -> Op {
        let mut txn = Txn::default();
        let mut in_else = false;
        self.sign("{");
        while self.words.next_if_eq(&"}").is_none() {
            match self.words.peek() {
                Some(&"if") => txn.compares.push(self.compare()),
                Some(&"else") => in_else = self.words.next().is_some(),
                Some(_) if in_else => txn.else_ops.push(self.op()),
                Some(_) => txn.then_ops.push(self.op()),
                None => self.fail("a `}` is missing"),
            }
            if self.words.peek() != Some(&"}") {
                self.sign(";");
            }
        }
        Op::Txn(txn)
    }

    fn compare(&mut self) -> Compare {
        let (_, field, range) = (self.word(), self.word(), parse_range(self.word()));
        let comparison = match self.word() {
            "=" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "<" => Comparison::Less,
            ">" => Comparison::Greater,
            word => self.fail(&format!("`{word}` compares nothing")),
        };
        let target = match field {
            "version" => CompareTarget::Version(self.number()),
            "create" => CompareTarget::Create(self.number()),
            "mod" => CompareTarget::Mod(self.number()),
            "lease" => CompareTarget::Lease(self.number()),
            "value" => CompareTarget::Value(parse_bytes(self.word())),
            _ => self.fail(&format!("`{field}` is nothing to compare")),
        };
        Compare { range, comparison, target }
    }

    fn word(&mut self) -> &'a str {
        match self.option() {
            Some(word) => word,
            None => self.fail("a word is missing"),
        }
    }

    /// The next word, unless the operation ends here.
    fn option(&mut self) -> Option<&'a str> {
        self.words.next_if(|word| !is_sign(word))
    }

    fn sign(&mut self, sign: &str) {
        if self.words.next() != Some(sign) {
            self.fail(&format!("a `{sign}` is missing"));
        }
    }

    fn word_then_number<N: std::str::FromStr>(&mut self) -> N {
        self.word();
        self.number()
    }

    fn number<N: std::str::FromStr>(&mut self) -> N {
        let word = self.word();
        self.parse_number(word)
    }

    fn parse_number<N: std::str::FromStr>(&self, word: &str) -> N {
        word.parse().unwrap_or_else(|_| self.fail(&format!("`{word}` is no number that fits")))
    }

    fn fail(&self, problem: &str) -> ! {
        panic!("line {} of the script, `{}`: {problem}", self.number, self.text)
    }
}

fn is_sign(word: &str) -> bool {
    matches!(word, "{" | "}" | ";")
}

/// The signs are words of their own, wherever they stand.
fn split_signs(word: &str) -> impl Iterator<Item = &str> {
    let pieces = word.split_inclusive(['{', '}', ';']);
    pieces.flat_map(|piece| {
        let (before, sign) = piece.split_at(piece.trim_end_matches(['{', '}', ';']).len());
        [before, sign].into_iter().filter(|part| !part.is_empty())
    })
}
