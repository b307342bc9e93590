//! What a flag is, and the one table of them: the parser, the help text, the page for operators and the file of settings
//! all read it.

use super::draft::Draft;
use super::flags::FLAGS;
use super::inert::INERT;
use super::value::Wrong;

/// One flag.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Its name, without dashes.
    pub(crate) name: &'static str,
    /// Whether etcd had it as `--experimental-…`, which is then understood too.
    pub(crate) experimental: bool,
    /// Where the help text lists it.
    pub(crate) section: Section,
    pub(crate) takes: Takes,
    /// What holds without it, for people.
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
    pub(crate) does: Does,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing, or a boolean after `=`.
    Switch,
    /// A duration. A file may give it in nanoseconds, as etcd's does.
    Duration,
    /// Anything else, which the help text calls so.
    Value(&'static str),
}

/// What a flag does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Sets something.
    Set(fn(&mut Draft, &str) -> Result<(), Wrong>),
    /// Nothing, which is said at the start.
    Nothing(Why),
    /// Nothing where the value is one of these (a `*` stands for any), and otherwise the program does not start.
    Refuse { unless: &'static [&'static str], why: &'static str },
    /// It is looked at before all others: the file of settings, the version, the help.
    First,
}

/// Why a flag has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// It is about peers.
    Cluster,
    /// It is about etcd's own files.
    Storage,
    /// It is about something that is not there.
    Missing,
    /// It is about something that is always so.
    Always,
}

/// Where the help text lists a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Member,
    Store,
    Limits,
    Security,
    Logging,
    Inert,
}

impl Section {
    pub(crate) const ALL: [Self; 6] =
        [Self::Member, Self::Store, Self::Limits, Self::Security, Self::Logging, Self::Inert];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Member => "Server",
            Self::Store => "Store",
            Self::Limits => "Limits and connections",
            Self::Security => "Security",
            Self::Logging => "Logging and monitoring",
            Self::Inert => "Accepted, so that scripts that start etcd start this; most have no effect",
        }
    }
}

impl Why {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] = [Self::Cluster, Self::Storage, Self::Missing, Self::Always];

    /// The sentence at the start, after the flags' names.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Cluster => "there is one member, and it has no peers",
            Self::Storage => "the store has one file and no log beside it",
            Self::Missing => "there is no such thing here",
            Self::Always => "it is always so",
        }
    }
}

/// Every flag, those that do something first.
pub(crate) fn all() -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().chain(INERT)
}

/// The flag of this name, which has no dashes before it.
pub(crate) fn find(name: &str) -> Option<&'static Flag> {
    let plain = name.strip_prefix("experimental-");
    all().find(|flag| flag.name == name || (flag.experimental && Some(flag.name) == plain))
}

/// The flag that somebody may have meant by `name`.
pub(crate) fn near(name: &str) -> Option<&'static str> {
    let distance = |flag: &Flag| strsim::damerau_levenshtein(flag.name, name);
    let nearest = all().map(|flag| (distance(flag), flag.name)).min()?;
    // A third of the letters wrong is another word.
    (nearest.0 <= (name.len() / 3).clamp(1, 4)).then_some(nearest.1)
}

impl Flag {
    pub(crate) const fn set(
        section: Section,
        name: &'static str,
        takes: Takes,
        default: &'static str,
        help: &'static str,
        set: fn(&mut Draft, &str) -> Result<(), Wrong>,
    ) -> Self {
        Self { name, experimental: false, section, takes, default, help, does: Does::Set(set) }
    }

    pub(crate) const fn first(name: &'static str, takes: Takes, help: &'static str) -> Self {
        let section = Section::Member;
        Self { name, experimental: false, section, takes, default: "", help, does: Does::First }
    }

    pub(crate) const fn inert(name: &'static str, takes: Takes, why: Why) -> Self {
        let (section, does) = (Section::Inert, Does::Nothing(why));
        Self { name, experimental: false, section, takes, default: "", help: "", does }
    }

    pub(crate) const fn refused(
        name: &'static str,
        takes: Takes,
        unless: &'static [&'static str],
        why: &'static str,
    ) -> Self {
        let (section, does) = (Section::Inert, Does::Refuse { unless, why });
        Self { name, experimental: false, section, takes, default: "", help: why, does }
    }

    /// This flag, which etcd once had as `--experimental-…`.
    pub(crate) const fn experimental(self) -> Self {
        Self { experimental: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        let mut names = BTreeSet::new();
        for flag in all() {
            assert!(names.insert(flag.name), "--{} is there twice", flag.name);
        }
    }

    #[test]
    fn a_near_miss_is_found_and_another_word_is_not() {
        assert_eq!(near("data-dirr"), Some("data-dir"));
        assert_eq!(near("listen-clients-urls"), Some("listen-client-urls"));
        assert_eq!(near("frobnicate"), None);
    }

    #[test]
    fn the_older_spelling_finds_only_what_etcd_had() {
        assert!(find("experimental-watch-progress-notify-interval").is_some());
        assert!(find("experimental-name").is_none());
    }
}
