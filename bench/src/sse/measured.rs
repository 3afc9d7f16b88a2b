//! One server with more and more clients.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use straightline_harness::{KillOnDrop, ServerProcess};

use super::clients::{CONNECTED, MARK};
use super::kind::Kind;
use super::plan::{Plan, ratio};
use super::serve::PUBLISH;
use crate::cpu;

/// What a server needed with so many clients.
pub(super) struct Measured {
    pub(super) clients: usize,
    pub(super) resident_kib: u64,
    /// What each client of this step has added.
    pub(super) kib_each: f64,
    pub(super) connects_per_second: f64,
    /// The seconds from the request to publish until the last client has the event.
    pub(super) broadcast_least: f64,
    pub(super) broadcast_median: f64,
    pub(super) cpu_micros: f64,
}

/// A process with clients.
struct Crowd {
    _process: KillOnDrop,
    lines: BufReader<ChildStdout>,
    /// How many events were published when its clients came.
    begun: u64,
}

/// Measures a server in all steps.
pub(super) fn measure(kind: Kind, plan: &Plan) -> io::Result<Vec<Measured>> {
    let server = start(kind, plan.pinning.server())?;
    let (mut crowds, mut published) = (Vec::new(), 0);
    let (mut before_clients, mut steps) = (0, Vec::new());
    // The first clients pay for what the process allocates once.
    crowds.push(Crowd::connect(&server, FIRST_CLIENTS, published)?);
    publish(server.address(), &mut crowds, &mut published)?;
    let mut before_kib = settled(&server)?;
    for &clients in &plan.clients {
        let begin = Instant::now();
        let mut left = clients.saturating_sub(before_clients);
        while left > 0 {
            let count = left.min(CLIENTS_OF_A_PROCESS);
            crowds.push(Crowd::connect(&server, count, published)?);
            left -= count;
        }
        let connecting = begin.elapsed();
        let resident_kib = settled(&server)?;
        let (mut times, mut cpu) = (Vec::new(), Duration::ZERO);
        for _ in 0..plan.events {
            let cpu_before = cpu::time_used(server.id())?;
            times.push(publish(server.address(), &mut crowds, &mut published)?.as_secs_f64());
            cpu += cpu::time_used(server.id())?.saturating_sub(cpu_before);
        }
        times.sort_by(f64::total_cmp);
        let added = clients - before_clients;
        let sent = f64::from(plan.events) * ratio(clients as u64, 1);
        steps.push(Measured {
            clients,
            resident_kib,
            kib_each: ratio(resident_kib.saturating_sub(before_kib), added),
            connects_per_second: ratio(added as u64, 1) / connecting.as_secs_f64(),
            broadcast_least: times[0],
            broadcast_median: times[times.len() / 2],
            cpu_micros: cpu.as_secs_f64() * 1e6 / sent,
        });
        (before_clients, before_kib) = (clients, settled(&server)?);
    }
    Ok(steps)
}

impl Crowd {
    fn connect(server: &ServerProcess, count: usize, begun: u64) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("sse-clients").arg(server.address().to_string()).arg(count.to_string());
        let mut process = KillOnDrop(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let stdout = process.0.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        let mut crowd = Self { _process: process, lines: BufReader::new(stdout), begun };
        crowd.expect(CONNECTED)?;
        Ok(crowd)
    }

    fn expect(&mut self, expected: &str) -> io::Result<()> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        if line.trim_end() == expected {
            return Ok(());
        }
        Err(io::Error::other(format!("the clients print {line:?} and not {expected:?}")))
    }
}

/// Publishes an event, and returns how long it took until all clients have it.
fn publish(server: SocketAddr, crowds: &mut [Crowd], published: &mut u64) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(server)?;
    let body = [MARK, &[b'x'; TEXT_BYTES]].concat();
    let mut request = format!(
        "POST {PUBLISH} HTTP/1.1\r\nHost: {server}\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    let begin = Instant::now();
    stream.write_all(&request)?;
    *published += 1;
    for crowd in &mut *crowds {
        let number = *published - crowd.begun;
        crowd.expect(&number.to_string())?;
    }
    let time = begin.elapsed();
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, answer));
    }
    Ok(time)
}

/// The resident memory once the server has done what it does after a burst.
fn settled(server: &ServerProcess) -> io::Result<u64> {
    thread::sleep(SETTLE_TIME);
    let status = fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.ok_or_else(|| io::Error::other("no VmRSS"))
}

fn start(kind: Kind, cpu: Option<usize>) -> io::Result<ServerProcess> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("serve-sse").arg(kind.to_string());
    if let Some(cpu) = cpu {
        command.arg("--cpu").arg(cpu.to_string());
    }
    ServerProcess::start(&mut command)
        .map_err(|error| io::Error::new(error.kind(), format!("{kind} did not start: {error}")))
}

/// Arbitrary: enough that all pools are filled.
const FIRST_CLIENTS: usize = 100;

/// Fewer than a process may open descriptors.
const CLIENTS_OF_A_PROCESS: usize = 9_000;

/// The text of an event: a line of a chat.
const TEXT_BYTES: usize = 60;

const SETTLE_TIME: Duration = Duration::from_millis(1_500);
