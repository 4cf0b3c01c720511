//! Locks that know their rank and panic, in debug, when taken out of order.
//!
//! Ranks (DESIGN 6): 1 segment table, 2 shards in ascending index, 3 derived
//! indexes, 4 the op log. A thread may only take a lock of higher order than
//! every lock it holds.
//!
//! With the feature `shuttle` locks and atomics are those of shuttle, which
//! tries interleavings of threads: `tests/threads.rs`.

use std::ops::{Deref, DerefMut};

use primitives::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Atomics of the kernel.
#[cfg(not(feature = "shuttle"))]
pub mod atomic {
    pub use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
}

/// Atomics of the kernel, each a place at which shuttle may switch threads.
#[cfg(feature = "shuttle")]
pub mod atomic {
    pub use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
}

#[cfg(not(feature = "shuttle"))]
mod primitives {
    pub(super) use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    #[cfg(debug_assertions)]
    pub(super) use std::thread_local;
}

#[cfg(feature = "shuttle")]
mod primitives {
    use std::sync::PoisonError;

    pub(super) use shuttle::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
    #[cfg(debug_assertions)]
    pub(super) use shuttle::thread_local;

    /// Locks without poison, as parking_lot's are.
    #[derive(Debug)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// The same for readers and a writer.
    #[derive(Debug)]
    pub struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(super) fn new(value: T) -> Self {
            Self(shuttle::sync::RwLock::new(value))
        }

        pub(super) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        pub(super) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

/// Place of a lock in the global order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order(u32);

impl Order {
    /// What maintenance remembers: before all state.
    pub const MAINTENANCE: Self = Self(1);
    /// The segment table.
    pub const SEGMENTS: Self = Self(1 << 16);
    /// Derived indexes: allocators.
    pub const DERIVED: Self = Self(3 << 16);
    /// What a primary hands out from in async mode: taken after the allocators.
    pub const WINDOWS: Self = Self((3 << 16) + 1);
    /// Group routes: derived, too, and taken after the allocators.
    pub const ROUTES: Self = Self((3 << 16) + 2);
    /// The op log: a leaf, O(1) work under it.
    pub const LOG: Self = Self(4 << 16);

    /// The shard with this index.
    #[must_use]
    pub fn shard(index: usize) -> Self {
        Self((2 << 16) + index as u32)
    }
}

/// A lock with a place in the global order. Use [`RankedRwLock`] or [`RankedMutex`].
#[derive(Debug)]
pub struct Ranked<L> {
    order: Order,
    lock: L,
}

/// A ranked reader-writer lock.
pub type RankedRwLock<T> = Ranked<RwLock<T>>;
/// A ranked mutex.
pub type RankedMutex<T> = Ranked<Mutex<T>>;

/// A shared hold of a [`RankedRwLock`].
pub type ReadGuard<'a, T> = Guard<RwLockReadGuard<'a, T>>;
/// The exclusive hold of a [`RankedRwLock`].
pub type WriteGuard<'a, T> = Guard<RwLockWriteGuard<'a, T>>;

impl<T> Ranked<RwLock<T>> {
    /// Wraps `value` in a lock of this order.
    pub fn rw(order: Order, value: T) -> Self {
        Self { order, lock: RwLock::new(value) }
    }

    /// Locks for reading.
    pub fn read(&self) -> ReadGuard<'_, T> {
        Guard::new(self.order, || self.lock.read())
    }

    /// Locks for writing.
    pub fn write(&self) -> WriteGuard<'_, T> {
        Guard::new(self.order, || self.lock.write())
    }
}

impl<T> Ranked<Mutex<T>> {
    /// Wraps `value` in a mutex of this order.
    pub fn mutex(order: Order, value: T) -> Self {
        Self { order, lock: Mutex::new(value) }
    }

    /// Locks.
    pub fn lock(&self) -> Guard<MutexGuard<'_, T>> {
        Guard::new(self.order, || self.lock.lock())
    }
}

