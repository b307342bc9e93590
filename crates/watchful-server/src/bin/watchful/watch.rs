//! `watchful watch`: prints what happens to keys, across broken connections.
//!
//! One stream carries every watch of the command. When it breaks, a new connection is made and each watch goes on where
//! it was ([`Position`]), without loss or repeat, or the command ends and says that the history has been compacted away.

mod position;

mod print;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use clap::{Args, ValueEnum};
use position::Position;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status, Streaming};
use watchful_wire::WatchResponse;
use watchful_wire::etcdserverpb::watch_create_request::FilterType;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{WatchCreateRequest, WatchRequest};

use crate::args::Connection;
use crate::failure::{Failure, deepest, is_broken, remedy};
use crate::json::{key_value_help, revision};
use crate::output::Output;
use crate::range::Range;
use crate::server::Server;
use crate::session::is_token_refused;
use crate::text::shown;

/// The most watches of one command: what a command line can hold is less than a server can.
const WATCHES_MAX: usize = 10_000;

/// How long to wait before the second try to connect anew; it doubles from there.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How often in a row another token is asked for, before it is believed that none will do.
const RENEWALS_MAX: u32 = 3;

const HELP: &str = concat!(
    r#"Prints a line for each change: its revision, PUT or DELETE, the key, and the value; with --prev-kv
the value before. When the connection breaks it is made again, for as long as it takes, and the
watch goes on where it was: every change once, in order. Where its history has been compacted
meanwhile, it ends with 1.
JSON, a line each:
  {"type":"PUT","revision":7,"watch":BASE64,"kv":KV,"prev_kv":KV}
  {"type":"DELETE",…}: kv has the key and mod_revision, and 0 or nothing for the rest
  {"type":"PROGRESS","revision":9}: everything up to 9 has been told; with --progress-notify
  {"type":"COMPACTED","watch":BASE64,"revision":3,"compact_revision":5}: the last line; what was owed
  from 3 on has been compacted before 5
  watch: the KEY that was asked for"#,
    key_value_help!()
);

/// Print what happens to keys, from now on or from a revision on
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub(crate) struct WatchArgs {
    /// The keys, or the first keys of ranges
    #[arg(value_name = "KEY", required = true, num_args = 1.., allow_negative_numbers = true)]
    keys: Vec<OsString>,
    /// All keys that begin with each KEY; with an empty one, all there are
    #[arg(long, conflicts_with = "from_key")]
    prefix: bool,
    /// Each KEY and all keys behind it
    #[arg(long)]
    from_key: bool,
    /// All keys from KEY on and before this one
    #[arg(long, value_name = "KEY", conflicts_with_all = ["prefix", "from_key"])]
    range_end: Option<OsString>,
    /// Begin with this revision; 0 for what is new
    #[arg(
        long,
        value_name = "REV",
        alias = "revision",
        default_value_t = 0,
        value_parser = clap::value_parser!(i64).range(0..)
    )]
    rev: i64,
    /// Tell what each key was before
    #[arg(long)]
    prev_kv: bool,
    /// Print it when the server says that everything up to a revision has been told
    #[arg(long)]
    progress_notify: bool,
    /// Leave out puts or deletes
    #[arg(long, value_enum, ignore_case = true)]
    filter: Vec<Filter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Filter {
    Noput,
    Nodelete,
}

/// Why a stream is over.
enum Over {
    /// It broke: go on with a new one.
    Broken(String),
    /// The token does not count any more: go on with another one, if there is somebody whose it is.
    Unknown(Failure),
    /// There is nothing to go on with.
    Failed(Failure),
}

