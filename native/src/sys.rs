//! The system calls that the standard library has no door for: the clock, epoll, eventfd, sleeping to the
//! microsecond, and the size of a socket's buffer. One of the two files with `unsafe`; the other
//! is the door to a library (`codec/bcg729.rs`).
#![allow(unsafe_code)]

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What the media thread asks to run for at a time, ns; it is awake for less than that.
const SLICE: u64 = 500_000;
/// The media thread's nice value, where it may have it: what sound servers take.
const PRECEDENCE: i32 = -11;

/// CLOCK_MONOTONIC, ns: the clock of Python's `time.monotonic_ns`.
#[must_use]
pub fn now() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, which the call fills; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// An instant of [`now`]'s clock for the crates that count in the standard library's. Its zero is arbitrary and the same
/// for the whole process: what they decide hangs on differences alone.
#[must_use]
pub fn instant(nanoseconds: i64) -> Instant {
    zero() + Duration::from_nanos(nanoseconds.max(0).unsigned_abs())
}

/// The other way.
#[must_use]
pub fn nanoseconds(instant: Instant) -> i64 {
    i64::try_from(instant.saturating_duration_since(zero()).as_nanos()).unwrap_or(i64::MAX)
}

fn zero() -> Instant {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    *ZERO.get_or_init(Instant::now)
}

/// Sleep until an instant of [`now`]'s clock.
pub fn sleep_until(instant: i64) {
    let time = timespec(instant);
    // SAFETY: the pointer is to a live timespec, and no remainder is asked for. An interruption only wakes us early.
    unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const time, std::ptr::null_mut()) };
}

/// Let this thread's timers fire on time (the kernel would else put them off by 50 µs to save wake-ups), and let it run
/// when they do: it asks for little at a time, so that a busy neighbour on its core gives way at once, and for precedence
/// over what is not bound to a clock. Kernels before 6.12 know no slices, who is not privileged gets no precedence; then
/// the neighbour finishes its own few milliseconds.
pub fn be_punctual() {
    let nanoseconds: libc::c_ulong = 1;
    // SAFETY: this option takes a number and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds) };
    // SAFETY: no pointers; zero is this thread. Refused where the process may not, and then nothing is changed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PRECEDENCE) };
    let size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0);
    // SAFETY: the integers of this structure may all be zero. Both calls are about this thread, and are given a live
    // structure and its size; what the first fills in is given back to the second, but for the slice.
    unsafe {
        let mut attributes: libc::sched_attr = std::mem::zeroed();
        let known = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) == 0;
        if known && attributes.sched_policy == libc::SCHED_OTHER.cast_unsigned() {
            attributes.sched_runtime = SLICE;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw mut attributes, 0);
        }
    }
}

/// Ask for room for `bytes` of waiting datagrams. The kernel may give less; then more is lost, and [`overflowed`].
pub fn ask_receive_buffer(socket: &UdpSocket, bytes: i32) {
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the value is read during the call.
    unsafe {
        let length = libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(4);
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw const bytes).cast(), length);
    }
}

/// Datagrams that the kernel dropped because nobody took them in time.
#[must_use]
pub fn overflowed(socket: &UdpSocket) -> u64 {
    // Nine figures of the socket's memory; the last is of drops.
    let mut figures = [0u32; 9];
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the kernel writes at most the length it is given.
    unsafe {
        let mut length = libc::socklen_t::try_from(size_of_val(&figures)).unwrap_or(0);
        let into = (&raw mut figures).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, into, &raw mut length);
    }
    u64::from(figures[8])
}

/// Mark a socket's packets as voice (DSCP EF, RFC 4594 section 4.1), where the network or the kernel cares.
pub fn mark_as_voice(socket: &UdpSocket, six: bool) {
    let expedited: i32 = 46 << 2;
    let (level, option) = if six { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) } else { (libc::IPPROTO_IP, libc::IP_TOS) };
    // SAFETY: as above.
    unsafe {
        let length = libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(4);
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const expedited).cast(), length);
    }
}

