//! Ports for programs that are told theirs.

use tokio::net::TcpSocket;

/// A port of loopback that nobody else is given while this is held. Bound and not listening: whoever connects is refused,
/// until the program that it is for listens there, and between two such programs.
pub struct Port {
    number: u16,
    _held: TcpSocket,
}

impl Port {
    /// A free one.
    pub fn take() -> Self {
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap(); // programs that listen say so too, and may then share it
        held.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { number: held.local_addr().unwrap().port(), _held: held }
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Nobody else is given it, and a program that listens there can be ended and started again.
#[tokio::test]
async fn a_port_is_kept_for_its_programs() {
    use std::net::{TcpListener, TcpStream};
    let port = Port::take();
    let address = ("127.0.0.1", port.number());
    for _ in 0..2 {
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
        let program = TcpListener::bind(address).unwrap();
        let (visitor, _visit) = (TcpStream::connect(address).unwrap(), program.accept().unwrap());
        drop((program, visitor));
    }
    let others: Vec<_> = (0..500).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    assert!(others.iter().all(|other| other.local_addr().unwrap().port() != port.number()));
}
