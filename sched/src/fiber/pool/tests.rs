//! The pool's properties, with guards of either kind.

use corosensei::stack::Stack;

use super::*;
use crate::fiber::memory::guard_bytes;

/// A pool of the smallest stacks, with quotas of its own.
fn pool(guards: Guards, stacks_max: usize) -> StackPool {
    let quotas = Box::leak(Box::new(Quotas::new(1 << 36, stacks_max)));
    StackPool::with_guards(SMALLEST, false, Some(guards), quotas)
}

fn pools() -> [StackPool; 2] {
    [pool(Guards::of_this_system(), 20_000), pool(Guards::Mappings, 20_000)]
}

fn take(pool: &mut StackPool, count: usize) -> Vec<FiberStack> {
    (0..count).map(|_| pool.take(SMALLEST).unwrap()).collect()
}

fn give(pool: &mut StackPool, stacks: Vec<FiberStack>) {
    for stack in stacks {
        pool.give(stack);
    }
}

/// As an idle shard does, until there is nothing left to do.
fn settle(pool: &mut StackPool) {
    for _ in 0..1_000 {
        if !pool.wants_trim() {
            return;
        }
        pool.trim();
    }
    panic!("a pool that is not used always has something to trim");
}

/// Runs a coroutine that writes into `bytes` of the stack.
fn touch(stack: FiberStack, bytes: usize) -> FiberStack {
    let mut coroutine = corosensei::Coroutine::<(), (), (), _>::with_stack(stack, move |_, ()| {
        fn descend(first: usize, bytes: usize) {
            let local = std::hint::black_box([0_u8; 64]);
            if first.abs_diff(local.as_ptr().addr()) < bytes {
                descend(first, bytes);
            }
            std::hint::black_box(local);
        }
        let local = std::hint::black_box(0_u8);
        descend(std::ptr::from_ref(&local).addr(), bytes);
    });
    assert!(matches!(coroutine.resume(()), corosensei::CoroutineResult::Return(())));
    coroutine.into_stack()
}

#[test]
fn the_pool_hands_out_the_stack_that_was_given_last() {
    for mut pool in pools() {
        let (first, second) = (pool.take(SMALLEST).unwrap(), pool.take(SMALLEST).unwrap());
        let base = second.base();
        pool.give(first);
        pool.give(second);
        let again = pool.take(SMALLEST).unwrap();
        assert_eq!(again.base(), base);
        pool.give(again);
    }
}

#[test]
fn no_two_stacks_overlap_and_each_has_room_and_a_guard() {
    for mut pool in pools() {
        let sizes = [0, 1, SMALLEST, SMALLEST + 1, 100_000, 1 << 20, 3 << 20];
        let stacks: Vec<_> =
            sizes.iter().cycle().take(700).map(|bytes| pool.take(*bytes).unwrap()).collect();
        for (stack, bytes) in stacks.iter().zip(sizes.iter().cycle()) {
            let room = stack.base().get() - stack.limit().get();
            assert_eq!(room, stack.bytes() + guard_bytes());
            assert!(stack.bytes() >= (*bytes).max(SMALLEST));
            assert!(stack.bytes() < 2 * (*bytes).max(SMALLEST));
        }
        let mut places: Vec<_> =
            stacks.iter().map(|stack| (stack.limit().get(), stack.base().get())).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        let touched: Vec<_> = stacks
            .into_iter()
            .map(|stack| {
                let bytes = stack.bytes() - 16 * 1024;
                touch(stack, bytes)
            })
            .collect();
        assert_eq!(pool.gauges().in_use, touched.len());
        give(&mut pool, touched);
        assert_eq!(pool.gauges().in_use, 0);
    }
}

