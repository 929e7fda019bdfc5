//! The system calls that std has not: clocks, sleeping to an instant, epoll, and when the kernel took a datagram.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call; the clocks asked for exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// The instant now, monotonic ns.
#[must_use]
pub fn now() -> i64 {
    read(libc::CLOCK_MONOTONIC)
}

/// What this thread has computed so far, in user and kernel, ns.
#[must_use]
pub fn thread_cpu() -> i64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// How far the wall clock is ahead of the monotonic one, ns; None where the machine was too busy to tell.
#[must_use]
pub fn wall_ahead() -> Option<i64> {
    (0..5).find_map(|_| {
        let before = now();
        let wall = read(libc::CLOCK_REALTIME);
        let after = now();
        (after - before < 5_000).then(|| wall - before - (after - before) / 2)
    })
}

/// Sleep until `instant`, monotonic ns.
pub fn sleep_until(instant: i64) {
    let time = libc::timespec { tv_sec: instant.div_euclid(1_000_000_000), tv_nsec: instant.rem_euclid(1_000_000_000) };
    // SAFETY: `time` outlives the call; no remainder is asked for, since the sleep is to an instant.
    while unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const time, ptr::null_mut()) }
        == libc::EINTR
    {}
}

/// Let this process open `wanted` files more than a shell usually grants.
///
/// # Errors
/// Where the hard limit is lower.
pub fn allow_files(wanted: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives both calls.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        limit.rlim_cur = limit.rlim_cur.max((wanted + 64).min(limit.rlim_max));
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit))?;
    }
    if limit.rlim_cur < wanted {
        return Err(io::Error::other(format!("{} open files are allowed, {wanted} are needed", limit.rlim_cur)));
    }
    Ok(())
}

/// Ask the kernel to say when each datagram arrived.
///
/// # Errors
/// Where it can't.
pub fn ask_arrival_times(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = socklen(mem::size_of_val(&on));
    // SAFETY: `on` outlives the call and `length` is its size.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, (&raw const on).cast(), length)
    })
}

/// Take a datagram and the kernel's time of it (wall clock, ns; None where the kernel gave none).
///
/// # Errors
/// As `recvmsg`; `WouldBlock` where nothing waits.
pub fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<(usize, Option<i64>)> {
    // Room for one timestamp's control message, aligned as the kernel writes it.
    let mut control = [0u64; 8];
    let mut piece = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: a zeroed msghdr is a valid empty one; every buffer it points to outlives the call with its true length;
    // the control messages are walked by the kernel's own macros within the length that it set.
    unsafe {
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of_val(&control) as _;
        let length = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT);
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_TIMESTAMPNS {
                let time: libc::timespec = ptr::read_unaligned(libc::CMSG_DATA(header).cast());
                return Ok((length, Some(time.tv_sec * 1_000_000_000 + time.tv_nsec)));
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
        Ok((length, None))
    }
}

/// Readiness of many files.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// One that gives at most `at_once` tokens a call.
    ///
    /// # Errors
    /// As `epoll_create1`.
    pub fn new(at_once: usize) -> io::Result<Self> {
        // SAFETY: the descriptor is checked before it is owned.
        let fd = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            check(fd)?;
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; at_once.max(1)] })
    }

    /// Watch `file` for input, as `token`.
    ///
    /// # Errors
    /// As `epoll_ctl`; `PermissionDenied` for a file that is always ready.
    pub fn watch(&self, file: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: both descriptors are open and `event` outlives the call.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, file, &raw mut event) })
    }

    /// Stop watching `file`.
    ///
    /// # Errors
    /// As `epoll_ctl`.
    pub fn forget(&self, file: RawFd) -> io::Result<()> {
        // SAFETY: both descriptors are open; a removal takes no event.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_DEL, file, ptr::null_mut()) })
    }

    /// The tokens that are ready within `wait_ms`.
    pub fn ready(&mut self, wait_ms: i32) -> impl Iterator<Item = u64> + '_ {
        let room = i32::try_from(self.events.len()).unwrap_or(i32::MAX);
        // SAFETY: the kernel writes at most `room` events.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), room, wait_ms) };
        self.events[..usize::try_from(count).unwrap_or(0)].iter().map(|event| event.u64)
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn socklen(length: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_when_a_datagram_came() {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        ask_arrival_times(&socket).expect("timestamps");
        // The kernel begins to take times a moment after the first socket asks.
        let (limit, mut datagram) = (now() + 5_000_000_000, [0; 8]);
        let time = loop {
            socket.send_to(b"hello", socket.local_addr().expect("its address")).expect("a way to itself");
            let mut epoll = Epoll::new(1).expect("an epoll");
            epoll.watch(socket.as_raw_fd(), 7).expect("a watch");
            assert_eq!(epoll.ready(5000).collect::<Vec<_>>(), [7]);
            let (length, time) = receive(&socket, &mut datagram).expect("the datagram");
            assert_eq!(&datagram[..length], b"hello");
            assert!(now() < limit, "no time within 5 s");
            if let Some(time) = time {
                break time;
            }
        };
        let ago = wall_ahead().map(|ahead| now() - (time - ahead));
        assert!(ago.is_none_or(|ago| (-1_000_000..5_000_000_000).contains(&ago)), "{ago:?}");
        assert!(receive(&socket, &mut datagram).is_err_and(|why| why.kind() == io::ErrorKind::WouldBlock));
    }
}
