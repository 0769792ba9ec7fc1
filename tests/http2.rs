//! Floods of HTTP/2 frames, written by hand: each ends its connection, costs little memory and harms nobody else.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use crate::limits::probe;
use crate::support::host::Host;
use crate::support::load::Load;
use crate::support::process::Peak;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much the memory of the host may grow under a flood.
const GROWTH_KIB_MAX: u64 = 64 << 10;

/// Frames in one write.
const BATCH: u32 = 500;

/// Kinds of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Flags of frames.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Errors (RFC 9113, 7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A host under floods, and what it uses meanwhile.
struct Target {
    host: Host,
    load: Load,
    peak: Peak,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_load_generator_meets_no_error() {
    let host = Host::start(&probe("probe", "")).await;
    // As many at once as a build for debugging answers within the second for which calls may queue, also on a busy
    // machine.
    for (connections, streams) in [("1", "1"), ("3", "100"), ("30", "10")] {
        let url = format!("{}/probe/ok", host.gateway());
        let load =
            Command::new("h2load").args(["-n", "3000", "-c", connections, "-m", streams, &url]).output();
        let load = load.expect("h2load is there");
        let told = String::from_utf8_lossy(&load.stdout);
        let all = "3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(told.contains(all) && told.contains("3000 2xx"), "-c {connections} -m {streams}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_its_connection() {
    let target = Target::start().await;
    let ended = target.flood(|round| {
        let streams = (0..BATCH).map(|index| (round * BATCH + index) * 2 + 1);
        let open_and_reset = streams.flat_map(|stream| {
            let reset = frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
            [get("/large.bin", stream), reset].concat()
        });
        open_and_reset.collect()
    });
    assert_calmed(ended.await);
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_that_lead_to_nothing_end_their_connection() {
    let target = Target::start().await;
    let toggle = |round: u32| {
        let window = if round.is_multiple_of(2) { 0 } else { u32::MAX >> 1 };
        frame(SETTINGS, 0, 0, &[&[0, 4], &window.to_be_bytes()[..]].concat())
    };
    for (name, flooding) in [
        ("ping", frame(PING, 0, 0, b"12345678")),
        ("ping that is acknowledged", frame(PING, ACK, 0, b"12345678")),
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("windows that open and shut", [toggle(0), toggle(1)].concat()),
        ("windows that open by a byte", frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0])),
        ("unknown frames", frame(0xee, 0, 0, &[])),
    ] {
        println!("{name}");
        assert_calmed(target.flood(|_| flooding.repeat(BATCH as usize)).await);
    }
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_empty_data_ends_its_connection() {
    let target = Target::start().await;
    let ended = target.flood(|round| {
        let begun = if round == 0 { headers(0x83, "/probe/sql", END_HEADERS, 1) } else { Vec::new() };
        [begun, frame(DATA, 0, 1, &[]).repeat(BATCH as usize)].concat()
    });
    assert_calmed(ended.await);
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_continuations_ends_its_connection() {
    let target = Target::start().await;
    for part in [&[][..], &[0, 1, b'x', 1, b'y']] {
        let ended = target.flood(|round| {
            let begun = if round == 0 { headers(0x82, "/large.bin", 0, 1) } else { Vec::new() };
            [begun, frame(CONTINUATION, 0, 1, part).repeat(BATCH as usize)].concat()
        });
        assert_calmed(ended.await);
    }
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn games_with_windows_end_their_connection() {
    let target = Target::start().await;
    let widest = frame(WINDOW_UPDATE, 0, 0, &(u32::MAX >> 1).to_be_bytes());
    let code = target.flood(|_| widest.repeat(2)).await;
    assert!(code.is_none_or(|code| code == FLOW_CONTROL_ERROR), "{code:?}");
    let nothing = frame(WINDOW_UPDATE, 0, 0, &[0; 4]);
    let code = target.flood(|_| nothing.clone()).await;
    assert!(code.is_none_or(|code| code == PROTOCOL_ERROR), "{code:?}");

    // Windows that stay shut: what waits for them is bounded, and so is the time.
    let mut connections = Vec::new();
    for _ in 0..10 {
        let (reader, mut stream) = connect(&target.host, &[0, 4, 0, 0, 0, 0]).await;
        let requests: Vec<u8> = (0..100).flat_map(|index| get("/large.bin", index * 2 + 1)).collect();
        stream.write_all(&requests).await.unwrap();
        connections.push((reader, stream));
    }
    for (reader, _stream) in connections {
        let ended = tokio::time::timeout(PATIENCE, reader).await;
        ended.expect("a connection whose windows stay shut stays open").unwrap();
    }
    target.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_is_reset_and_the_others_go_on() {
    let target = Target::start().await;
    let (read, mut write) = open(&target.host, &[]).await;
    let wide = frame(WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes());
    write.write_all(&[wide, get("/large.bin", 1)].concat()).await.unwrap();
    let mut frames = Frames(read);
    let (mut answered, mut is_reset) = (0, false);
    let deadline = Instant::now() + PATIENCE;
    for stream in (3..).step_by(2) {
        assert!(Instant::now() < deadline, "the stream is never reset");
        write.write_all(&get("/innocent/ok", stream)).await.unwrap();
        let ended = async {
            loop {
                let (kind, flags, of, _) = frames.next().await.expect("the connection goes on");
                is_reset |= kind == RST_STREAM && of == 1;
                if of == stream && (kind == DATA || kind == HEADERS) && flags & END_STREAM != 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("another stream is answered");
        answered += 1;
        // Also after the reset.
        if is_reset && answered > 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    target.finish().await;
}

impl Target {
    async fn start() -> Self {
        let few = "instances = { min = 1, max = 4 }";
        let files = "[[routes]]\npath = \"/{*rest}\"\nfiles = \"site\"\n";
        let services = probe("probe", few) + &probe("innocent", few);
        let times = "write-timeout = \"1s\"\nidle-timeout = \"2s\"\n";
        let mut host = Host::prepare(&format!("{times}{services}{files}"));
        fs::create_dir(host.path("site")).unwrap();
        File::create(host.path("site/large.bin")).unwrap().set_len(32 << 20).unwrap();
        host.launch().await;
        let load = Load::start(host.client(), "/innocent/ok", Duration::from_millis(20));
        // What the host needs anyway is there after some requests.
        for _ in 0..100 {
            assert_eq!(host.client().get("/innocent/ok").await.status, 200);
        }
        let peak = Peak::watch(host.process());
        Self { host, load, peak }
    }

    /// Writes batch after batch until the host ends the connection; answers the code of its GOAWAY.
    async fn flood(&self, mut batch: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
        let (mut reader, mut stream) = connect(&self.host, &[]).await;
        let writing = async {
            for round in 0.. {
                if stream.write_all(&batch(round)).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let ended = async {
            tokio::select! {
                code = &mut reader => code.unwrap(),
                () = writing => None,
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the flood goes on")
    }

    /// Nobody else was harmed, and the memory stayed bounded.
    async fn finish(self) {
        let growth = self.peak.growth_kib();
        let report = self.load.stop().await;
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        assert!(growth < GROWTH_KIB_MAX, "the host grew by {growth} KiB");
    }
}

/// Whether the client sees the last frame depends on what it has sent meanwhile.
fn assert_calmed(code: Option<u32>) {
    assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{code:?}");
}

/// A connection whose preface is done.
async fn open(host: &Host, settings: &[u8]) -> (OwnedReadHalf, OwnedWriteHalf) {
    let (read, mut write) = TcpStream::connect(host.gateway_address()).await.unwrap().into_split();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let begin = [preface, &*frame(SETTINGS, 0, 0, settings), &*frame(SETTINGS, ACK, 0, &[])].concat();
    write.write_all(&begin).await.unwrap();
    (read, write)
}

/// The same, and a task that reads until its end; answers the code of the last GOAWAY.
async fn connect(host: &Host, settings: &[u8]) -> (JoinHandle<Option<u32>>, OwnedWriteHalf) {
    let (read, write) = open(host, settings).await;
    let reading = async move {
        let (mut frames, mut code) = (Frames(read), None);
        while let Some((kind, _, _, payload)) = frames.next().await {
            if kind == GOAWAY {
                code = payload[4..8].try_into().ok().map(u32::from_be_bytes);
            }
        }
        code
    };
    (tokio::spawn(reading), write)
}

/// What the host sends.
struct Frames(OwnedReadHalf);

impl Frames {
    /// Kind, flags, stream and payload of the next frame; none at the end.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[high, middle, low, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

fn get(path: &str, stream: u32) -> Vec<u8> {
    headers(0x82, path, END_HEADERS | END_STREAM, stream)
}

/// The head of a request; the method is an entry of the static table (RFC 7541, appendix A).
fn headers(method: u8, path: &str, flags: u8, stream: u32) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    let block = [&[method, 0x86, 0x01, 1, b'a', 0x04, length], path.as_bytes()].concat();
    frame(HEADERS, flags, stream, &block)
}
