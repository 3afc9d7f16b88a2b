//! What is to be sent, in its order, without a socket.
//!
//! Three rules bound it. Messages are added only while there is room. There is one Pong at most: a
//! newer Ping replaces what the older one asked for (RFC 6455 section 5.5.3), so a client that
//! sends Pings and reads nothing makes it no longer. And nothing comes behind a Close frame. A
//! frame of which a part has been sent is always sent to its end, before any other.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::frame::{FrameKind, SentHead};

/// Frames that are to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Messages, and perhaps a Close frame behind them.
    frames: VecDeque<Outgoing>,
    /// The bytes of `frames`, with what each frame costs.
    bytes: usize,
    pong: Option<Outgoing>,
    ping: Option<Outgoing>,
    /// A frame of the three above of which a part has been sent; it comes first.
    begun: Option<Outgoing>,
    is_closed: bool,
}

/// A frame, and how much of it has been sent.
#[derive(Debug)]
struct Outgoing {
    head: SentHead,
    payload: Bytes,
    /// Of the head and the payload together.
    sent: usize,
}

impl Outbox {
    /// Whether everything has been sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.begun.is_none() && self.pong.is_none() && self.ping.is_none()
    }

    /// Whether a Close frame was added.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How many bytes wait, with the cost of each frame. A Ping and a Pong do not count.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.begun.as_ref().map_or(0, Outgoing::left)
    }

    /// How many bytes a message of that length counts for.
    pub(crate) fn cost(length: usize) -> usize {
        length.saturating_add(size_of::<Outgoing>())
    }

    /// Adds a frame behind all others. Nothing is added behind a Close frame.
    pub(crate) fn push(&mut self, kind: FrameKind, payload: Bytes) {
        if self.is_closed {
            return;
        }
        let frame = Outgoing { head: kind.head(payload.len()), payload, sent: 0 };
        match kind {
            FrameKind::Ping => self.ping = Some(frame),
            FrameKind::Pong => self.pong = Some(frame),
            _ => {
                self.is_closed = kind == FrameKind::Close;
                self.bytes += Self::cost(frame.payload.len());
                self.frames.push_back(frame);
            }
        }
    }

    /// Forgets all frames of which nothing has been sent: the Close frame of a failure does not
    /// wait behind them.
    pub(crate) fn forget_unbegun(&mut self) {
        self.frames.clear();
        (self.bytes, self.ping, self.pong) = (0, None, None);
    }

    /// Forgets everything, and takes nothing more.
    pub(crate) fn end(&mut self) {
        *self = Self { is_closed: true, ..Self::default() };
    }

    /// The next bytes; the number of slices that were set. Control frames go between messages.
    pub(crate) fn fill<'o>(&'o self, slices: &mut [IoSlice<'o>]) -> usize {
        let mut count = 0;
        for frame in self.in_order() {
            for part in frame.parts() {
                if count == slices.len() {
                    return count;
                }
                if !part.is_empty() {
                    slices[count] = IoSlice::new(part);
                    count += 1;
                }
            }
        }
        count
    }

    /// So many bytes of those that [`fill`](Self::fill) returned have been sent.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(mut frame) = self.take_first() else { return };
            let left = frame.left();
            frame.sent += count.min(left);
            if count < left {
                self.begun = Some(frame);
                return;
            }
            count -= left;
        }
        if self.frames.is_empty() {
            // An idle client keeps no queue.
            self.frames = VecDeque::new();
        }
    }

    fn in_order(&self) -> impl Iterator<Item = &Outgoing> {
        self.begun.iter().chain(&self.pong).chain(&self.ping).chain(&self.frames)
    }

    fn take_first(&mut self) -> Option<Outgoing> {
        let control = self.begun.take().or_else(|| self.pong.take()).or_else(|| self.ping.take());
        control.or_else(|| {
            let frame = self.frames.pop_front()?;
            self.bytes -= Self::cost(frame.payload.len());
            Some(frame)
        })
    }
}

impl Outgoing {
    fn parts(&self) -> [&[u8]; 2] {
        let head = self.head.bytes();
        let in_head = self.sent.min(head.len());
        [&head[in_head..], &self.payload[self.sent - in_head..]]
    }

    fn left(&self) -> usize {
        self.head.bytes().len() + self.payload.len() - self.sent
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::super::frame::ReceivedHead;
    use super::*;

    /// Sends at most `count` bytes, and appends them to `sent`.
    fn send(outbox: &mut Outbox, count: usize, sent: &mut Vec<u8>) {
        let mut slices = [IoSlice::new(&[]); 3];
        let filled = outbox.fill(&mut slices);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        let count = count.min(bytes.len());
        sent.extend_from_slice(&bytes[..count]);
        outbox.advance(count);
    }

    /// The frames, which are whole.
    fn frames(mut bytes: &[u8]) -> Vec<(FrameKind, Vec<u8>)> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let (head, length) = ReceivedHead::parse(bytes).expect("known").expect("whole");
            let (frame, rest) =
                bytes.split_at(length + usize::try_from(head.length).expect("fits"));
            frames.push((head.kind, frame[length..].to_vec()));
            bytes = rest;
        }
        frames
    }

    quickcheck! {
        /// Each step adds a frame, or sends some bytes.
        fn frames_are_whole_and_messages_keep_their_order(steps: Vec<(u8, u16)>) -> bool {
            let (mut outbox, mut sent) = (Outbox::default(), Vec::new());
            let (mut messages, mut last_pong) = (Vec::new(), None);
            for (kind, size) in steps {
                let payload = Bytes::from(vec![kind; usize::from(size % 300)]);
                match kind % 5 {
                    0 => {
                        messages.push((FrameKind::Binary, payload.to_vec()));
                        outbox.push(FrameKind::Binary, payload);
                    }
                    1 => {
                        let payload = payload.slice(..payload.len().min(125));
                        last_pong = Some(payload.to_vec());
                        outbox.push(FrameKind::Pong, payload);
                    }
                    2 => outbox.push(FrameKind::Ping, Bytes::new()),
                    _ => send(&mut outbox, usize::from(size), &mut sent),
                }
            }
            outbox.push(FrameKind::Close, Bytes::new());
            outbox.push(FrameKind::Binary, Bytes::from_static(b"late"));
            while !outbox.is_empty() {
                send(&mut outbox, 100, &mut sent);
            }
            let frames = frames(&sent);
            let of = |kinds: &[FrameKind]| -> Vec<_> {
                frames.iter().filter(|frame| kinds.contains(&frame.0)).cloned().collect()
            };
            messages.push((FrameKind::Close, Vec::new()));
            let pongs = of(&[FrameKind::Pong]);
            of(&[FrameKind::Binary, FrameKind::Close]) == messages
                && pongs.last().map(|pong| pong.1.clone()) == last_pong
                && outbox.bytes() == 0
        }
    }

    #[test]
    fn pongs_do_not_pile_up() {
        let mut outbox = Outbox::default();
        for nth in 0..1000_u16 {
            outbox.push(FrameKind::Pong, Bytes::copy_from_slice(&nth.to_be_bytes()));
        }
        let mut sent = Vec::new();
        send(&mut outbox, 1, &mut sent); // one of them has begun
        outbox.push(FrameKind::Pong, Bytes::from_static(b"newest"));
        while !outbox.is_empty() {
            send(&mut outbox, 100, &mut sent);
        }
        let expected = [
            (FrameKind::Pong, 999_u16.to_be_bytes().to_vec()),
            (FrameKind::Pong, b"newest".into()),
        ];
        assert_eq!(frames(&sent), expected);
    }
}