#[test]
fn a_size_that_cannot_be_is_refused() {
    let [mut pool, _] = pools();
    for bytes in [usize::MAX, usize::MAX / 2 + 2, (64 << 30) + 1] {
        assert_eq!(pool.take(bytes).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(class_for(64 << 30).unwrap(), 36);
    assert_eq!(class_for(0).unwrap(), CLASS_MIN);
    assert_eq!(class_for((1 << 20) + 1).unwrap(), 21);
}

#[test]
fn the_hot_list_is_bounded_at_once_and_shrinks_when_idle() {
    for mut pool in pools() {
        let stacks = take(&mut pool, 5_000);
        let spike = pool.gauges();
        assert_eq!(spike, StackGauges { in_use: 5_000, hot: 0, cold: 0, ..spike });
        give(&mut pool, stacks);
        assert!(pool.gauges().hot <= HOT_WATERMARK);
        assert_eq!(pool.gauges().hot + pool.gauges().cold, 5_000);
        settle(&mut pool);
        assert!(pool.gauges().hot <= HOT_KEPT);
        assert!(pool.gauges().mapped_bytes < spike.mapped_bytes / 2);
        let again = take(&mut pool, 5_000);
        assert_eq!(pool.gauges().in_use, 5_000);
        give(&mut pool, again);
    }
}

#[test]
fn what_was_used_since_the_last_trim_is_left_alone() {
    let [mut pool, _] = pools();
    let stacks = take(&mut pool, 600);
    give(&mut pool, stacks);
    pool.trim();
    for _ in 0..20 {
        let stacks = take(&mut pool, 600);
        give(&mut pool, stacks);
        pool.trim();
        assert_eq!(pool.gauges().hot, 600);
    }
    settle(&mut pool);
    assert_eq!(pool.gauges().hot, HOT_KEPT);
}

#[test]
fn a_trim_takes_the_pages_below_the_topmost() {
    for mut pool in pools() {
        let stack = pool.take(1 << 20).unwrap();
        pool.give(touch(stack, 500 * 1024));
        let class = place_of(class_for(1 << 20).unwrap());
        let resident = |pool: &StackPool| {
            let class = pool.classes[class].as_ref().unwrap();
            class.slab.resident_bytes(&class.hot[0])
        };
        assert!(resident(&pool) >= 500 * 1024);
        pool.trim();
        assert!(resident(&pool) >= 500 * 1024, "it was used since the last trim");
        settle(&mut pool);
        if cfg!(target_os = "linux") {
            assert!((1..=PAGES_KEPT * page_bytes()).contains(&resident(&pool)));
        }
    }
}

#[test]
fn each_stack_is_measured_from_nothing() {
    for guards in [Guards::of_this_system(), Guards::Mappings] {
        let mut pool = pool(guards, 20_000);
        pool.usage = true;
        for bytes in [0, 300 * 1024, 10 * 1024, 500 * 1024, 0] {
            let stack = pool.take(1 << 20).unwrap();
            let used = pool.give(touch(stack, bytes)).unwrap();
            assert!((bytes.max(1)..bytes + 32 * 1024).contains(&used), "{bytes}: {used}");
        }
        assert_eq!(pool.gauges().hot, 0);
    }
}

#[test]
fn a_reserved_stack_is_there_when_no_other_is() {
    let mut pool = pool(Guards::Mappings, 10);
    let mut stacks = take(&mut pool, 9);
    pool.reserve(SMALLEST).unwrap();
    pool.reserve(SMALLEST).unwrap();
    stacks.push(pool.take(SMALLEST).unwrap());
    assert_eq!(pool.reserve(SMALLEST).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    assert_eq!(pool.take(SMALLEST).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    assert_eq!(pool.take(1 << 20).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    pool.give(stacks.remove(0));
    stacks.push(pool.take(SMALLEST).unwrap());
    // What is unmapped is there for another size.
    give(&mut pool, stacks);
    assert!(pool.take(1 << 20).is_err());
    settle(&mut pool);
    assert!(pool.take(1 << 20).is_err(), "hot stacks keep their guards");
}

#[test]
fn address_space_is_used_up_to_its_last_stack() {
    let quotas = Box::leak(Box::new(Quotas::new(100 << 20, 0)));
    let guards = Guards::of_this_system();
    if guards == Guards::Mappings {
        return;
    }
    let stride = SMALLEST + guard_bytes();
    let mut pool = StackPool::with_guards(SMALLEST, false, Some(guards), quotas);
    let mut stacks = Vec::new();
    let error = loop {
        match pool.take(SMALLEST) {
            Ok(stack) => stacks.push(stack),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
    assert_eq!(stacks.len(), (100 << 20) / stride);
    give(&mut pool, stacks);
    drop(pool);
    quotas.address_bytes.take(100 << 20).expect("all of it came back");
}

#[test]
fn a_stack_that_was_abandoned_stays_mapped() {
    for guards in [Guards::of_this_system(), Guards::Mappings] {
        let quotas = Box::leak(Box::new(Quotas::new(1 << 36, 1)));
        let mut pool = StackPool::with_guards(SMALLEST, false, Some(guards), quotas);
        let stack = pool.take(SMALLEST).unwrap();
        drop(pool);
        touch(stack, 16 * 1024);
    }
}

const SMALLEST: usize = STACK_BYTES_MIN;
