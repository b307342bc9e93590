//! Simple tokens: random letters, in memory only, that live for a while after their last use.
//!
//! What is kept is each token's hash: it is found in the same time however much of a guess is right, and memory shows
//! nobody's token. A restart ends them all, as in etcd.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use watchful::Clock;

const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const LETTERS_COUNT: usize = 16;

/// The most tokens at once: some 15 MB with short names, 65 MB with the longest. Beyond it the user with the most loses those that were used longest ago.
const TOKENS_MAX: usize = 100_000;

type TokenHash = [u8; 32];

/// Simple tokens.
pub(in crate::auth) struct SimpleTokens {
    ttl: Duration,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    /// What the next token ends with. etcd has the index of its log there.
    next_index: AtomicU64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    tokens: HashMap<TokenHash, Token>,
    /// When those that are over are next looked for.
    sweep_at: Duration,
}

struct Token {
    user: Arc<str>,
    /// Until when it lives, unless it is used before.
    until: Duration,
}

impl SimpleTokens {
    pub(super) fn new(ttl: Duration, clock: Arc<dyn Clock>) -> Self {
        let (random, next_index) = (SystemRandom::new(), AtomicU64::new(1));
        Self { ttl, clock, random, next_index, held: Mutex::default() }
    }

    /// A new token; none where the system has no random numbers.
    pub(super) fn issue(&self, name: &str) -> Option<String> {
        let token = format!("{}.{}", self.letters()?, self.next_index.fetch_add(1, Ordering::Relaxed));
        let now = self.clock.now();
        let mut held = self.held.lock();
        held.make_room(now, self.ttl, TOKENS_MAX);
        held.tokens.insert(hash(&token), Token { user: name.into(), until: now.saturating_add(self.ttl) });
        Some(token)
    }

    /// Whose token it is; none of one that never was, or is over. It lives on from now.
    pub(super) fn user(&self, token: &str) -> Option<Arc<str>> {
        let (hash, now) = (hash(token), self.clock.now());
        let mut held = self.held.lock();
        let found = held.tokens.get_mut(&hash)?;
        if found.until <= now {
            held.tokens.remove(&hash);
            return None;
        }
        found.until = now.saturating_add(self.ttl);
        Some(Arc::clone(&found.user))
    }

    pub(super) fn end_user(&self, name: &str) {
        self.held.lock().tokens.retain(|_, token| &*token.user != name);
    }

    pub(super) fn end_all(&self) {
        self.held.lock().tokens.clear();
    }

    pub(super) fn end_one(&self, token: &str) {
        self.held.lock().tokens.remove(&hash(token));
    }

    /// Random letters, each as likely as any other.
    fn letters(&self) -> Option<String> {
        let mut letters = String::with_capacity(LETTERS_COUNT);
        while letters.len() < LETTERS_COUNT {
            let mut bytes = [0; 2 * LETTERS_COUNT];
            self.random.fill(&mut bytes).ok()?;
            let chosen = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte & 63)));
            let missing = LETTERS_COUNT - letters.len();
            letters.extend(chosen.take(missing).map(|letter| char::from(*letter)));
        }
        Some(letters)
    }
}

impl Held {
    /// Forgets what is over, now and then; and where that is not enough, what its user would miss least.
    fn make_room(&mut self, now: Duration, ttl: Duration, tokens_max: usize) {
        if now >= self.sweep_at || self.tokens.len() >= tokens_max {
            self.tokens.retain(|_, token| token.until > now);
            self.sweep_at = now.saturating_add(ttl / 4);
        }
        if self.tokens.len() >= tokens_max {
            self.take_from_the_richest();
        }
    }

