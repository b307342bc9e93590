//! Passwords: kept as etcd keeps them, by bcrypt, whose work is meant to be much and is therefore bounded here.
//!
//! - It runs on blocking threads, on half of the cores at most, so calls that need no password go on.
//! - Who waits for it waits in a lane (see [`Turns`]), and beyond the lane's bound is told that there are too many.
//! - Who names a user that is not there, or has no password, costs the same work and gets the same answer.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bcrypt::{HashParts, Version};
use bytes::Bytes;
use http::Extensions;
use tonic::Status;

use super::settings::BCRYPT_COST;
use super::turns::{LANES, Turns};
use crate::answers;
use crate::listen::Peer;

/// The most bytes of a password that a hash can tell from another, as in Go's bcrypt.
const PASSWORD_BYTES_MAX: usize = 72;

/// Makes hashes of passwords, and compares with them.
#[derive(Debug)]
pub(super) struct Passwords {
    cost: u32,
    turns: Turns,
    lanes: RandomState,
    /// How often bcrypt ran: it is what a caller can measure.
    runs: Arc<AtomicU64>,
}

/// Where somebody waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane(usize);

/// As much of a password that somebody gave as counts. Many may wait with theirs, so it is all that is kept.
pub(super) struct Given(Box<[u8]>);

impl Given {
    /// Takes the password, and lets go of what does not count.
    pub(super) fn of(password: String) -> Self {
        let counts = password.len().min(PASSWORD_BYTES_MAX);
        Self(password.as_bytes()[..counts].into())
    }
}

/// What a password is compared with.
#[derive(Debug)]
pub(super) enum Stored {
    /// The hash of the user's.
    Hash(String),
    /// Nothing: there is no such user, or it has none. The work is the same as with a hash of this cost.
    Nothing {
        /// The cost.
        cost: u32,
    },
}

impl Passwords {
    pub(super) fn new(cost: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Turns::new(cores / 2);
        Self { cost, turns, lanes: RandomState::new(), runs: Arc::default() }
    }

    /// The cost of a new hash.
    pub(super) fn cost(&self) -> u32 {
        self.cost
    }

    /// Where those wait who ask from there and as this user.
    pub(super) fn lane(&self, extensions: &Extensions, name: &str) -> Lane {
        /// An address has a part of the lanes, so that many names from there do not take them all.
        const LANES_OF_AN_ADDRESS: u64 = 64;
        let address =
            extensions.get::<Peer>().and_then(|peer| peer.address).map(|address| network(address.ip()));
        let name = self.lanes.hash_one(name) % LANES_OF_AN_ADDRESS;
        let lane = self.lanes.hash_one((address, name)) % LANES as u64;
        Lane(usize::try_from(lane).unwrap_or(0))
    }