/// A held lock; gives it back on drop.
#[derive(Debug)]
pub struct Guard<G> {
    inner: G,
    _held: Held,
    #[cfg(feature = "holds")]
    _timed: holds::Timed,
}

/// The longest hold of a lock, for benches: they bring the clock, the kernel has none.
#[cfg(feature = "holds")]
pub mod holds {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Order;

    static CLOCK: OnceLock<fn() -> u64> = OnceLock::new();
    static LONGEST_SHARD: AtomicU64 = AtomicU64::new(0);

    /// Times all holds from now on with this clock, in nanoseconds.
    pub fn time_with(clock: fn() -> u64) {
        let _ = CLOCK.set(clock);
    }

    /// The longest hold of a shard since it was last asked for, in nanoseconds.
    #[must_use]
    pub fn take_longest() -> u64 {
        LONGEST_SHARD.swap(0, Ordering::Relaxed)
    }

    /// One hold.
    #[derive(Debug)]
    pub(super) struct Timed(Option<u64>);

    impl Timed {
        pub(super) fn begin(order: Order) -> Self {
            let is_shard = order > Order::SEGMENTS && order < Order::DERIVED;
            Self(CLOCK.get().filter(|_| is_shard).map(|now| now()))
        }
    }

    impl Drop for Timed {
        fn drop(&mut self) {
            if let (Some(begun), Some(now)) = (self.0, CLOCK.get()) {
                LONGEST_SHARD.fetch_max(now().saturating_sub(begun), Ordering::Relaxed);
            }
        }
    }
}

impl<G> Guard<G> {
    fn new(order: Order, lock: impl FnOnce() -> G) -> Self {
        let held = Held::take(order);
        let inner = lock();
        Self {
            inner,
            _held: held,
            #[cfg(feature = "holds")]
            _timed: holds::Timed::begin(order),
        }
    }
}

impl<G: Deref> Deref for Guard<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.inner
    }
}

impl<G: DerefMut> DerefMut for Guard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.inner
    }
}

#[cfg(debug_assertions)]
mod held {
    use std::cell::RefCell;

    use super::Order;

    super::primitives::thread_local! {
        static HELD: RefCell<Vec<Order>> = const { RefCell::new(Vec::new()) };
    }

    /// Entry in this thread's list of held locks.
    #[derive(Debug)]
    pub(super) struct Held(Order);

    impl Held {
        pub(super) fn take(order: Order) -> Self {
            HELD.with(|held| {
                let mut held = held.borrow_mut();
                let highest = held.iter().max().copied();
                invariant!(
                    highest.is_none_or(|h| h < order),
                    "lock order broken: {order:?} wanted while {highest:?} is held"
                );
                held.push(order);
            });
            Self(order)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            HELD.with(|held| {
                let mut held = held.borrow_mut();
                if let Some(i) = held.iter().rposition(|o| *o == self.0) {
                    held.swap_remove(i);
                }
            });
        }
    }
}

#[cfg(not(debug_assertions))]
mod held {
    /// Nothing is recorded in release builds.
    #[derive(Debug)]
    pub(super) struct Held;

    impl Held {
        pub(super) fn take(_: super::Order) -> Self {
            Self
        }
    }
}

use held::Held;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascending_order_is_fine_and_guards_may_drop_in_any_order() {
        let a = Ranked::rw(Order::SEGMENTS, 1);
        let b = Ranked::rw(Order::shard(3), 2);
        let c = Ranked::mutex(Order::LOG, 3);
        let ga = a.read();
        let gb = b.write();
        drop(ga);
        let gc = c.lock();
        assert_eq!(*gb + *gc, 5);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "lock order broken")]
    fn descending_order_panics() {
        let a = Ranked::rw(Order::shard(4), ());
        let b = Ranked::rw(Order::shard(3), ());
        let _ga = a.read();
        let _gb = b.read();
    }
}
