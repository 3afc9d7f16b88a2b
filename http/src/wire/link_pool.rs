//! The shard's pool of links, which idle connections give back.
//!
//! A link is some hundred bytes of state, most of which belongs to a request. So an idle connection
//! has none: it keeps its stream and, if its client was slow, the client's credits. A link goes
//! back to the pool only if nothing else refers to it: a link that a fiber of a handler still
//! holds, or the link of an upgraded connection, stays with its connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::host::Host;
use super::link::{AtRest, Link, OpenConnection};

/// The free links of a shard.
pub(crate) struct LinkPool {
    host: Rc<Host>,
    /// The link that was given back last: of a shard with one active connection it is always this.
    last: Cell<Option<Rc<Link>>>,
    free: RefCell<Vec<Rc<Link>>>,
    /// The link of connections that have none.
    no_link: Rc<Link>,
}

impl LinkPool {
    pub(crate) fn new(host: &Rc<Host>) -> Rc<Self> {
        Rc::new(Self {
            host: Rc::clone(host),
            last: Cell::new(None),
            free: RefCell::default(),
            no_link: Rc::new(Link::unused(host)),
        })
    }

    /// What the connections of the shard share.
    #[inline]
    pub(crate) fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// In the place of a link, for a connection that has none.
    #[inline]
    pub(crate) fn no_link(&self) -> Rc<Link> {
        Rc::clone(&self.no_link)
    }

    #[inline]
    pub(crate) fn is_no_link(&self, link: &Rc<Link>) -> bool {
        Rc::ptr_eq(link, &self.no_link)
    }

    /// The connection becomes active: returns its link.
    #[inline]
    pub(crate) fn take(&self, open: &Rc<OpenConnection>, rest: &mut AtRest) -> Rc<Link> {
        let mut link = self.last.take().unwrap_or_else(|| self.take_further());
        match Rc::get_mut(&mut link) {
            Some(link) => link.begin(open, rest),
            None => unreachable!("a free link has one owner"),
        }
        open.set_active(Some(Rc::clone(&link)));
        link
    }

    /// The connection is idle, or has ended. Returns the link if the connection needs it on.
    #[inline]
    pub(crate) fn give(&self, mut link: Rc<Link>, rest: &mut AtRest) -> Option<Rc<Link>> {
        link.record_rest();
        if link.may_rest()
            && let Some(alone) = Rc::get_mut(&mut link)
        {
            alone.end(rest);
            if let Some(before) = self.last.replace(Some(link)) {
                self.give_further(before);
            }
            return None;
        }
        link.record_active();
        Some(link)
    }

    #[inline(never)]
    fn take_further(&self) -> Rc<Link> {
        let free = self.free.borrow_mut().pop();
        free.unwrap_or_else(|| Rc::new(Link::unused(&self.host)))
    }

    #[inline(never)]
    fn give_further(&self, link: Rc<Link>) {
        let mut free = self.free.borrow_mut();
        if free.len() < FREE_LINKS_MAX {
            free.push(link);
        }
    }
}

/// How many free links a shard keeps. Arbitrary: as many as free buffers.
const FREE_LINKS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use straightline_sched::ShardTime;

    use super::super::client_stream::ClientStream;
    use super::super::connection_peer::ConnectionPeer;
    use super::super::detached::new_host;
    use super::super::no_client::NoClient;
    use super::*;
    use crate::config::Peer;

    #[test]
    fn a_link_goes_back_when_only_its_connection_refers_to_it() {
        let links = LinkPool::new(&new_host());
        let open =
            Rc::new(OpenConnection::new(ConnectionPeer::Direct(Peer::Unix), ShardTime::now()));
        let mut rest = AtRest::new(ClientStream::new(NoClient));
        let link = links.take(&open, &mut rest);
        let first = Rc::as_ptr(&link);
        // A flush that is arranged does not count.
        drop(link.flush_hook());
        let of_a_fiber = Rc::clone(&link);
        let kept = links.give(link, &mut rest).expect("it is needed on");
        assert!(open.link().is_some_and(|link| Rc::ptr_eq(&link, &kept)));
        drop(of_a_fiber);
        assert!(links.give(kept, &mut rest).is_none() && open.link().is_none());
        // The next connection gets it, and one at the same time another one.
        let another =
            Rc::new(OpenConnection::new(ConnectionPeer::Direct(Peer::Unix), ShardTime::now()));
        let mut rest_of_another = AtRest::new(ClientStream::new(NoClient));
        let link = links.take(&another, &mut rest_of_another);
        assert_eq!(Rc::as_ptr(&link), first);
        assert_ne!(Rc::as_ptr(&links.take(&open, &mut rest)), first);
    }
}
