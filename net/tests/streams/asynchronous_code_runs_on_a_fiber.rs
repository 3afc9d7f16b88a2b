//! Code that is generic over the asynchronous traits runs on a fiber, over real sockets.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{joined_unless_it_hangs, pattern, tcp_pair};
use futures_util::future::{join, join_all, select};
use straightline_net::compat::{AsyncStream, Stream};
use straightline_net::{MemoryStream, UnixStream};
use straightline_sched as sched;

/// More than the kernel buffers of two sockets take while no peer reads.
const BYTES: usize = 8 << 20;

/// Runs a future on a new fiber, and cancels the fiber if it hangs.
fn on_fiber<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    let run = || sched::block_on(future).expect("nothing unwinds");
    joined_unless_it_hangs(run).expect("the fiber ends")
}

/// One task writes and reads at the same time. It would hang if it first wrote and then read.
async fn echoed_in_tokio<S: Stream>(near: S, far: S) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
    let (mut from_far, mut to_far) = split(AsyncStream::new(near));
    let (mut from_near, mut to_near) = split(AsyncStream::new(far));
    let sent = pattern(BYTES);
    let writes = async {
        to_far.write_all(&sent).await?;
        to_far.shutdown().await
    };
    let reads = async {
        let mut received = Vec::new();
        from_far.read_to_end(&mut received).await.map(|_| received)
    };
    let far_end = async {
        let count = copy(&mut from_near, &mut to_near).await?;
        to_near.shutdown().await.map(|()| count)
    };
    let (echoed, (written, received)) = join(far_end, join(writes, reads)).await;
    written.expect("the peer reads");
    assert_eq!(echoed.expect("an echo"), BYTES as u64);
    assert!(received.expect("an answer") == sent);
}

async fn echoed_in_futures<S: Stream>(near: S, far: S) {
    use futures_util::io::{AsyncReadExt, AsyncWriteExt, copy};
    let (mut from_far, mut to_far) = AsyncStream::new(near).split();
    let (mut from_near, mut to_near) = AsyncStream::new(far).split();
    let sent = pattern(BYTES);
    let writes = async {
        to_far.write_all(&sent).await?;
        to_far.close().await
    };
    let reads = async {
        let mut received = Vec::new();
        from_far.read_to_end(&mut received).await.map(|_| received)
    };
    let far_end = async {
        let count = copy(&mut from_near, &mut to_near).await?;
        to_near.close().await.map(|()| count)
    };
    let (echoed, (written, received)) = join(far_end, join(writes, reads)).await;
    written.expect("the peer reads");
    assert_eq!(echoed.expect("an echo"), BYTES as u64);
    assert!(received.expect("an answer") == sent);
}

#[test]
fn an_echo_in_tokios_traits() {
    sched::run(|| {
        let (near, far) = tcp_pair();
        on_fiber(echoed_in_tokio(near, far));
        let (near, far) = UnixStream::pair().unwrap();
        on_fiber(echoed_in_tokio(near, far));
        let (near, far) = MemoryStream::pair(1 << 20);
        on_fiber(echoed_in_tokio(Rc::new(near), Rc::new(far)));
    });
}

#[test]
fn an_echo_in_futures_traits() {
    sched::run(|| {
        let (near, far) = tcp_pair();
        on_fiber(echoed_in_futures(near, far));
        let (near, far) = UnixStream::pair().unwrap();
        on_fiber(echoed_in_futures(near, far));
        let (near, far) = MemoryStream::pair(1 << 20);
        on_fiber(echoed_in_futures(Rc::new(near), Rc::new(far)));
    });
}

#[test]
fn a_future_talks_to_a_fiber_that_blocks() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    sched::run(|| {
        let (near, mut far) = tcp_pair();
        let server = sched::spawn(move || {
            let mut question = [0; 8];
            for _ in 0..1_000 {
                far.read_exact(&mut question).unwrap();
                far.write_all(&question).unwrap();
            }
        });
        on_fiber(async move {
            let mut near = AsyncStream::new(near);
            for round in 0_u64..1_000 {
                near.write_all(&round.to_be_bytes()).await.unwrap();
                assert_eq!(near.read_u64().await.unwrap(), round);
            }
        });
        server.join().unwrap();
    });
}

