//! The task of a listening TCP socket: takes connections, sends strangers away.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use offhook_sip::endpoint::{Flow, Transport};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::Arrival;
use crate::sip_driver::counting;
use crate::tcp;

/// How long nothing is accepted after the kernel could give no connection: it has no descriptors or
/// no memory left, and would say so again at once.
const REST: Duration = Duration::from_millis(100);

/// Whether an address may connect at all.
pub(crate) type Gate = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Accepts until the signalling task is gone. When it is busy, connections wait in the kernel.
pub(super) async fn accept(
    listener: TcpListener,
    transport: Transport,
    local: SocketAddr,
    gate: Gate,
    arrivals: mpsc::Sender<Arrival>,
) {
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_one_connection(error.kind()) {
                    tracing::warn!(%error, "no connections can be accepted at present");
                    tokio::time::sleep(REST).await;
                }
                continue;
            }
        };
        if !gate(remote.ip()) {
            // Not a byte: a stranger does not learn that anybody lives here.
            counting::stranger_dropped();
            continue;
        }
        if tcp::prepare(&stream).is_err() {
            // It is gone already.
            continue;
        }
        let flow = Flow {
            transport,
            local,
            remote,
        };
        if arrivals
            .send(Arrival::Accepted { flow, stream })
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Whether an error is about the connection that would have been accepted (accept(2): some come through
/// from the network), and not about us.
fn is_of_one_connection(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::TimedOut
    )
}
