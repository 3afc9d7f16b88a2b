//! The places against a simple model, and the limits.

use std::time::{Duration, Instant};

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::{Member, Places};

#[derive(Clone, Copy, Debug)]
enum Step {
    Take,
    Leave(u8),
    Connect,
    Connected(bool),
    GiveBack(u8),
    Break(u8),
    Reap,
    Close,
}

impl Arbitrary for Step {
    fn arbitrary(random: &mut Gen) -> Self {
        let number = u8::arbitrary(random);
        match u8::arbitrary(random) % 32 {
            0..=9 => Self::Take,
            10..=12 => Self::Leave(number),
            13..=18 => Self::Connect,
            19..=22 => Self::Connected(number % 4 > 0),
            23..=27 => Self::GiveBack(number),
            28..=29 => Self::Break(number),
            30 => Self::Reap,
            _ if number.is_multiple_of(8) => Self::Close,
            _ => Self::Take,
        }
    }
}

/// The same as lists, searched from one end to the other.
#[derive(Default)]
struct Model {
    idle: Vec<u32>,
    taken: Vec<u32>,
    waiting: Vec<u64>,
    connecting: usize,
    made: u32,
    closed: bool,
}

fn member(connection: u32, at: Instant) -> Member<u32> {
    Member { connection, expires: None, idle_since: at }
}

fn give_back(places: &mut Places<u32, u64>, model: &mut Model, connection: u32, at: Instant) {
    let next = places.next_waiting();
    let expected = (!model.waiting.is_empty()).then(|| model.waiting.remove(0));
    assert_eq!(next, expected, "the one that has waited longest is served");
    if next.is_some() {
        model.taken.push(connection);
        return;
    }
    match places.keep(member(connection, at)) {
        Ok(()) => model.idle.push(connection),
        Err(_) => places.vacate(),
    }
}

fn step(places: &mut Places<u32, u64>, model: &mut Model, step: Step, at: Instant) {
    match step {
        Step::Take if model.closed => {}
        Step::Take => {
            if let Some(member) = places.take_idle() {
                assert!(model.waiting.is_empty(), "no fiber overtakes another");
                assert_eq!(Some(member.connection), model.idle.pop());
                model.taken.push(member.connection);
            } else {
                let number = places.next_number;
                assert_eq!(places.join(number), number);
                model.waiting.push(number);
            }
        }
        Step::Leave(number) if !model.waiting.is_empty() => {
            let number = model.waiting.remove(usize::from(number) % model.waiting.len());
            assert_eq!(places.leave(number), Some(number));
            assert_eq!(places.leave(number), None);
        }
        Step::Connect => {
            let open = model.idle.len() + model.taken.len() + model.connecting;
            let may = !model.closed && open < MAX && model.connecting < model.waiting.len();
            assert_eq!(places.begin_connect(), may);
            model.connecting += usize::from(may);
        }
        Step::Connected(is_made) if model.connecting > 0 => {
            places.end_connect();
            model.connecting -= 1;
            if is_made {
                model.made += 1;
                give_back(places, model, model.made, at);
            } else {
                places.vacate();
            }
        }
        Step::GiveBack(number) if !model.taken.is_empty() => {
            let connection = model.taken.remove(usize::from(number) % model.taken.len());
            give_back(places, model, connection, at);
        }
        Step::Break(number) if !model.taken.is_empty() => {
            model.taken.remove(usize::from(number) % model.taken.len());
            places.vacate();
        }
        Step::Reap => {
            let due = places.take_due(at, Some(at)).map(|member| member.connection);
            let expected = (!model.idle.is_empty()).then(|| model.idle.remove(0));
            assert_eq!(due, expected, "the longest idle one goes first");
            if due.is_some() {
                places.vacate();
            }
        }
        Step::Close => {
            let (idle, waiting) = places.close();
            assert_eq!((idle.len(), waiting.len()), (model.idle.len(), model.waiting.len()));
            idle.iter().for_each(|_| places.vacate());
            model.idle.clear();
            model.waiting.clear();
            model.closed = true;
        }
        Step::Leave(_) | Step::Connected(_) | Step::GiveBack(_) | Step::Break(_) => {}
    }
}

#[test]
fn the_places_are_those_of_a_simple_model() {
    fn property(steps: Vec<Step>) -> bool {
        let at = Instant::now();
        let (mut places, mut model) = (Places::new(MAX), Model::default());
        for one in steps {
            step(&mut places, &mut model, one, at);
            let open = model.idle.len() + model.taken.len() + model.connecting;
            assert_eq!(places.open, open);
            assert!(places.open <= MAX);
            assert_eq!(places.waiting(), model.waiting.len());
            assert!(places.idle.is_empty() || places.waiting.is_empty());
            assert!(places.idle().map(|member| member.connection).eq(model.idle.iter().copied()));
        }
        true
    }
    let mut tests = QuickCheck::new().tests(3000);
    tests.quickcheck(property as fn(Vec<Step>) -> bool);
}

#[test]
fn connections_are_made_up_to_the_limit_and_not_beyond() {
    let mut places = Places::<(), ()>::new(2);
    assert!(!places.begin_connect(), "no fiber waits");
    for _ in 0..3 {
        places.join(());
    }
    assert_eq!([(); 3].map(|()| places.begin_connect()), [true, true, false]);
    places.end_connect();
    places.vacate();
    assert!(places.begin_connect(), "one place is free again");
}

#[test]
fn an_old_connection_is_due_wherever_it_stands() {
    let at = Instant::now();
    let mut places = Places::<u32, ()>::new(3);
    for (connection, seconds) in [(1, 30), (2, 10), (3, 20)] {
        places.join(());
        assert!(places.begin_connect());
        places.end_connect();
        assert_eq!(places.next_waiting(), Some(()));
        let expires = Some(at + Duration::from_secs(seconds));
        places.keep(Member { connection, expires, idle_since: at }).expect("it is open");
    }
    let mut due = |seconds| {
        let now = at + Duration::from_secs(seconds);
        places.take_due(now, None).map(|member| member.connection)
    };
    assert_eq!(
        [due(9), due(10), due(19), due(20), due(30)],
        [None, Some(2), None, Some(3), Some(1)]
    );
}

const MAX: usize = 3;