#[test]
fn many_streams_are_waited_for_in_one_future() {
    use tokio::io::AsyncReadExt;
    sched::run(|| {
        let (near, far): (Vec<_>, Vec<_>) = (0..100).map(|_| UnixStream::pair().unwrap()).unzip();
        let writer = sched::spawn(move || {
            for (number, mut stream) in near.into_iter().enumerate().rev() {
                sched::yield_now();
                stream.write_all(&[u8::try_from(number).unwrap()]).unwrap();
            }
        });
        let reads = far.into_iter().map(|stream| async move {
            let mut stream = AsyncStream::new(stream);
            let number = stream.read_u8().await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "its end comes, too");
            number
        });
        let numbers = on_fiber(join_all(reads));
        assert!(numbers.into_iter().eq(0..100));
        writer.join().unwrap();
    });
}

#[test]
fn a_read_that_lost_a_race_may_be_begun_again() {
    use tokio::io::AsyncReadExt;
    sched::run(|| {
        let (near, mut far) = tcp_pair();
        let writer = sched::spawn(move || {
            for byte in 0..100 {
                sched::yield_now();
                far.write_all(&[byte]).unwrap();
            }
        });
        on_fiber(async move {
            let mut near = AsyncStream::new(near);
            let mut received = Vec::new();
            while received.len() < 100 {
                // In each turn the read is dropped in the middle of its wait.
                let mut turns = 0;
                let other = std::future::poll_fn(|cx| {
                    turns += 1;
                    cx.waker().wake_by_ref();
                    if turns == 2 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
                });
                let read = std::pin::pin!(near.read_u8());
                if let futures_util::future::Either::Left((byte, _)) = select(read, other).await {
                    received.push(byte.unwrap());
                }
            }
            assert!(received.into_iter().eq(0..100));
        });
        writer.join().unwrap();
    });
}

#[test]
fn a_stream_that_always_has_something_lets_others_run() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    sched::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let busy = sched::spawn(move || {
            let (mut near, mut far) = (AsyncStream::new(near), AsyncStream::new(far));
            sched::block_on(async move {
                loop {
                    near.write_all(b"!").await.unwrap();
                    far.read_exact(&mut [0]).await.unwrap();
                }
            })
        });
        let turns = Rc::new(Cell::new(0));
        for _ in 0..20 {
            sched::sleep(Duration::from_millis(1));
            turns.set(turns.get() + 1);
        }
        busy.cancel();
        assert!(busy.join().map(|_: Result<(), _>| ()).unwrap_err().is_cancelled());
        assert_eq!(turns.get(), 20);
    });
}

#[test]
fn a_cancel_closes_the_stream() {
    use tokio::io::AsyncReadExt;
    sched::run(|| {
        let (near, mut far) = tcp_pair();
        let reader = sched::spawn(move || {
            sched::block_on(async move { AsyncStream::new(near).read_u8().await })
        });
        sched::sleep(Duration::from_millis(1));
        reader.cancel();
        assert!(reader.join().unwrap_err().is_cancelled());
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn the_wrapped_stream_comes_back_as_it_was() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    sched::run(|| {
        let (near, mut far) = tcp_pair();
        far.write_all(b"async then blocking").unwrap();
        let mut near = AsyncStream::new(near);
        let mut word = [0; 10];
        sched::block_on(near.read_exact(&mut word)).unwrap().unwrap();
        assert_eq!(&word, b"async then");
        let parts = [IoSlice::new(b"one"), IoSlice::new(b"two")];
        let written = sched::block_on(near.write_vectored(&parts)).unwrap().unwrap();
        assert_eq!(written, 6);
        let mut near = near.into_inner();
        let mut rest = [0; 9];
        near.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b" blocking");
        drop(near);
        assert_eq!(io::read_to_string(far).unwrap(), "onetwo");
    });
}

#[test]
fn of_many_slices_some_are_written() {
    use futures_util::io::AsyncWriteExt;
    sched::run(|| {
        let (near, far) = tcp_pair();
        let bytes = pattern(3_000);
        let count = on_fiber(async move {
            let slices: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
            AsyncStream::new(near).write_vectored(&slices).await
        });
        assert_eq!(count.expect("the write takes some slices"), 1_024);
        drop(far);
    });
}

#[test]
fn a_poll_outside_of_a_run_is_an_error_where_it_would_wait() {
    use futures_util::io::{AsyncRead, AsyncWrite};
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut near = AsyncStream::new(UnixStream::from_std(near).expect("a stream"));
    let mut cx = Context::from_waker(Waker::noop());
    let read = Pin::new(&mut near).poll_read(&mut cx, &mut [0; 8]);
    assert!(matches!(read, Poll::Ready(Err(_))));
    let written = Pin::new(&mut near).poll_write(&mut cx, b"!");
    assert!(matches!(written, Poll::Ready(Ok(1))));
    far.read_exact(&mut [0]).expect("the byte has arrived");
}
