//! The shard's pool of links, and the idle connections that keep theirs.
//!
//! A link is some hundred bytes of state, most of which belongs to a request. So an idle connection
//! has none: it keeps its stream and, if its client was slow, the client's credits. But a shard
//! that serves few connections would take a link and give it back for each request. So the
//! connections that became idle last keep their links: a connection loses its link when that many
//! others have become idle.
//!
//! A link goes back to the pool only if nothing else refers to it: a link that a fiber of a handler
//! still holds, or the link of an upgraded connection, stays with its connection.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU16;
use std::rc::Rc;

use super::host::Host;
use super::link::{Link, OpenConnection};

/// The free links of a shard.
pub(crate) struct LinkPool {
    host: Rc<Host>,
    free: RefCell<Vec<Rc<Link>>>,
    /// Connections that keep their links while they are idle. Each of them is here once, and its
    /// link has its place.
    kept: RefCell<Vec<Option<Rc<OpenConnection>>>>,
    /// The place of the connection that has been here longest.
    oldest: Cell<usize>,
    /// The link of connections that have none.
    no_link: Rc<Link>,
}

impl LinkPool {
    pub(crate) fn new(host: &Rc<Host>) -> Rc<Self> {
        Rc::new(Self {
            host: Rc::clone(host),
            free: RefCell::default(),
            kept: RefCell::default(),
            oldest: Cell::new(0),
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
    pub(crate) fn take(&self, open: &Rc<OpenConnection>) -> Rc<Link> {
        open.kept_link().unwrap_or_else(|| self.take_free(open))
    }

    #[inline(never)]
    fn take_free(&self, open: &Rc<OpenConnection>) -> Rc<Link> {
        let free = self.free.borrow_mut().pop();
        let mut link = free.unwrap_or_else(|| Rc::new(Link::unused(&self.host)));
        match (Rc::get_mut(&mut link), open.take_rest()) {
            (Some(alone), Some(rest)) => alone.begin(open, rest),
            _ => unreachable!("a free link has one owner, a connection a link or a stream"),
        }
        open.set_link(Rc::clone(&link));
        link
    }

    /// The connection is idle.
    #[inline]
    #[allow(clippy::needless_pass_by_value)] // the caller parts from it
    pub(crate) fn rest(&self, link: Rc<Link>, open: &Rc<OpenConnection>) {
        link.record_rest();
        if link.kept_at.get().is_none() {
            self.keep(&link, open);
        }
    }

    /// The connection has ended.
    pub(crate) fn end(&self, link: Rc<Link>, open: &OpenConnection) {
        link.record_rest();
        if let Some(at) = link.kept_at.take() {
            self.kept.borrow_mut()[usize::from(at.get()) - 1] = None;
        }
        drop(link);
        self.part(open);
        drop(open.take_link()); // a link that is needed on
    }

    /// The idle connection keeps its link, and the one that has done so for longest does not.
    #[inline(never)]
    fn keep(&self, link: &Link, open: &Rc<OpenConnection>) {
        if !link.may_rest() {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        let at = self.oldest.replace((self.oldest.get() + 1) % LINKS_KEPT);
        if at == kept.len() {
            kept.push(None);
        }
        let oldest = kept[at].replace(Rc::clone(open));
        link.kept_at.set(u16::try_from(at + 1).ok().and_then(NonZeroU16::new));
        drop(kept);
        if let Some(oldest) = oldest {
            if let Some(link) = oldest.kept_link() {
                link.kept_at.set(None);
            }
            // An active connection goes on with its link.
            if oldest.idle_since().is_some() {
                self.part(&oldest);
            }
        }
    }

    /// The connection, which is idle or has ended, gives its link back, unless the link is needed
    /// on.
    fn part(&self, open: &OpenConnection) {
        let Some(mut link) = open.take_link() else { return };
        if link.may_rest()
            && let Some(alone) = Rc::get_mut(&mut link)
        {
            open.set_rest(alone.end());
            let mut free = self.free.borrow_mut();
            if free.len() < FREE_LINKS_MAX {
                free.push(link);
            }
        } else {
            open.set_link(link);
        }
    }
}

/// How many connections of a shard keep their links while they are idle. Arbitrary: as many as free
/// buffers.
const LINKS_KEPT: usize = 128;

/// How many free links a shard keeps.
const FREE_LINKS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use straightline_sched::ShardTime;

    use super::super::client_stream::ClientStream;
    use super::super::connection_peer::ConnectionPeer;
    use super::super::detached::new_host;
    use super::super::link::AtRest;
    use super::super::no_client::NoClient;
    use super::*;
    use crate::config::Peer;

    fn connection() -> Rc<OpenConnection> {
        let rest = AtRest::new(ClientStream::new(NoClient));
        let peer = ConnectionPeer::Direct(Peer::Unix);
        Rc::new(OpenConnection::new(peer, ShardTime::now(), Some(rest)))
    }

    fn is_kept(open: &OpenConnection) -> bool {
        open.kept_link().is_some()
    }

    /// The connection is active for a moment.
    fn activate(links: &LinkPool, open: &Rc<OpenConnection>) -> *const Link {
        let link = links.take(open);
        open.idle().resume();
        let address = Rc::as_ptr(&link);
        open.idle().begin(1);
        links.rest(link, open);
        address
    }

    #[test]
    fn the_connections_that_were_active_last_keep_their_links() {
        let links = LinkPool::new(&new_host());
        let all: Vec<_> = (0..=2 * LINKS_KEPT).map(|_| connection()).collect();
        all.iter().for_each(|open| _ = activate(&links, open));
        let kept = all.iter().map(|open| is_kept(open));
        assert!(kept.eq((0..all.len()).map(|number| number > LINKS_KEPT)));
        // Those that keep them use the same ones again, and the others get free ones.
        let last = all.last().expect("there are some");
        let address = activate(&links, last);
        assert_eq!(activate(&links, last), address);
        activate(&links, &all[0]);
        assert!(is_kept(&all[0]) && !is_kept(&all[LINKS_KEPT + 1]) && is_kept(last));
        // None is lost: as many links as are kept, and one that was taken before another was given.
        assert_eq!(links.free.borrow().len(), 1);
    }

    #[test]
    fn a_link_goes_back_only_if_nothing_else_refers_to_it() {
        let links = LinkPool::new(&new_host());
        let (of_a_fiber, active, resting) = (connection(), connection(), connection());
        activate(&links, &of_a_fiber);
        let held = of_a_fiber.kept_link();
        activate(&links, &active);
        let link = links.take(&active);
        active.idle().resume();
        activate(&links, &resting);
        resting.kept_link().expect("it keeps its link").begin_rest();
        (0..LINKS_KEPT).for_each(|_| _ = activate(&links, &connection()));
        assert!(is_kept(&of_a_fiber) && is_kept(&active) && is_kept(&resting));
        drop(held);
        // They have lost their places, and get others when they are idle again.
        for open in [&of_a_fiber, &resting] {
            activate(&links, open);
        }
        active.idle().begin(1);
        links.rest(link, &active);
        (0..LINKS_KEPT).for_each(|_| _ = activate(&links, &connection()));
        assert!(!is_kept(&of_a_fiber) && !is_kept(&active) && is_kept(&resting));
    }

    #[test]
    fn a_connection_that_ends_gives_its_link_and_its_place_back() {
        let links = LinkPool::new(&new_host());
        for _ in 0..3 {
            let open = connection();
            let address = activate(&links, &open);
            let link = links.take(&open);
            // A flush that is arranged does not count.
            drop(link.flush_hook());
            links.end(link, &open);
            assert!(!is_kept(&open) && Rc::strong_count(&open) == 1);
            assert_eq!(links.free.borrow().iter().map(Rc::as_ptr).collect::<Vec<_>>(), [address]);
        }
    }
}
