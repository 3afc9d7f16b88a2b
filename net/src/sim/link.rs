//! What a network does to what travels over it.

use std::ops::RangeInclusive;
use std::time::Duration;

use straightline_sched::sim::Random;

/// How a simulated network carries things, from one host to another or within one.
///
/// ```
/// use std::time::Duration;
/// use straightline_net::sim::{Link, network};
/// use straightline_sched::sim;
///
/// sim::run(7, || {
///     let far = Duration::from_millis(80)..=Duration::from_millis(120);
///     network().set_link(Link { latency: far, ..Link::default() });
/// });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// How long each piece travels; where the two bounds differ, connections overtake each other.
    /// Default: 0.1 to 0.3 ms.
    pub latency: RangeInclusive<Duration>,
    /// What fits through a connection in one direction. Default: no limit.
    pub bytes_per_second: Option<u64>,
    /// How large the pieces are in which a stream travels: what a read finds is as many of them as
    /// have arrived. Default: 1 to 1,448 bytes.
    pub segment_bytes: RangeInclusive<usize>,
    /// What a connection takes in before writes have to wait. Default: 64 KiB.
    pub send_buffer_bytes: usize,
    /// What has arrived and was not read yet, at most. Default: 64 KiB.
    pub receive_buffer_bytes: usize,
    /// How often a write takes less than there is room for. Default: 0.1.
    pub short_write_chance: f64,
    /// How often a datagram is lost. Default: 0. (What a stream loses is sent again, and counts as
    /// latency.)
    pub datagram_loss_chance: f64,
    /// How often a datagram arrives twice. Default: 0.
    pub datagram_copy_chance: f64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(100)..=Duration::from_micros(300),
            bytes_per_second: None,
            segment_bytes: 1..=1_448,
            send_buffer_bytes: 64 * 1024,
            receive_buffer_bytes: 64 * 1024,
            short_write_chance: 0.1,
            datagram_loss_chance: 0.0,
            datagram_copy_chance: 0.0,
        }
    }
}

impl Link {
    /// A network drawn from the seed: near or far, steady or not, wide or narrow, with large or
    /// tiny buffers and pieces.
    ///
    /// ```
    /// use straightline_net::sim::{Link, network};
    /// use straightline_sched::sim;
    ///
    /// sim::run(7, || network().set_link(Link::draw(&mut sim::fork_random())));
    /// ```
    pub fn draw(random: &mut Random) -> Self {
        let least = Duration::from_micros([0, 10, 100, 1_000, 50_000][random.index(5)]);
        let jitter = Duration::from_micros([0, 100, 2_000, 100_000][random.index(4)]);
        let narrow = [20_000, 1_000_000][random.index(2)];
        let segment = [8, 64, 536, 1_448, 65_536][random.index(5)];
        let buffer = [128, 1_024, 16 * 1024, 256 * 1024][random.index(4)];
        // What is small in pieces is not also slow to read, or nothing would ever arrive.
        let least_segment = if random.chance(0.5) { 1 } else { segment };
        Self {
            latency: least..=least + jitter,
            bytes_per_second: random.chance(0.2).then_some(narrow),
            segment_bytes: least_segment..=segment,
            send_buffer_bytes: buffer,
            receive_buffer_bytes: [128, 4 * 1024, 64 * 1024][random.index(3)],
            short_write_chance: [0.0, 0.1, 0.9][random.index(3)],
            datagram_loss_chance: [0.0, 0.1, 0.5][random.index(3)],
            datagram_copy_chance: [0.0, 0.1][random.index(2)],
        }
    }

    /// How long `bytes` occupy the line.
    pub(super) fn transmission(&self, bytes: usize) -> Duration {
        match self.bytes_per_second {
            None | Some(0) => Duration::ZERO,
            Some(rate) => {
                let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate);
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
        }
    }
}