    /// An eighth of the tokens of whoever has the most: so many, that this is seldom.
    fn take_from_the_richest(&mut self) {
        let mut counts: HashMap<Arc<str>, usize> = HashMap::new();
        for token in self.tokens.values() {
            *counts.entry(Arc::clone(&token.user)).or_default() += 1;
        }
        let Some((user, count)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return };
        let of_user = self.tokens.iter().filter(|(_, token)| token.user == user);
        let mut ends: Vec<_> = of_user.map(|(hash, token)| (token.until, *hash)).collect();
        ends.sort_unstable();
        for (_, hash) in ends.into_iter().take(count.div_ceil(8)) {
            self.tokens.remove(&hash);
        }
        tracing::warn!(
            user = &*user,
            "too many tokens: those of this user that were used longest ago are ended"
        );
    }
}

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// Without the tokens.
impl fmt::Debug for SimpleTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleTokens").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use watchful::ManualClock;

    use super::*;

    fn tokens() -> (SimpleTokens, ManualClock) {
        let clock = ManualClock::default();
        (SimpleTokens::new(Duration::from_secs(300), Arc::new(clock.clone())), clock)
    }

    fn issue(tokens: &SimpleTokens, name: &str) -> String {
        tokens.issue(name).unwrap()
    }

    #[test]
    fn a_token_is_sixteen_letters_and_a_number() {
        let (tokens, _) = tokens();
        let (one, two) = (issue(&tokens, "alice"), issue(&tokens, "alice"));
        for (token, index) in [(&one, "1"), (&two, "2")] {
            let (letters, number) = token.split_once('.').unwrap();
            assert!(letters.len() == 16 && letters.bytes().all(|byte| byte.is_ascii_alphabetic()), "{token}");
            assert_eq!(number, index);
        }
        assert_ne!(one.split_once('.').unwrap().0, two.split_once('.').unwrap().0);
        assert_eq!(tokens.user(&one).as_deref(), Some("alice"));
        assert_eq!(tokens.user(&one.to_lowercase()), None);
        assert_eq!(tokens.user(""), None);
    }

    #[test]
    fn a_token_lives_on_when_it_is_used_and_only_then() {
        let (tokens, clock) = tokens();
        let (used, unused) = (issue(&tokens, "alice"), issue(&tokens, "alice"));
        clock.advance(Duration::from_secs(200));
        assert!(tokens.user(&used).is_some());
        clock.advance(Duration::from_secs(200));
        assert!(tokens.user(&used).is_some());
        assert!(tokens.user(&unused).is_none());
        clock.advance(Duration::from_secs(300));
        assert!(tokens.user(&used).is_none());
    }

    #[test]
    fn what_is_over_is_forgotten_without_being_used() {
        let (tokens, clock) = tokens();
        (0..100).for_each(|_| drop(issue(&tokens, "alice")));
        clock.advance(Duration::from_secs(300));
        issue(&tokens, "bob");
        assert_eq!(tokens.held.lock().tokens.len(), 1);
    }

    #[test]
    fn a_users_tokens_end_together_and_nobody_elses() {
        let (tokens, _) = tokens();
        let (alice, bob) = (issue(&tokens, "alice"), issue(&tokens, "bob"));
        tokens.end_user("alice");
        assert_eq!((tokens.user(&alice), tokens.user(&bob).as_deref()), (None, Some("bob")));
        tokens.end_all();
        assert_eq!(tokens.user(&bob), None);
    }

    #[test]
    fn at_the_bound_whoever_has_the_most_loses_the_oldest() {
        let (tokens, clock) = tokens();
        let bob = issue(&tokens, "bob");
        let alices: Vec<_> = (0..80)
            .map(|_| {
                clock.advance(Duration::from_millis(1));
                issue(&tokens, "alice")
            })
            .collect();
        tokens.held.lock().make_room(clock.now(), Duration::from_secs(300), 81);
        assert!(tokens.user(&bob).is_some(), "the oldest of all, and its user has one");
        let left: Vec<_> = alices.iter().map(|token| tokens.user(token).is_some()).collect();
        assert_eq!(left.iter().position(|left| *left), Some(10));
        assert!(left[10..].iter().all(|left| *left));
    }

    #[test]
    fn no_token_is_printed() {
        let (tokens, _) = tokens();
        let token = issue(&tokens, "alice");
        assert!(!format!("{tokens:?}").contains(&token[..16]));
    }
}
