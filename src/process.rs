//! UNSAFE ISLAND: which process this is, without a system call; and threads that leave the host's signals alone.
//!
//! After `fork` the child has copies of every handle, and none of the threads. It must leave its parent's connections alone, so each call
//! has to know. A page that the kernel empties in the child says so at the price of one load; `getpid` would cost a system call a message.
//!
//! Out of scope: what a call does when it finds itself in a child (`handle`, `ffi`).

use std::sync::atomic::{AtomicU32, Ordering};

/// The number of this process among its own ancestors since the library was loaded: 1, and one more in each generation of children. 0 is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Process(u32);

/// How many generations there were; copied by fork like everything else.
static GENERATION: AtomicU32 = AtomicU32::new(0);

impl Process {
    /// The process that runs this.
    #[inline]
    pub fn current() -> Process {
        // Relaxed: in one process the mark is written once, before any other thread can have a handle that depends on it.
        match mark().load(Ordering::Relaxed) {
            0 => Process::enter(),
            generation => Process(generation),
        }
    }

    /// The first look in this process.
    #[cold]
    fn enter() -> Process {
        let next = GENERATION.load(Ordering::Relaxed) + 1;
        // Two threads may look first at once: both write the same.
        match mark().compare_exchange(0, next, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                GENERATION.store(next, Ordering::SeqCst);
                Process(next)
            }
            Err(generation) => Process(generation),
        }
    }
}

/// A word on a page that is all zeroes again in a child.
#[cfg(target_os = "linux")]
#[inline]
fn mark() -> &'static AtomicU32 {
    use std::sync::OnceLock;
    static PAGE: OnceLock<&'static AtomicU32> = OnceLock::new();
    PAGE.get_or_init(|| {
        // SAFETY: a fresh private mapping of one page, never unmapped; its bytes are zero, and it is aligned for any atomic.
        unsafe {
            let size = 4096;
            let page =
                libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            if page == libc::MAP_FAILED || libc::madvise(page, size, libc::MADV_WIPEONFORK) != 0 {
                // A kernel before 4.14, or no memory: fork is then not noticed.
                static FALLBACK: AtomicU32 = AtomicU32::new(0);
                return &FALLBACK;
            }
            &*page.cast::<AtomicU32>()
        }
    })
}

/// Elsewhere the process number is asked for: a system call, but a cached one where it matters.
#[cfg(not(target_os = "linux"))]
fn mark() -> &'static AtomicU32 {
    static MARK: AtomicU32 = AtomicU32::new(0);
    static OWNER: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id();
    if OWNER.swap(own, Ordering::SeqCst) != own {
        MARK.store(0, Ordering::SeqCst);
    }
    &MARK
}

/// Runs `start`, which starts a thread, so that the thread never gets a signal: handlers belong on the host's own threads.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are plain data that the calls fill before they are read; the calling thread's own mask is put back.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let started = start();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_its_child_another() {
        let own = Process::current();
        assert_eq!(own, Process::current());
        // SAFETY: the child calls nothing but this and _exit, both of which are safe after fork.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let differs = Process::current() != own && Process::current() == Process::current();
            // SAFETY: ends the child without running anything of the test's.
            unsafe { libc::_exit(if differs { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made, and writes one integer.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child did not notice that it is one");
    }
}
