//! A socket a call, on even ports of the loopback.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use crate::os;

/// Bind `calls` sockets from `first_port` on (0: wherever the system puts them), stepping over ports in use.
///
/// # Errors
/// Where the ports or the files run out.
pub fn bind(calls: usize, first_port: u16) -> io::Result<Vec<UdpSocket>> {
    os::allow_files(calls as u64 + 16)?;
    let mut next = u32::from(first_port);
    (0..calls)
        .map(|_| {
            let socket = if first_port == 0 { anywhere()? } else { from(&mut next)? };
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .collect()
}

/// The system gives odd ports too, and the one above each of ours is where its RTCP would go.
fn anywhere() -> io::Result<UdpSocket> {
    for _ in 0..100 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        if socket.local_addr()?.port() % 2 == 0 {
            return Ok(socket);
        }
    }
    Err(io::Error::other("the system gave no even port in 100 tries"))
}

fn from(next: &mut u32) -> io::Result<UdpSocket> {
    loop {
        let port = u16::try_from(*next).map_err(|_| io::Error::other("no free even port is left up to 65535"))?;
        *next += 2;
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(why) if why.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
}

/// The sockets' ports.
///
/// # Errors
/// As `getsockname`.
pub fn ports(sockets: &[UdpSocket]) -> io::Result<Vec<u16>> {
    sockets.iter().map(|socket| socket.local_addr().map(|address| address.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_ports_are_even_too() {
        let got = ports(&bind(50, 0).expect("free ports")).expect("their ports");
        assert!(got.iter().all(|port| port % 2 == 0), "{got:?}");
    }

    #[test]
    fn busy_ports_are_stepped_over() {
        let taken = bind(1, 20_000).expect("a free port");
        let first = ports(&taken).expect("its port")[0];
        let more = bind(3, first).expect("free ports");
        let got = ports(&more).expect("their ports");
        assert!(got.iter().all(|&port| port % 2 == 0 && port > first), "{got:?} beside {first}");
    }
}
