//! How many connections each client address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;

use crate::config::Peer;

/// How many connections each address has, and on which shards.
#[derive(Debug, Default)]
pub(crate) struct PeerCounts(Mutex<HashMap<IpAddr, Vec<OnShard>>>);

#[derive(Debug)]
struct OnShard {
    shard: usize,
    connections: usize,
}

impl PeerCounts {
    /// Counts one more connection of that peer, unless it has `most` already.
    pub(crate) fn enter(&self, peer: &Peer, shard: usize, most: usize) -> bool {
        let Some(network) = network(peer) else { return true };
        let mut counts = self.0.lock();
        let of_peer = counts.get(&network).map_or(&[][..], Vec::as_slice);
        if of_peer.iter().map(|here| here.connections).sum::<usize>() >= most {
            return false;
        }
        let of_peer = counts.entry(network).or_default();
        match of_peer.iter_mut().find(|here| here.shard == shard) {
            Some(here) => here.connections += 1,
            None => of_peer.push(OnShard { shard, connections: 1 }),
        }
        true
    }

    /// Counts one connection less, unless its shard was forgotten.
    pub(crate) fn leave(&self, peer: &Peer, shard: usize) {
        let Some(network) = network(peer) else { return };
        let mut counts = self.0.lock();
        let Some(of_peer) = counts.get_mut(&network) else { return };
        of_peer.iter_mut().filter(|here| here.shard == shard).for_each(|here| {
            here.connections -= 1;
        });
        of_peer.retain(|here| here.connections > 0);
        if of_peer.is_empty() {
            counts.remove(&network);
        }
    }

    /// The connections of that shard do not count any more. The shard accepts no further ones.
    pub(crate) fn forget(&self, shard: usize) {
        self.0.lock().retain(|_, of_peer| {
            of_peer.retain(|here| here.shard != shard);
            !of_peer.is_empty()
        });
    }
}

/// The network that counts as one client. Clients of a Unix socket are not counted.
fn network(peer: &Peer) -> Option<IpAddr> {
    let Peer::Tcp(address) = peer else { return None };
    Some(match address.ip().to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
        address @ IpAddr::V4(_) => address,
    })
}
