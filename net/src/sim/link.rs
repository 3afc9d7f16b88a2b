//! The properties of a link between two hosts.

use std::ops::RangeInclusive;
use std::time::Duration;

use straightline_sched::sim::Random;

use crate::with_fields::with_fields;

/// The properties of a link between two hosts: how long a packet takes, how large the pieces of a
/// stream are, and how much the sockets at its ends buffer.
///
/// Latency, rate, piece sizes and chances apply to each packet that is sent from now on; buffer
/// sizes apply to sockets that are made from now on.
///
/// ```
/// use std::io::{Read, Write};
/// use std::time::Duration;
/// use straightline_net::sim::{Link, network};
/// use straightline_net::{TcpListener, TcpStream};
/// use straightline_sched::{self as sched, sim};
///
/// sim::run(1, || {
///     let far = Duration::from_millis(80);
///     network().set_link(Link::default().with_latency(far..=far).with_segment_bytes(1..=3));
///     let listener = TcpListener::bind("10.0.0.1:80").unwrap();
///     let mut client = TcpStream::connect("10.0.0.1:80").unwrap();
///     assert!(sim::elapsed() >= 2 * far); // there and back
///     let mut stream = listener.accept().unwrap().0;
///     client.write_all(b"in pieces").unwrap();
///     assert!(stream.read(&mut [0; 100]).unwrap() <= 9);
/// });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// How long a packet travels. On one connection no packet overtakes another.
    pub latency: RangeInclusive<Duration>,
    /// How many bytes a second one host can send to another, for all their connections together.
    pub bytes_per_second: Option<u64>,
    /// How many bytes of a TCP stream travel as one piece. A read returns the pieces that have
    /// arrived.
    pub segment_bytes: RangeInclusive<usize>,
    /// How many bytes a stream buffers at first until they arrive. A write that finds no room
    /// waits.
    pub send_buffer_bytes: usize,
    /// How far that buffer grows while a program fills it: as on Linux, where the third number of
    /// `net.ipv4.tcp_wmem` is the bound. A larger buffer tells its writer later of room: when a
    /// third is free.
    pub send_buffer_bytes_max: usize,
    /// How many bytes a socket buffers until they are read.
    pub receive_buffer_bytes: usize,
    /// The probability that a write to a TCP stream takes less than there is room for.
    pub short_write_chance: f64,
    /// The probability that a datagram gets lost.
    pub datagram_loss_chance: f64,
    /// The probability that a datagram arrives twice. Datagrams overtake each other anyway.
    pub datagram_duplication_chance: f64,
}

with_fields! {
    Link {
        with_latency: latency: RangeInclusive<Duration>,
        with_bytes_per_second: bytes_per_second: Option<u64>,
        with_segment_bytes: segment_bytes: RangeInclusive<usize>,
        with_send_buffer_bytes: send_buffer_bytes: usize,
        with_send_buffer_bytes_max: send_buffer_bytes_max: usize,
        with_receive_buffer_bytes: receive_buffer_bytes: usize,
        with_short_write_chance: short_write_chance: f64,
        with_datagram_loss_chance: datagram_loss_chance: f64,
        with_datagram_duplication_chance: datagram_duplication_chance: f64,
    }
}

impl Default for Link {
    /// A quiet local network: 0.1 to 0.3 ms, pieces of one to a few Ethernet frames, no loss.
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(100)..=Duration::from_micros(300),
            bytes_per_second: None,
            segment_bytes: 1_448..=16 << 10,
            send_buffer_bytes: 128 << 10,
            send_buffer_bytes_max: 4 << 20,
            receive_buffer_bytes: 128 << 10,
            short_write_chance: 0.0,
            datagram_loss_chance: 0.0,
            datagram_duplication_chance: 0.0,
        }
    }
}

impl Link {
    /// A random link: near or far, fast or slow, with large or tiny buffers, in large pieces or
    /// byte by byte.
    ///
    /// ```
    /// use straightline_net::sim::Link;
    /// use straightline_sched::sim::Random;
    ///
    /// assert_eq!(Link::draw(&mut Random::new(7)), Link::draw(&mut Random::new(7)));
    /// ```
    pub fn draw(random: &mut Random) -> Self {
        let least = magnitude(random, 10, 100_000);
        let most = least + magnitude(random, 10, 200_000);
        let segment_least = if random.chance(0.5) { 1 } else { size(random, 1, 2_000) };
        let segment_most = segment_least + size(random, 1, 64 << 10) - 1;
        // Pieces of one byte on a long link would make a history that only waits.
        let buffer_least = if most > 10_000 { 4 << 10 } else { 16 };
        let bytes_per_second = random.chance(0.3).then(|| magnitude(random, 100_000, 1 << 30));
        let send_buffer_bytes = size(random, buffer_least, 512 << 10);
        Self {
            latency: Duration::from_micros(least)..=Duration::from_micros(most),
            bytes_per_second,
            segment_bytes: segment_least..=segment_most,
            send_buffer_bytes,
            send_buffer_bytes_max: send_buffer_bytes.max((send_buffer_bytes * 32).min(4 << 20)),
            receive_buffer_bytes: size(random, buffer_least, 512 << 10),
            short_write_chance: if random.chance(0.5) { 0.0 } else { 0.3 },
            datagram_loss_chance: if random.chance(0.7) { 0.0 } else { 0.1 },
            datagram_duplication_chance: if random.chance(0.7) { 0.0 } else { 0.1 },
        }
    }
}

/// A number of that range; each order of magnitude is equally probable.
fn magnitude(random: &mut Random, least: u64, most: u64) -> u64 {
    let doublings = u64::from((most / least).ilog2());
    let base = least << random.range(0..=doublings);
    random.range(base..=most.min(2 * base))
}

fn size(random: &mut Random, least: usize, most: usize) -> usize {
    usize::try_from(magnitude(random, least as u64, most as u64)).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_links_are_of_all_sizes() {
        let mut random = Random::new(1);
        let links: Vec<Link> = (0..1_000).map(|_| Link::draw(&mut random)).collect();
        let any = |is: fn(&Link) -> bool| assert!(links.iter().any(is));
        let all = |is: fn(&Link) -> bool| assert!(links.iter().all(is));
        any(|link| *link.segment_bytes.end() <= 2);
        any(|link| *link.segment_bytes.start() > 1_000);
        any(|link| link.receive_buffer_bytes < 100);
        any(|link| link.send_buffer_bytes > 100_000);
        any(|link| *link.latency.end() < Duration::from_micros(100));
        any(|link| *link.latency.end() > Duration::from_millis(100));
        all(|link| !link.latency.is_empty() && !link.segment_bytes.is_empty());
        all(|link| *link.segment_bytes.start() > 0 && link.send_buffer_bytes > 0);
    }
}
