//! A service behind an nginx that the test starts.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{
    Folder, PATIENCE, Process, connect, connects, free_port, get, installed, status,
};

#[test]
fn a_service_behind_nginx_knows_its_client_and_finishes_its_requests() {
    for name in ["proxied", "axum_proxied"] {
        let folder = Folder::new();
        let program = Process::program_at(name, &format!("unix:{}", folder.path("socket")), &[]);
        let (nginx, address) = nginx(&folder);
        for _ in 0..3 {
            let (head, body) = get(&address, "/here");
            let asked = (status(&head), &*body);
            assert_eq!(asked, ("200", "127.0.0.1 asks a for /here\n"), "{name}");
        }
        let mut watcher = connect(&address);
        watcher.write_all(b"GET /watch HTTP/1.0\r\nHost: a\r\n\r\n").expect("it reads");
        let mut watcher = BufReader::new(watcher);
        let mut text = String::new();
        while !text.contains("127.0.0.1 asks a for /watch\n") {
            assert!(watcher.read_line(&mut text).expect("a line") > 0, "{name}: {text}");
        }
        program.stop();
        watcher.read_to_string(&mut text).expect("the rest");
        assert!(text.ends_with("\ngoodbye\n"), "{name}: {text}");
        assert_eq!(status(&get(&address, "/here").0), "502", "{name} has ended");
        assert!(!fs::exists(folder.path("socket")).expect("a folder"), "{name}");
        nginx.stop();
    }
}

/// An nginx with its files in the folder, and its address.
fn nginx(folder: &Folder) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let at = |name| folder.path(name);
    // As root, nginx would give its workers a user that may not use the socket.
    let user = if folder.is_of_root() { "user root;" } else { "" };
    let text = format!(
        "{user} daemon off; pid {pid}; error_log stderr crit; worker_processes 1;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            client_body_temp_path {temp}; proxy_temp_path {temp}; fastcgi_temp_path {temp};
            uwsgi_temp_path {temp}; scgi_temp_path {temp};
            upstream service {{ server unix:{socket}; keepalive 4; }}
            server {{
                listen {address};
                location / {{
                    proxy_pass http://service;
                    proxy_http_version 1.1;
                    proxy_buffering off;
                    proxy_set_header Connection \"\";
                    proxy_set_header Host $host;
                    proxy_set_header X-Real-IP $remote_addr;
                }}
            }}
        }}",
        pid = at("pid"),
        temp = at("temp"),
        socket = at("socket"),
    );
    fs::write(at("nginx.conf"), text).expect("a file");
    let mut command = installed("nginx", "nginx-light");
    let command = command.args(["-p", &at(""), "-e", "stderr", "-c", &at("nginx.conf")]);
    let mut server = Process::start(command);
    let begin = Instant::now();
    while !connects(&address) {
        assert!(server.is_running() && begin.elapsed() < PATIENCE, "nginx does not start");
        thread::sleep(Duration::from_millis(20));
    }
    (server, address)
}
