//! Several requests on one connection of HTTP/2.

use tokio::net::TcpStream;

use crate::process::Process;

async fn exchange(address: &str) {
    let stream = TcpStream::connect(address).await.expect("the program listens");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let mut responses = Vec::new();
    for path in ["/a", "/b", "/c"] {
        let request = http::Request::get(format!("http://{address}{path}")).body(());
        client = client.ready().await.expect("room for a stream");
        let request = request.expect("a request");
        responses.push((path, client.send_request(request, true).expect("a stream").0));
    }
    for (path, response) in responses {
        let mut response = response.await.expect("a response");
        assert_eq!(response.status(), 200);
        let mut text = Vec::new();
        while let Some(data) = response.body_mut().data().await {
            text.extend_from_slice(&data.expect("data"));
        }
        assert_eq!(String::from_utf8(text).expect("text"), format!("GET {path}\n"));
    }
    drop(client);
    connection.await.expect("no panic").expect("an orderly end");
}

#[test]
fn the_requests_of_a_connection_are_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    for name in ["http2", "axum_http2"] {
        let program = Process::program(name, &[]);
        runtime.block_on(exchange(&program.address));
        program.stop();
    }
}