    /// The hash of a new password, as etcd keeps it.
    pub(super) async fn hash(&self, lane: Lane, password: String) -> Result<Bytes, Status> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Status::invalid_argument("bcrypt: password length exceeds 72 bytes"));
        }
        let cost = self.cost;
        let hashed = self.run(lane, move || bcrypt::hash_with_result(password, cost)).await?;
        match hashed {
            // Go writes this version, and reads only it and those that have the same length.
            Ok(hash) => Ok(hash.format_for_version(Version::TwoA).into()),
            Err(error) => Err(Status::internal(format!("watchful: bcrypt: {error}"))),
        }
    }

    /// Whether `password` is the one.
    pub(super) async fn is_right(&self, lane: Lane, given: Given, stored: Stored) -> Result<bool, Status> {
        self.run(lane, move || match stored {
            Stored::Hash(hash) => bcrypt::verify(given.0, &hash).unwrap_or(false),
            Stored::Nothing { cost } => {
                let _ = bcrypt::verify(given.0, &nobodys(cost));
                false
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        let turn = self.turns.take(lane.0).await.map_err(|_| answers::too_many_requests())?;
        let runs = Arc::clone(&self.runs);
        let done = tokio::task::spawn_blocking(move || {
            // The turn is over when the work is, even if whoever asked has gone.
            let _turn = turn;
            runs.fetch_add(1, Ordering::Relaxed);
            work()
        });
        done.await.map_err(|panic| Status::internal(format!("watchful: {panic}")))
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }
}

impl Stored {
    /// What is kept of a user; where that is no hash, it is as good as none.
    pub(super) fn of(kept: Option<&[u8]>, usual_cost: u32) -> Self {
        match kept
            .and_then(|kept| std::str::from_utf8(kept).ok())
            .filter(|kept| cost_of(kept.as_bytes()).is_some())
        {
            Some(hash) => Self::Hash(hash.to_owned()),
            None => Self::Nothing { cost: usual_cost },
        }
    }
}

/// The cost of a hash; none of what is no hash.
pub(super) fn cost_of(hash: &[u8]) -> Option<u32> {
    let parts: HashParts = std::str::from_utf8(hash).ok()?.parse().ok()?;
    Some(parts.get_cost()).filter(|cost| BCRYPT_COST.contains(cost))
}

/// A hash that no password has: with no salt and all bits zero.
fn nobodys(cost: u32) -> String {
    format!("$2a${cost:02}${}", ".".repeat(53))
}

/// What one customer of a network is given: an address of IPv4, or the first half of one of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Go's `bcrypt.GenerateFromPassword`, with cost 4: of `secret`, and of 72 times `x`.
    const BY_GO: [(&str, &str); 2] = [
        ("secret", "$2a$04$0pjpgWY48OdM0kn1dewZ9OaYf4vPiJyIjlBPKodNXGKcxz4RCsTfy"),
        ("x", "$2a$04$rlM10jIYLMQPlqkMAUFsq.4.RU5hk866auuM1HAFg1SXREOCiivTS"),
    ];

    fn passwords() -> Passwords {
        Passwords::new(4)
    }

    fn lane() -> Lane {
        Lane(0)
    }

    /// A thousand logins with megabytes each, which waited for their turns with all of it, took gigabytes. A first mend cut
    /// the password and kept the whole beside it.
    #[tokio::test]
    async fn of_a_long_password_only_what_counts_is_kept() {
        let long = "x".repeat(1_900_000);
        let given = Given::of(long.clone());
        assert_eq!((given.0.len(), size_of_val(&*given.0)), (72, 72));
        let stored = Stored::of(Some(BY_GO[1].1.as_bytes()), 4);
        assert!(passwords().is_right(lane(), given, stored).await.unwrap(), "it is as its first 72 bytes");
        assert_eq!(&*Given::of("short".to_owned()).0, b"short");
    }

    #[tokio::test]
    async fn a_hash_is_of_the_version_that_go_writes() {
        let hash = passwords().hash(lane(), "secret".to_owned()).await.unwrap();
        assert!(hash.starts_with(b"$2a$04$") && hash.len() == 60, "{hash:?}");
        let right = |password: &str| {
            let stored = Stored::of(Some(&hash), 4);
            let given = Given::of(password.to_owned());
            async move { passwords().is_right(lane(), given, stored).await.unwrap() }
        };
        assert!(right("secret").await);
        assert!(!right("Secret").await);
        assert!(!right("").await);
    }

    #[tokio::test]
    async fn hashes_of_go_are_understood() {
        for (password, hash) in BY_GO {
            let password = if password == "x" { "x".repeat(72) } else { password.to_owned() };
            let stored = Stored::of(Some(hash.as_bytes()), 4);
            assert!(matches!(stored, Stored::Hash(_)), "{hash}");
            assert!(passwords().is_right(lane(), Given::of(password), stored).await.unwrap(), "{hash}");
        }
    }

    #[tokio::test]
    async fn what_a_hash_cannot_tell_apart_is_refused() {
        let refused = passwords().hash(lane(), "x".repeat(73)).await.unwrap_err();
        assert_eq!(refused.message(), "bcrypt: password length exceeds 72 bytes");
        passwords().hash(lane(), "x".repeat(72)).await.unwrap();
    }

    /// Whoever is not there costs a hash too: the runs are counted where the work is done.
    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody() {
        let passwords = passwords();
        let hash = passwords.hash(lane(), "secret".to_owned()).await.unwrap();
        for kept in [Some(&hash[..]), None, Some(b""), Some(b"$2a$99$..."), Some(b"not a hash")] {
            let before = passwords.runs();
            let stored = Stored::of(kept, 4);
            assert!(!passwords.is_right(lane(), Given::of("wrong".to_owned()), stored).await.unwrap());
            assert_eq!(passwords.runs(), before + 1, "{kept:?}");
        }
    }

    /// The dummy is a real hash: bcrypt works it through, and is not done at its first look.
    #[test]
    fn the_hash_of_nobody_is_one() {
        for cost in BCRYPT_COST {
            assert_eq!(cost_of(nobodys(cost).as_bytes()), Some(cost));
        }
        assert!(!bcrypt::verify("", &nobodys(4)).unwrap());
    }

    #[test]
    fn neighbours_in_one_network_are_one() {
        let same = |one: &str, other: &str| network(one.parse().unwrap()) == network(other.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::2") && same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1") && !same("10.0.0.1", "10.0.0.2"));
    }
}
