//! Locks and flags, here and under a scheduler that tries many interleavings (`tests/interleavings.rs`).

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
pub(crate) use std::sync::PoisonError;
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, TryLockError};

/// Takes a lock that is held for microseconds at a time. A panic under it is no reason to refuse it: going on serves
/// those who wait better than a second panic.
///
/// Who must wait lets other threads run and asks again, for about 0.1 ms, before it goes to sleep: to be put to sleep and
/// woken again takes longer than most holds, and costs the holder a call into the kernel too.
pub(crate) fn lock_soon<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(not(shuttle))]
    for _ in 0..YIELDS {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(not(shuttle))]
const YIELDS: u32 = 200;