/// Have the kernel's table of descriptors hold this many, as far as this process may: growing it while several threads run
/// waits until each has left the kernel once, which takes tens of milliseconds on a busy machine. `any`: one that is open.
pub fn make_room_for(descriptors: usize, any: RawFd) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit, which the call fills.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let most = i32::try_from(limit.rlim_cur).unwrap_or(i32::MAX).saturating_sub(1);
    let last = i32::try_from(descriptors).unwrap_or(i32::MAX).min(most);
    // SAFETY: no pointers. What is closed is a descriptor that was just made, whose number nobody else has.
    unsafe {
        let twin = libc::fcntl(any, libc::F_DUPFD_CLOEXEC, last);
        if twin >= 0 {
            libc::close(twin);
        }
    }
}

/// A counter that can be polled: written to wake, read to re-arm.
#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    /// # Errors
    /// Where there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers. A descriptor that is not negative is ours alone to own.
        unsafe {
            let fd = checked(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Make it readable.
    pub fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight bytes of a live integer. It can only fail when it is readable anyway.
        unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    /// Make it unreadable.
    pub fn rest(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes of a live integer. It can only fail when it is unreadable anyway.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }
}

/// What became readable.
pub struct Ready(Vec<libc::epoll_event>);

impl Ready {
    /// Room for `many` at a time.
    #[must_use]
    pub fn new(many: usize) -> Self {
        Self(Vec::with_capacity(many))
    }

    /// The tokens.
    pub fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|event| event.u64)
    }
}

/// An epoll set of readable descriptors.
#[derive(Debug)]
pub struct Poll(OwnedFd);

impl Poll {
    /// # Errors
    /// Where there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers. A descriptor that is not negative is ours alone to own.
        unsafe {
            let fd = checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Watch a descriptor.
    ///
    /// # Errors
    /// Where the kernel's limit of watches is reached.
    pub fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: token };
        // SAFETY: the pointer is to a live event, read during the call.
        unsafe { checked(libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)) }.map(drop)
    }

    /// Watch it no longer.
    pub fn remove(&self, fd: RawFd) {
        // SAFETY: this operation reads no event.
        unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    /// Fill `ready` with what is readable, without waiting.
    pub fn look(&self, ready: &mut Ready) {
        let most = i32::try_from(ready.0.capacity()).unwrap_or(i32::MAX);
        ready.0.clear();
        // SAFETY: the kernel writes at most `most` events, for which there is room, and says how many it wrote.
        unsafe {
            let count = libc::epoll_wait(self.0.as_raw_fd(), ready.0.as_mut_ptr(), most, 0);
            ready.0.set_len(usize::try_from(count).unwrap_or(0));
        }
    }

    /// Wait until something is readable, or for `timeout` ns, to the precision of the thread's timers.
    pub fn wait(&self, timeout: i64) {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let time = timespec(timeout.max(0));
        // SAFETY: one live pollfd and one live timespec; no signal mask.
        unsafe { libc::ppoll(&raw mut poll, 1, &raw const time, std::ptr::null()) };
    }
}

fn timespec(nanoseconds: i64) -> libc::timespec {
    libc::timespec { tv_sec: nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000 }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_is_seen_once() {
        let (poll, wake) = (Poll::new().expect("epoll"), Wake::new().expect("eventfd"));
        poll.add(wake.fd(), 7).expect("a watch");
        let mut ready = Ready::new(4);
        let mut look = || {
            poll.look(&mut ready);
            ready.tokens().collect::<Vec<_>>()
        };
        assert!(look().is_empty());
        wake.wake();
        wake.wake();
        assert_eq!(look(), [7]);
        wake.rest();
        assert!(look().is_empty());
    }

    #[test]
    fn what_a_full_socket_drops_is_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        ask_receive_buffer(&socket, 4096);
        let to = socket.local_addr().expect("its address");
        assert_eq!(overflowed(&socket), 0);
        let sent = (0..100).filter(|_| socket.send_to(&[0; 172], to).is_ok()).count();
        let came = (0..100).filter(|_| socket.recv(&mut [0; 172]).is_ok()).count();
        assert!(came < sent);
        assert_eq!(overflowed(&socket), (sent - came) as u64);
    }

    #[test]
    fn sleeping_reaches_the_instant() {
        let until = now() + 2_000_000;
        sleep_until(until);
        assert!(now() >= until);
    }
}
