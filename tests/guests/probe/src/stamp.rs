//! Answers of which every line says whose they are and to whom: what a test compares while versions come and go.

use std::hint::black_box;
use std::io::{self, Cursor, Read};
use std::time::Duration;

use hostel_sdk::{Request, Response, Result, client, discovery};

/// The mark: tests change it in the bytes, and so know by an answer which component has made it.
static MARK: &str = "probe-mark=000000";

/// Lines, each made when it is read, with a pause before all but the first.
struct Lines {
    id: String,
    left: u32,
    pause: Duration,
    line: Cursor<Vec<u8>>,
    is_first: bool,
}

/// `lines` lines for the request `id`, `ms` apart; a body comes back between two of them.
pub fn stamp(request: &Request) -> Result<Response> {
    let lines = request.query_as("lines")?.unwrap_or(1);
    let pause = Duration::from_millis(request.query_as("ms")?.unwrap_or(0));
    let answer = Lines::of(request, lines, pause);
    Ok(match request.method() {
        "POST" => plain(answer.chain(request.body()).chain(Lines::of(request, 1, Duration::ZERO))),
        _ => plain(answer),
    })
}

/// A line, what `/stamp` of the service `name` answers to the same id, and another line.
pub fn relay(request: &Request) -> Result<Response> {
    let name = request.query("name").unwrap_or("probe");
    let id = request.query("id").unwrap_or_default();
    let ms = request.query("ms").unwrap_or("0");
    let url = format!("http://{name}.internal/{name}/stamp?id={id}&lines=2&ms={ms}");
    let answered = client::get(&url).send()?;
    if answered.status() != 200 {
        return Ok(Response::text(502, format!("{name} answered {}", answered.status())));
    }
    let line = || Lines::of(request, 1, Duration::ZERO);
    Ok(plain(line().chain(answered.into_body()).chain(line())))
}

fn plain(body: impl Read + 'static) -> Response {
    Response::stream(200, "text/plain", body)
}

impl Lines {
    fn of(request: &Request, lines: u32, pause: Duration) -> Self {
        let id = request.query("id").unwrap_or_default().to_owned();
        Self { id, left: lines, pause, line: Cursor::default(), is_first: true }
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.line.read(buffer)?;
        if read > 0 || self.left == 0 {
            return Ok(read);
        }
        if !std::mem::take(&mut self.is_first) && !self.pause.is_zero() {
            std::thread::sleep(self.pause);
        }
        self.left -= 1;
        let me = discovery::who_am_i();
        // Without the black box the compiler would read the mark now, and not from the bytes.
        let mark = black_box(MARK).trim_start_matches("probe-mark=");
        let line = format!("stamp {} v{} {} {mark} {}\n", me.service, me.version, me.instance, self.id);
        self.line = Cursor::new(line.into_bytes());
        self.line.read(buffer)
    }
}
