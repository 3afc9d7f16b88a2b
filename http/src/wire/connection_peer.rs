//! Who the client of a connection is: the other end of its socket, or whom a proxy there names.
//!
//! A proxy names its client by a header in front of the first request (`proxied_stream`). Until the
//! header is there, the peer is the proxy. A connection without a proxy has its peer in place, so
//! it pays nothing for this.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use crate::config::Peer;
use crate::proto::{ProxyHeaderError, ProxySource};

/// The client of a connection.
pub(crate) enum ConnectionPeer {
    Direct(Peer),
    Proxied(Rc<ProxiedPeer>),
}

/// The client of a connection that comes through a proxy.
pub(crate) struct ProxiedPeer {
    proxy: Peer,
    /// Set once, when the header is there; the proxy itself for its own connections.
    client: OnceCell<Peer>,
    fault: Cell<Option<ProxyHeaderError>>,
    /// The client counts among the connections of its address.
    is_counted: Cell<bool>,
}

impl ConnectionPeer {
    /// The client, as far as it is known.
    #[inline]
    pub(super) fn get(&self) -> &Peer {
        match self {
            Self::Direct(peer) => peer,
            Self::Proxied(proxied) => proxied.client.get().unwrap_or(&proxied.proxy),
        }
    }

    /// The client, if it counts among the connections of its address.
    pub(super) fn counted(&self) -> Option<&Peer> {
        match self {
            Self::Direct(peer) => Some(peer),
            Self::Proxied(proxied) => proxied.client.get().filter(|_| proxied.is_counted.get()),
        }
    }
}

impl ProxiedPeer {
    pub(crate) fn new(proxy: Peer) -> Rc<Self> {
        let (client, fault) = (OnceCell::new(), Cell::new(None));
        Rc::new(Self { proxy, client, fault, is_counted: Cell::new(false) })
    }

    pub(crate) fn proxy(&self) -> &Peer {
        &self.proxy
    }

    /// The client, once the header is there.
    pub(crate) fn client(&self) -> Option<&Peer> {
        self.client.get()
    }

    /// Why the header was refused.
    pub(crate) fn fault(&self) -> Option<ProxyHeaderError> {
        self.fault.get()
    }

    /// The client counts from now on.
    pub(crate) fn set_counted(&self) {
        self.is_counted.set(true);
    }

    pub(super) fn set_client(&self, source: ProxySource) {
        let client = match source {
            ProxySource::Connection => self.proxy.clone(),
            ProxySource::Tcp(address) => Peer::Tcp(address),
            ProxySource::Unix => Peer::Unix,
        };
        let _ = self.client.set(client);
    }

    pub(crate) fn set_fault(&self, fault: ProxyHeaderError) {
        self.fault.set(Some(fault));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_a_proxy_needs_no_more_memory_than_its_address() {
        assert_eq!(size_of::<ConnectionPeer>(), size_of::<Peer>());
    }
}
