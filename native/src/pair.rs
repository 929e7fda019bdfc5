//! Two sockets of a call: RTP on an even port, RTCP on the next (RFC 3550 section 11).
//!
//! ```text
//! bind ─► a call ─► lingers, read by nobody ─► renew ─► the next call
//! ```
//!
//! To bind a pair takes a dozen system calls and to close it two more; to use one again that has lingered takes four.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::sys::{ask_receive_buffer, mark_as_voice, overflowed};

/// A socket keeps 250 ms and more of packets while the thread can't run.
const RECEIVE_BUFFER: i32 = 64 * 1024;

/// The sockets of one call.
#[derive(Debug)]
pub struct Pair {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    /// The RTP port.
    pub port: u16,
    /// What the kernel had dropped when the call began.
    overflowed: u64,
    /// The source and the stream that the call before heard, whose far end may not know yet that it is over.
    pub before: Option<(SocketAddr, u32)>,
}

impl Pair {
    /// Bind `port` and the one after it.
    ///
    /// # Errors
    /// Where one of them is taken, the address is not ours, or there are no descriptors left.
    pub fn bind(ip: IpAddr, port: u16) -> io::Result<Self> {
        let rtp = UdpSocket::bind((ip, port))?;
        let rtcp = UdpSocket::bind((ip, port + 1))?;
        for socket in [&rtp, &rtcp] {
            socket.set_nonblocking(true)?;
            ask_receive_buffer(socket, RECEIVE_BUFFER);
            mark_as_voice(socket, ip.is_ipv6());
        }
        Ok(Self { rtp, rtcp, port, overflowed: 0, before: None }.renew())
    }

    /// Be ready for the next call: what came so far was meant for somebody else.
    #[must_use]
    pub fn renew(mut self) -> Self {
        for socket in [&self.rtp, &self.rtcp] {
            while socket.recv_from(&mut [0; 1]).is_ok() {}
        }
        self.overflowed += self.overflowed();
        self
    }

    /// Datagrams that the kernel has dropped since the call began, because nobody took them in time.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        overflowed(&self.rtp) + overflowed(&self.rtcp) - self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Pair {
        let ip = IpAddr::from([127, 0, 0, 1]);
        let mut free = (20_000..30_000).step_by(2).filter_map(|port| Pair::bind(ip, port).ok());
        free.next().expect("two free ports in a row")
    }

    #[test]
    fn a_pair_is_used_again_without_what_came_between() {
        let pair = pair();
        let to = pair.rtp.local_addr().expect("its address");
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let sent = (0..10_000).filter(|_| stranger.send_to(&[0; 172], to).is_ok()).count();
        let before = pair.overflowed();
        assert!(before > 0, "{sent} datagrams should be more than a socket holds");
        let pair = pair.renew();
        assert_eq!(pair.overflowed(), 0);
        assert!(pair.rtp.recv_from(&mut [0; 172]).is_err());
        assert!(stranger.send_to(&[0; 172], to).is_ok());
        assert!(pair.rtp.recv_from(&mut [0; 172]).is_ok());
    }
}
