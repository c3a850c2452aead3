//! How many connections there may be, in total and of one network (S-97).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limit::client::TrustedProxies;
use crate::limit::network;

/// Most connections at once.
#[derive(Debug, Clone)]
pub struct Caps {
    /// Of everybody. `limits.connections`.
    pub connections: usize,
    /// Of one IPv4 address or IPv6 /64. `limits.connections_per_network`.
    pub per_network: usize,
    /// Proxies stand for many networks and are counted in the total alone.
    pub proxies: TrustedProxies,
}

/// Counts who is inside. Clones count together; there are never more entries than connections.
#[derive(Debug, Clone)]
pub(super) struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    caps: Caps,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    networks: HashMap<String, usize>,
}

impl Door {
    pub(super) fn new(caps: Caps) -> Self {
        Self(Arc::new(Inner { caps, inside: Mutex::default() }))
    }

    /// A place for a connection from `peer`, or `None`.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Place> {
        let caps = &self.0.caps;
        let network = (!caps.proxies.contains(peer)).then(|| network(peer));
        let mut inside = self.0.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.total >= caps.connections {
            return None;
        }
        if let Some(network) = &network {
            match inside.networks.get_mut(network) {
                Some(count) if *count >= caps.per_network => return None,
                Some(count) => *count += 1,
                None => {
                    inside.networks.insert(network.clone(), 1);
                }
            }
        }
        inside.total += 1;
        Some(Place { door: self.clone(), network })
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> (usize, usize) {
        let inside = self.0.inside.lock().unwrap();
        (inside.total, inside.networks.len())
    }
}

/// A connection's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    door: Door,
    network: Option<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.door.0.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.total -= 1;
        let Some(network) = &self.network else { return };
        if let Some(count) = inside.networks.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                inside.networks.remove(network);
            }
        }
    }
}
