//! A client that asks for one path after the other over one connection, and tells how long each answer took. One whose
//! runtime collects garbage meanwhile would tell of itself.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Asks for each path, and prints the microseconds of each answer when all are there.
pub fn each(address: &str, paths: &[&str]) -> Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let times = paths.iter().map(|path| ask(&mut stream, path)).collect::<Result<Vec<_>>>()?;
    for time in times {
        println!("{:.1}", time.as_secs_f64() * 1e6);
    }
    Ok(())
}

/// How long the whole answer takes.
fn ask(stream: &mut BufReader<TcpStream>, path: &str) -> Result<Duration> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let began = Instant::now();
    stream.get_mut().write_all(request.as_bytes())?;
    let length = head(stream, path)?;
    stream.read_exact(&mut vec![0; length])?;
    Ok(began.elapsed())
}

/// Reads the head of an answer, which must be a good one; answers the length of its body.
fn head(stream: &mut BufReader<TcpStream>, path: &str) -> Result<usize> {
    let (mut line, mut length) = (String::new(), None);
    stream.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200 ") {
        return Err(Error::other(format!("{path}: {line}")));
    }
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(Error::other(format!("{path}: the answer breaks off")));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
    }
    length.ok_or_else(|| Error::other(format!("{path}: the answer tells no length")))
}
