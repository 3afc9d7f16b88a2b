//! A server that does not exist, whose connections count themselves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use straightline_db::{Error, Manager, Pool, PoolConfig, Returned};
use straightline_sched as sched;

/// What the server does, as the test sets it.
#[derive(Default)]
pub(crate) struct World {
    /// How long a connect takes; `None` fails.
    pub(crate) connect: Cell<Option<Duration>>,
    /// How long a cleaning takes; `None` fails.
    pub(crate) clean: Cell<Option<Duration>>,
    /// How long it takes to stop the work of a connection; `None` fails.
    pub(crate) abort: Cell<Option<Duration>>,
    /// The connections that are there now, and the most that were there.
    pub(crate) open: Cell<usize>,
    pub(crate) open_max: Cell<usize>,
    /// The connections that the server has ended.
    pub(crate) ended: RefCell<Vec<u32>>,
    made: Cell<u32>,
}

pub(crate) struct Fake(pub(crate) Rc<World>);

pub(crate) struct Connection {
    pub(crate) number: u32,
    world: Rc<World>,
    /// A question without an answer yet.
    pub(crate) is_busy: bool,
    /// What the last user has left.
    pub(crate) is_dirty: bool,
    pub(crate) is_broken: bool,
}

impl World {
    pub(crate) fn new() -> Rc<Self> {
        let world = Self::default();
        let soon = Some(Duration::from_millis(1));
        world.connect.set(soon);
        world.clean.set(soon);
        world.abort.set(soon);
        Rc::new(world)
    }
}

pub(crate) fn pool(world: &Rc<World>, config: &PoolConfig) -> Pool<Fake> {
    Pool::new(Fake(Rc::clone(world)), config)
}

impl Connection {
    /// A question whose answer takes that long.
    pub(crate) fn ask(&mut self, time: Duration) {
        assert!(!self.is_busy && !self.is_dirty, "it is not as new");
        self.is_busy = true;
        sched::sleep(time);
        self.is_busy = false;
    }
}

fn take(time: Option<Duration>, what: &'static str) -> Result<(), Error> {
    let Some(time) = time else {
        sched::yield_now();
        return Err(Error::connect("nowhere", what));
    };
    sched::sleep(time);
    Ok(())
}

impl Manager for Fake {
    type Connection = Connection;

    fn connect(&self) -> Result<Connection, Error> {
        let world = &self.0;
        take(world.connect.get(), "refused")?;
        world.made.set(world.made.get() + 1);
        world.open.set(world.open.get() + 1);
        world.open_max.set(world.open_max.get().max(world.open.get()));
        let (number, world) = (world.made.get(), Rc::clone(world));
        Ok(Connection { number, world, is_busy: false, is_dirty: false, is_broken: false })
    }

    fn address(&self) -> String {
        "nowhere".to_owned()
    }

    fn is_open(&self, connection: &Connection) -> bool {
        !self.0.ended.borrow().contains(&connection.number)
    }

    fn returned(&self, connection: &mut Connection) -> Returned {
        if connection.is_broken || !self.is_open(connection) {
            Returned::Close
        } else if connection.is_busy {
            Returned::Abort
        } else if connection.is_dirty || thread::panicking() {
            Returned::Clean
        } else {
            Returned::Reuse
        }
    }

    fn clean(&self, connection: &mut Connection) -> Result<(), Error> {
        take(self.0.clean.get(), "not cleaned")?;
        connection.is_dirty = false;
        Ok(())
    }

    fn abort(&self, _: &mut Connection) -> Result<(), Error> {
        take(self.0.abort.get(), "not stopped")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.world.open.set(self.world.open.get() - 1);
    }
}
