//! A fiber that is cancelled while it waits for the network closes its descriptors.
//!
//! A program of its own with a single test, which counts the descriptors of the process.

#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::time::Duration;

use straightline_net::{ListenOptions, TcpListener, TcpStream, UdpSocket, UnixStream};
use straightline_sched::{self as sched, JoinHandle};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

fn cancel_while_it_waits<T: 'static>(fiber: JoinHandle<T>) {
    (0..3).for_each(|_| sched::yield_now());
    fiber.cancel();
    drop(fiber.join());
}

#[test]
fn every_kind_of_wait_closes_its_descriptors() {
    let outside = open_descriptors();
    sched::run(|| {
        let shared = ListenOptions::new().bind("127.0.0.1:0").unwrap();
        let shared = shared.into_std().unwrap();
        let address = shared.local_addr().unwrap();
        let listener = TcpListener::from_std(shared.try_clone().unwrap()).unwrap();
        // A listener that takes no more connections: the connects after the first few must wait.
        let full = ListenOptions::new().backlog(0).bind("127.0.0.1:0").unwrap();
        let full_address = full.local_addr().unwrap();
        let before = open_descriptors();
        for _ in 0..20 {
            cancel_while_it_waits(sched::spawn(|| {
                TcpListener::bind("127.0.0.1:0").unwrap().accept().unwrap()
            }));
            let own = TcpListener::from_std(shared.try_clone().unwrap()).unwrap();
            cancel_while_it_waits(sched::spawn(move || own.accept().unwrap()));
            cancel_while_it_waits(sched::spawn(move || TcpStream::connect(full_address)));
            cancel_while_it_waits(sched::spawn(|| {
                UdpSocket::bind("127.0.0.1:0").unwrap().recv(&mut [0]).unwrap()
            }));
            cancel_while_it_waits(sched::spawn(|| {
                let (mut near, _far) = UnixStream::pair().unwrap();
                near.set_read_timeout(Some(Duration::from_secs(3_600))).unwrap();
                near.read(&mut [0]).unwrap()
            }));
            cancel_while_it_waits(sched::spawn(|| {
                let (mut near, _far) = UnixStream::pair().unwrap();
                near.read(&mut [0]).unwrap()
            }));
            cancel_while_it_waits(sched::spawn(|| {
                let (mut near, _far) = UnixStream::pair().unwrap();
                near.write_all(&vec![0; 8 << 20]).unwrap();
            }));
            let mut client = TcpStream::connect(address).unwrap();
            let (served, _) = listener.accept().unwrap();
            cancel_while_it_waits(sched::spawn(move || client.read(&mut [0]).unwrap()));
            assert_eq!((&served).read(&mut [0]).unwrap(), 0, "the unwind closed the client");
        }
        assert_eq!(open_descriptors(), before);
        // A connect with several attempts under way. None of them will succeed or fail.
        let race = sched::spawn(move || TcpStream::connect(&[full_address; 3][..]).unwrap());
        while open_descriptors() < before + 3 {
            sched::sleep(Duration::from_millis(10));
        }
        race.cancel();
        assert!(race.join().unwrap_err().is_cancelled());
        assert_eq!(open_descriptors(), before);
        // The end of the run closes the descriptors that are still open.
        for _ in 0..20 {
            sched::spawn(|| TcpListener::bind("127.0.0.1:0").unwrap().accept().unwrap());
        }
        sched::yield_now();
        assert_eq!(open_descriptors(), before + 20);
    });
    assert_eq!(open_descriptors(), outside);
}