impl From<Failure> for Over {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The watches of the command, and where each is.
struct Watches {
    progress_notify: bool,
    /// A watch's id is its place here, from 1 on: 0 would let the server choose.
    creates: Vec<WatchCreateRequest>,
    positions: Vec<Position>,
    /// Where the server was at its last answer; 0 before the first.
    seen: i64,
    /// How many tokens did not do, since the last answer.
    renewals: u32,
}

pub(crate) async fn run(args: WatchArgs, to: &Connection, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut watches = args.watches()?;
    let mut server = Server::connect(to).await?;
    let mut pause = Pause::default();
    loop {
        match watches.follow(&server, out, &mut pause).await {
            Over::Unknown(_) if server.has_session() && watches.renewals < RENEWALS_MAX => {
                watches.renewals += 1;
                server.renew_session().await;
            }
            Over::Failed(failure) | Over::Unknown(failure) => {
                // What was printed before is owed to the reader, whatever became of the watch.
                out.flush()?;
                return Err(failure);
            }
            Over::Broken(why) if watches.seen == 0 => {
                return Err(Failure::told(format!(
                    "{} takes no watch: the connection broke ({why})",
                    to.endpoint
                )));
            }
            Over::Broken(why) => {
                let next = watches.positions.iter().map(Position::next_revision).min().unwrap_or(0);
                note(&format!("the connection broke ({why}): going on from revision {next}"));
                server = connect_again(&server, to, &mut pause).await;
            }
        }
    }
}

impl WatchArgs {
    fn watches(self) -> Result<Watches, Failure> {
        if self.keys.len() > WATCHES_MAX {
            return Err(Failure::told(format!(
                "{} keys are too many: the most is {WATCHES_MAX}",
                self.keys.len()
            )));
        }
        let filters = self.filter.iter().map(|filter| match filter {
            Filter::Noput => FilterType::Noput.into(),
            Filter::Nodelete => FilterType::Nodelete.into(),
        });
        let filters: Vec<i32> = filters.collect();
        let range_end = self.range_end.map(OsString::into_vec).unwrap_or_default();
        let create = |(watch_id, key): (i64, OsString)| {
            let range = match key.into_vec() {
                key if self.prefix => Range::prefix(key),
                key if self.from_key => Range::from_key(key),
                key => Range { key, range_end: range_end.clone() },
            };
            WatchCreateRequest {
                key: range.key.into(),
                range_end: range.range_end.into(),
                start_revision: self.rev,
                // Whoever asked or not: it moves the place to go on from past compactions of what nobody watches here.
                progress_notify: true,
                filters: filters.clone(),
                prev_kv: self.prev_kv,
                watch_id,
                fragment: true,
            }
        };
        let creates: Vec<_> = (1..).zip(self.keys).map(create).collect();
        let positions = creates.iter().map(|create| Position::new(create.start_revision)).collect();
        Ok(Watches { progress_notify: self.progress_notify, creates, positions, seen: 0, renewals: 0 })
    }
}

impl Watches {
    /// Follows one stream until it is over.
    async fn follow(&mut self, server: &Server, out: &mut Output<'_>, pause: &mut Pause) -> Over {
        let mut responses = match self.open(server).await {
            Ok(responses) => responses,
            Err(over) => return over,
        };
        loop {
            let response = match responses.message().await {
                Ok(Some(response)) => response,
                Ok(None) => return Over::Broken("the server ended the stream".to_owned()),
                Err(status) => return over(&status, server),
            };
            *pause = Pause::default();
            if let Err(over) = self.take(response, out) {
                return over;
            }
        }
    }

