//! Hits are counted in Redis: the blocking calls of the crate `redis`, over our sockets.

use std::cell::RefCell;
use std::env;
use std::io::{self, Write};

use redis::{Cmd, Commands, ConnectionLike, Parser, RedisResult, Value};
use straightline::net::TcpStream;
use straightline::{HandlerError, Request, Server};

struct Connection {
    stream: TcpStream,
    parser: Parser,
    /// Not while it waits for answers: if a deadline unwinds there, the connection is of no use.
    is_open: bool,
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.req_packed_commands(command, 0, 1)?.remove(0).extract_error()
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.is_open = false;
        self.stream.write_all(commands)?;
        let mut answers = Vec::new();
        for _ in 0..offset + count {
            answers.push(self.parser.parse_value(&mut self.stream)?);
        }
        self.is_open = true;
        Ok(answers.split_off(offset))
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        Cmd::ping().exec(self).is_ok()
    }

    fn is_open(&self) -> bool {
        self.is_open
    }
}

/// The connections of a shard.
struct Pool {
    redis: String,
    idle: RefCell<Vec<Connection>>,
}

impl Pool {
    fn with<T>(&self, ask: impl FnOnce(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let idle = self.idle.borrow_mut().pop();
        let mut connection = match idle.filter(|idle| !idle.stream.is_peer_gone()) {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&*self.redis)?;
                Connection { stream, parser: Parser::new(), is_open: true }
            }
        };
        let answer = ask(&mut connection);
        if connection.is_open {
            self.idle.borrow_mut().push(connection);
        }
        answer
    }
}

fn hit(request: &mut Request, pool: &Pool) -> Result<String, HandlerError> {
    let hits: u64 = pool.with(|redis| redis.incr(request.path(), 1))?;
    Ok(format!("hit {hits}\n"))
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let redis = env::args().nth(2).expect("the address of a Redis server");
    let server = Server::builder().bind(address).shutdown_on_signals().build_with(move || {
        let pool = Pool { redis: redis.clone(), idle: RefCell::default() };
        move |request: &mut Request| hit(request, &pool)
    })?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
