//! `LISTEN` and `NOTIFY`: messages come in order, none is lost by a deadline, and the end of the
//! connection is an error.

use std::time::Duration;

use straightline_db::Error;
use straightline_sched as sched;

use crate::server::{Server, on_a_shard, pool, postgres};

const US: Duration = Duration::from_micros(1);

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn messages_come_in_order_and_a_deadline_loses_none() {
    let server = Server::start();
    let postgres = postgres(&server);
    on_a_shard(move || {
        let _server = server;
        let mut messages = postgres.listen(&["goods", "a \"strange\" name"])?;
        let pool = pool(postgres, 1);
        let notify = |channel: &str, text: &str| -> Result<(), Error> {
            pool.get()?.execute("SELECT pg_notify($1, $2)", &[&channel, &text]).map(drop)
        };
        sched::scope(|scope| {
            let sending = scope.spawn(|| {
                for number in 0..100 {
                    notify("goods", &number.to_string()).unwrap();
                    notify("others", "not for us").unwrap();
                }
            });
            for number in 0..100 {
                let message = loop {
                    // Far too short for most of them.
                    let waited = sched::deadline(200 * US, || messages.receive());
                    if let Ok(message) = waited {
                        break message.unwrap();
                    }
                };
                assert_eq!((message.channel(), message.payload()), ("goods", &*number.to_string()));
            }
            sending.join().expect("no panic");
        });
        // What comes while another channel is added is kept.
        notify("goods", "before")?;
        messages.listen("late")?;
        notify("late", "1")?;
        notify("a \"strange\" name", "2")?;
        let rest = [(); 3].map(|()| messages.receive().unwrap().payload().to_owned());
        assert_eq!(rest, ["before", "1", "2"]);
        let none = sched::deadline(Duration::from_millis(50), || messages.receive());
        assert!(none.is_err(), "{none:?}");
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn the_end_of_the_connection_is_an_error() {
    let mut server = Server::start();
    let postgres = postgres(&server);
    on_a_shard(move || {
        let mut messages = postgres.listen(&["goods"])?;
        let end =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
        pool(postgres.clone(), 1).get()?.batch_execute(end)?;
        assert!(messages.receive().is_err());
        assert!(messages.receive().is_err() && messages.listen("more").is_err());
        server.kill();
        let error = postgres.listen(&["goods"]).unwrap_err();
        assert!(error.is_unavailable(), "{error}");
        Ok(())
    });
}
