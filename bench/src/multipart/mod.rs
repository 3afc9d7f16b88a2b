//! A form with one large file, beside axum, whose `Multipart` is the crate `multer`: the CPU time
//! of a mebibyte, and the memory that the server needed at most.
//!
//! `serve` is the servers. The client is a blocking socket, and writes the same block again and
//! again: random bytes, and bytes that look like the boundary until the last letter.

mod serve;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use clap::ValueEnum;

use self::serve::PATH;
pub(crate) use self::serve::{Kind, run as serve};
use crate::cpu::{self, Pinning};
use crate::report::{median, ratios};
use crate::server::{self, Server};

/// What is measured, and how.
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// The length of the file, in mebibytes.
    pub(crate) mebibytes: u32,
    pub(crate) pinning: Pinning,
}

/// Sends the forms in interleaved rounds, and prints a table for each content.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    for (name, block) in [("random bytes", random()), ("near-boundaries", near_boundaries())] {
        let mut servers = Vec::new();
        for &kind in Kind::value_variants() {
            let cpu = plan.pinning.server();
            let server = Server::start(kind, &mut server::command("serve-multipart", kind, cpu)?)?;
            send(&server, &block, 1)?; // warms up
            let begun = server.resident_kib()?;
            servers.push((server, begun, Vec::new()));
        }
        for _ in 0..plan.rounds {
            for (server, _, micros) in &mut servers {
                let before = server.cpu_time()?;
                send(server, &block, plan.mebibytes)?;
                let used = server.cpu_time()?.saturating_sub(before);
                micros.push(used.as_secs_f64() * 1e6 / f64::from(plan.mebibytes));
            }
        }
        println!("\n### a file of {} MiB, {name}\n", plan.mebibytes);
        println!("| server | CPU µs/MiB | CPU ÷ axum (min..max) | KiB more than at rest |");
        println!("|---|--:|--:|--:|");
        let base = servers.last().expect("there are servers").2.clone();
        for (server, begun, micros) in servers {
            println!(
                "| {} | {:.1} | {} | {} |",
                server.kind(),
                median(micros.clone()),
                ratios(&micros, &base),
                server.peak_kib()?.saturating_sub(begun),
            );
        }
    }
    Ok(true)
}

/// Sends a form, and checks that the server has counted its bytes.
fn send(server: &Server<Kind>, block: &[u8], mebibytes: u32) -> io::Result<()> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    let before = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"
    );
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    let bytes = block.len() * mebibytes as usize;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        server.address(),
        before.len() + bytes + after.len()
    );
    stream.write_all((head + &before).as_bytes())?;
    for _ in 0..mebibytes {
        stream.write_all(block)?;
    }
    stream.write_all(after.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.ends_with(&format!("\r\n\r\n{bytes}")) {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidData, answer))
}

/// A mebibyte that no compression and no search for a byte likes.
fn random() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).take(BLOCK_BYTES / 8).flatten().collect()
}

/// A mebibyte of delimiters without their last letter.
fn near_boundaries() -> Vec<u8> {
    let near = format!("\r\n--{}", &BOUNDARY[..BOUNDARY.len() - 1]);
    near.bytes().cycle().take(BLOCK_BYTES).collect()
}

/// As browsers make it.
const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

const BLOCK_BYTES: usize = 1 << 20;

/// Arbitrary: on loopback it takes milliseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
