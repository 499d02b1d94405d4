//! The sockets that wait for the world, bound before anything else runs, so that a taken port is told
//! apart from every later failure.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use offhook_sip::endpoint::Transport;

use crate::config::{Config, SipAddress};
use crate::{tcp, udp};

/// How many ports above a taken one are tried.
const PORTS_TRIED: u16 = 100;

/// What to do when a port is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenPort {
    /// Name it and give up: a daemon is called at the address it was given.
    Refuse,
    /// Take the next free one and say so: a demo is there to be tried.
    UseNextFree,
}

/// A port that was taken, and the one in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What the configuration asks for.
    pub wanted: SocketAddr,
    /// What was free.
    pub bound: SocketAddr,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {address}: {}", reason(.error))]
pub struct BindError {
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the kernel said.
    #[source]
    pub error: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port (ss -lnptu shows which)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE".to_owned(),
        _ => error.to_string(),
    }
}

/// A socket that SIP comes to.
#[derive(Debug)]
pub enum SipListener {
    /// Datagrams.
    Udp(UdpSocket),
    /// Connections, in the clear.
    Tcp(TcpListener),
    /// Connections under TLS.
    Tls(TcpListener),
}

impl SipListener {
    fn bind(transport: Transport, address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let listener = match transport {
            Transport::Udp => Self::Udp(udp::bind(address)?),
            Transport::Tcp => Self::Tcp(tcp::listen(address)?),
            Transport::Tls => Self::Tls(tcp::listen(address)?),
        };
        let bound = match &listener {
            Self::Udp(socket) => socket.local_addr()?,
            Self::Tcp(listener) | Self::Tls(listener) => listener.local_addr()?,
        };
        Ok((listener, bound))
    }
}

/// The bound sockets; all of them do not block.
#[derive(Debug)]
pub struct Listeners {
    /// One for each address of `sip.listen`, in its order.
    pub sip: Vec<SipListener>,
    /// For HTTP.
    pub control: TcpListener,
    sip_listeners: Vec<SipAddress>,
    control_address: SocketAddr,
    moved: Vec<Moved>,
}

impl Listeners {
    /// Binds what `config` names. Media binds its ports call by call; that its addresses are this
    /// machine's is tried here.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn bind(config: &Config, taken: TakenPort) -> Result<Self, BindError> {
        let mut moved = Vec::new();
        let mut sip = Vec::with_capacity(config.sip.listen.len());
        let mut sip_listeners = Vec::with_capacity(config.sip.listen.len());
        for SipAddress { transport, address } in config.sip.listen.iter().copied() {
            let bind = |address| SipListener::bind(transport, address);
            let (listener, address) = bind_one("sip.listen", address, taken, &mut moved, bind)?;
            sip.push(listener);
            sip_listeners.push(SipAddress { transport, address });
        }
        let (control, control_address) = bind_one(
            "control.listen",
            config.control.listen,
            taken,
            &mut moved,
            |address| {
                let socket = TcpListener::bind(address)?;
                socket.set_nonblocking(true)?;
                let bound = socket.local_addr()?;
                Ok((socket, bound))
            },
        )?;
        for ip in &config.media.bind {
            bind_any("media.bind", *ip)?;
        }
        Ok(Self {
            sip,
            control,
            sip_listeners,
            control_address,
            moved,
        })
    }

    /// Where signalling listens for datagrams, with the ports it really has.
    pub fn sip_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sip_listeners()
            .filter(|listener| listener.transport == Transport::Udp)
            .map(|listener| listener.address)
    }

    /// Where signalling listens by any transport, with the ports it really has, in the order of
    /// `sip.listen`.
    pub fn sip_listeners(&self) -> impl Iterator<Item = SipAddress> {
        self.sip_listeners.iter().copied()
    }

    /// Where HTTP listens, with the port it really has.
    #[must_use]
    pub const fn control_address(&self) -> SocketAddr {
        self.control_address
    }

    /// The ports that were taken and what stands in for them.
    #[must_use]
    pub fn moved(&self) -> &[Moved] {
        &self.moved
    }
}

fn bind_one<T>(
    key: &'static str,
    wanted: SocketAddr,
    taken: TakenPort,
    moved: &mut Vec<Moved>,
    bind: impl Fn(SocketAddr) -> io::Result<(T, SocketAddr)>,
) -> Result<(T, SocketAddr), BindError> {
    let mut address = wanted;
    loop {
        let error = match bind(address) {
            Ok((socket, bound)) => {
                if address != wanted {
                    moved.push(Moved { wanted, bound });
                }
                return Ok((socket, bound));
            }
            Err(error) => error,
        };
        let may_move = taken == TakenPort::UseNextFree && error.kind() == io::ErrorKind::AddrInUse;
        let next = address
            .port()
            .checked_add(1)
            .filter(|next| next - wanted.port() <= PORTS_TRIED);
        match next {
            Some(port) if may_move => address.set_port(port),
            Some(_) | None => {
                return Err(BindError {
                    key,
                    address,
                    error,
                });
            }
        }
    }
}

fn bind_any(key: &'static str, ip: IpAddr) -> Result<(), BindError> {
    let address = SocketAddr::new(ip, 0);
    udp::bind(address).map(|_| ()).map_err(|error| BindError {
        key,
        address,
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(
        wanted: SocketAddr,
        taken: TakenPort,
        moved: &mut Vec<Moved>,
    ) -> Result<SocketAddr, BindError> {
        let bind = |address| UdpSocket::bind(address).map(|socket| (socket, address));
        bind_one("sip.listen", wanted, taken, moved, bind).map(|(_, address)| address)
    }

    #[test]
    fn a_taken_port_is_named_with_its_key_or_moved_away_from() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let wanted = other.local_addr().unwrap();

        let mut moved = Vec::new();
        let error = bind(wanted, TakenPort::Refuse, &mut moved).unwrap_err();
        assert_eq!(error.address, wanted);
        assert!(
            error
                .to_string()
                .starts_with("sip.listen: cannot listen on 127.0.0.1:"),
            "{error}"
        );
        assert!(
            error.to_string().contains("another program has this port"),
            "{error}"
        );

        let bound = bind(wanted, TakenPort::UseNextFree, &mut moved).unwrap();
        assert!(bound.port() > wanted.port());
        assert_eq!(moved, [Moved { wanted, bound }]);
    }

    #[test]
    fn a_taken_tcp_port_is_moved_away_from_like_any_other() {
        let other = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let wanted = other.local_addr().unwrap();
        let mut moved = Vec::new();
        let bind = |address| SipListener::bind(Transport::Tcp, address);
        let refused = bind_one("sip.listen", wanted, TakenPort::Refuse, &mut moved, bind);
        assert_eq!(refused.unwrap_err().address, wanted);
        let (_, bound) = bind_one(
            "sip.listen",
            wanted,
            TakenPort::UseNextFree,
            &mut moved,
            bind,
        )
        .unwrap();
        assert_eq!(moved, [Moved { wanted, bound }]);
    }

    #[test]
    fn an_address_of_another_machine_is_not_moved() {
        let mut moved = Vec::new();
        let error = bind(
            "192.0.2.1:5060".parse().unwrap(),
            TakenPort::UseNextFree,
            &mut moved,
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("does not have the address"),
            "{error}"
        );
    }
}
