//! `may_minihttp`, set up as its example for large loads.

use std::io;

use bytes::BufMut;
use may_minihttp::{HttpServer, HttpService, Request, Response};

use super::answer::MESSAGE;
use super::setup::Setup;
use crate::compare::mode::JSON_PATH;
use crate::serve::{BODY, PATH};

pub(super) fn run(setup: &Setup<'_>) -> io::Result<()> {
    may::config().set_workers(setup.threads).set_pool_capacity(1_000).set_stack_size(0x1000);
    // It is a coroutine that ends with the process.
    let server = HttpServer(Peer).start(setup.address())?;
    server.join().map_err(|_| io::Error::other("may_minihttp panicked"))
}

#[derive(Clone)]
struct Peer;

impl HttpService for Peer {
    fn call(
        &mut self,
        request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        match request.path() {
            PATH => {
                response.header("Content-Type: text/plain; charset=utf-8").body(BODY);
            }
            JSON_PATH => {
                response.header("Content-Type: application/json");
                serde_json::to_writer(response.body_mut().writer(), &MESSAGE)?;
            }
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}