    /// Asks for every watch, on a new stream.
    async fn open(&mut self, server: &Server) -> Result<Streaming<WatchResponse>, Over> {
        let mut requests = Vec::with_capacity(self.creates.len());
        for (create, position) in self.creates.iter().zip(&mut self.positions) {
            let start_revision = position.begin();
            let create = WatchCreateRequest { start_revision, ..create.clone() };
            requests.push(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) });
        }
        // The requests' end would be the stream's.
        let requests = tokio_stream::iter(requests).chain(tokio_stream::pending());
        match server.in_time(server.watch().watch(requests)).await? {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(over(&status, server)),
        }
    }

    /// Prints what is new in an answer.
    fn take(&mut self, response: WatchResponse, out: &mut Output<'_>) -> Result<(), Over> {
        if response.canceled && is_token_refused(&response.cancel_reason) {
            return Err(Over::Unknown(refused(&response, "a watch")));
        }
        self.renewals = 0;
        let revision = revision(response.header.as_ref());
        self.see(revision);
        if response.watch_id == -1 && !response.canceled {
            self.positions.iter_mut().for_each(|position| position.progress(revision));
            return Ok(self.print_progress(revision, out)?);
        }
        let place = usize::try_from(response.watch_id - 1).ok();
        let found = place.and_then(|place| Some((self.positions.get_mut(place)?, self.creates.get(place)?)));
        let Some((position, create)) = found else {
            return Err(refused(&response, "a watch").into());
        };
        if response.canceled {
            return Err(canceled(&response, position, create, out)?.into());
        }
        if response.created {
            position.created(revision);
            return Ok(());
        }
        let is_progress = response.events.is_empty();
        let fragment = response.fragment;
        for event in response.events.into_list() {
            if position.take(event.kv.as_ref().map_or(0, |kv| kv.mod_revision())) {
                print::event(&event, &create.key, out)?;
            }
        }
        match (is_progress, fragment) {
            (true, _) => {
                position.progress(revision);
                self.print_progress(revision, out)?;
            }
            (false, false) => position.whole(),
            (false, true) => {}
        }
        Ok(out.flush()?)
    }

    /// Says so when the server has gone back: a watch from a revision that is still to come is silent until then. An etcd
    /// tells no revision with a refusal.
    fn see(&mut self, revision: i64) {
        if revision == 0 {
            return;
        }
        if revision < self.seen {
            note(&format!(
                "the server is at revision {revision} and was at {}: is it another store, or one that was restored?",
                self.seen
            ));
        }
        self.seen = revision;
    }

    fn print_progress(&self, revision: i64, out: &mut Output<'_>) -> Result<(), Failure> {
        if self.progress_notify {
            print::progress(revision, out)?;
        }
        out.flush()
    }
}

/// Why the server ended a watch.
fn canceled(
    response: &WatchResponse,
    position: &Position,
    create: &WatchCreateRequest,
    out: &mut Output<'_>,
) -> Result<Failure, Failure> {
    if response.compact_revision == 0 {
        return Ok(refused(response, &format!("the watch of {}", shown(&create.key))));
    }
    let (next, oldest) = (position.next_revision(), response.compact_revision);
    print::compacted(&create.key, next, oldest, out)?;
    Ok(Failure::told(format!(
        "the watch of {} is owed what happened from revision {next} on, and everything before {oldest} has been \
         compacted: read the keys again with `watchful get`, and watch from the revision that was read, plus 1",
        shown(&create.key)
    )))
}

fn refused(response: &WatchResponse, what: &str) -> Failure {
    match response.cancel_reason.as_str() {
        "" => Failure::told(format!("the server ended {what}, and gave no reason")),
        reason => Failure::told(format!("the server refused {what}: {reason}{}", remedy(reason))),
    }
}

/// A broken connection, and a server that is stopping, are worth another try; an answer is not.
fn over(status: &Status, server: &Server) -> Over {
    if is_broken(status) || status.code() == Code::Unavailable {
        return Over::Broken(if is_broken(status) { deepest(status) } else { status.message().to_owned() });
    }
    let failure = server.failure(status);
    if is_token_refused(status.message()) { Over::Unknown(failure) } else { Over::Failed(failure) }
}

/// How long to wait before the next try.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE_FIRST)
    }
}

/// Tries for as long as it takes.
async fn connect_again(server: &Server, to: &Connection, pause: &mut Pause) -> Server {
    loop {
        tokio::time::sleep(pause.0).await;
        pause.0 = (pause.0 * 2).min(PAUSE_MAX);
        if let Ok(server) = server.connect_again(to).await {
            return server;
        }
    }
}

fn note(what: &str) {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "note: {what}");
}
