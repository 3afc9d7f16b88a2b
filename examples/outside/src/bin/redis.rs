//! Hits are counted in Redis: the blocking calls of the crate `redis`, through `straightline-db`.

use std::{env, io};

use straightline::{HandlerError, Request, Server};
use straightline_db::redis::{Redis, redis::Commands};
use straightline_db::{Pool, PoolConfig};

fn hit(request: &mut Request, pool: &Pool<Redis>) -> Result<String, HandlerError> {
    let hits: u64 = pool.get()?.incr(request.path(), 1)?;
    Ok(format!("hit {hits}\n"))
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let redis = env::args().nth(2).expect("the address of a Redis server");
    let redis = Redis::new(&format!("redis://{redis}")).map_err(io::Error::other)?;
    let config = PoolConfig::default();
    let server = Server::builder().bind(address).shutdown_on_signals().build_with(move || {
        let pool = Pool::new(redis.clone(), &config);
        move |request: &mut Request| hit(request, &pool)
    })?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
