//! The connector beside servers of a few lines.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use async_io::block_on;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use http_body::Body;
use kinesis_batcher_aws::{CaBundle, NotConnected};

use super::connector::{Connector, Network};

fn connector(read: Option<u64>) -> Connector {
    let mut settings = HttpConnectorSettings::builder().connect_timeout(Duration::from_millis(200));
    settings.set_read_timeout(read.map(Duration::from_millis));
    Connector::new(Arc::new(Network::new(CaBundle::default())), &settings.build())
}

fn get(connector: &Connector, url: &str) -> Result<(u16, Vec<u8>), ConnectorError> {
    block_on(async {
        let response = connector.call(HttpRequest::get(url).unwrap()).await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut bytes = vec![];
        while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
        {
            let frame = frame.map_err(ConnectorError::io)?;
            bytes.extend_from_slice(frame.data_ref().unwrap());
        }
        Ok((status, bytes))
    })
}

/// Serves each connection by `serve` on a thread of its own, and tells of each.
fn server(serve: fn(&mut TcpStream)) -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if tell.send(()).is_err() {
                return;
            }
            std::thread::spawn(move || serve(&mut stream));
        }
    });
    (url, told)
}

/// Reads a request without a body; false at the end of the connection.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut head = vec![];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

fn is_not_sent(error: &ConnectorError) -> bool {
    std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .any(<dyn std::error::Error>::is::<NotConnected>)
}

#[test]
fn a_connection_is_used_for_one_request_after_the_other() {
    let (url, connections) = server(|stream| {
        while read_request(stream) {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        }
    });
    let connector = connector(None);
    for _ in 0..5 {
        assert_eq!(get(&connector, &url).unwrap(), (200, b"hi".to_vec()));
    }
    assert_eq!(connections.try_iter().count(), 1);
}

#[test]
fn a_connection_that_the_server_closes_with_its_reply_is_not_used_again() {
    let (url, connections) = server(|stream| {
        read_request(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end").unwrap();
    });
    let connector = connector(None);
    for _ in 0..3 {
        assert_eq!(get(&connector, &url).unwrap(), (200, b"until the end".to_vec()));
    }
    assert_eq!(connections.try_iter().count(), 3);
}

#[test]
fn a_reply_in_chunks_is_read_and_its_connection_kept() {
    let (url, connections) = server(|stream| {
        while read_request(stream) {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).unwrap();
            for chunk in ["2\r\nab\r\n", "1\r\nc\r\n", "0\r\n\r\n"] {
                stream.write_all(chunk.as_bytes()).unwrap();
            }
        }
    });
    let connector = connector(None);
    for _ in 0..3 {
        assert_eq!(get(&connector, &url).unwrap(), (200, b"abc".to_vec()));
    }
    assert_eq!(connections.try_iter().count(), 1);
}

#[test]
fn a_reply_that_is_not_read_to_its_end_costs_its_connection() {
    let (url, connections) = server(|stream| {
        while read_request(stream) {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
            if stream.write_all(head).and_then(|()| stream.write_all(&[b'.'; 1_000_000])).is_err() {
                return;
            }
        }
    });
    let connector = connector(None);
    for _ in 0..3 {
        drop(block_on(connector.call(HttpRequest::get(&url).unwrap())).unwrap());
    }
    assert_eq!(get(&connector, &url).unwrap().1.len(), 1_000_000);
    assert_eq!(connections.try_iter().count(), 4);
}

#[test]
fn a_server_that_says_nothing_is_given_the_read_timeout_and_what_became_of_the_request_is_unknown() {
    let (url, _connections) = server(|stream| while read_request(stream) {});
    let started = Instant::now();
    let error = get(&connector(Some(50)), &url).unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(!is_not_sent(&error), "it may have been read");
    assert!((Duration::from_millis(50)..Duration::from_secs(10)).contains(&started.elapsed()));
}

#[test]
fn a_server_that_does_not_shake_hands_is_given_the_connect_timeout_and_nothing_is_sent() {
    let (url, _connections) = server(|stream| while read_request(stream) {});
    let error = get(&connector(None), &url.replace("http:", "https:")).unwrap_err();
    assert!(is_not_sent(&error));
    // On a machine without root certificates it does not come to a handshake.
    assert!(error.is_timeout() || error.is_user(), "{error:?}");
}

#[test]
fn a_connection_that_ends_without_a_reply_leaves_the_outcome_unknown() {
    let (url, _connections) = server(|stream| {
        read_request(stream);
    });
    let error = get(&connector(None), &url).unwrap_err();
    assert!(!is_not_sent(&error) && !error.is_user(), "{error:?}");
}

#[test]
fn what_is_no_http_leaves_the_outcome_unknown() {
    let (url, _connections) = server(|stream| {
        read_request(stream);
        stream.write_all(b"SSH-2.0-whatever\r\n\r\n").unwrap();
    });
    let error = get(&connector(None), &url).unwrap_err();
    assert!(!is_not_sent(&error) && !error.is_user(), "{error:?}");
}

#[test]
fn a_url_of_another_kind_is_the_users_error() {
    for url in ["ftp://127.0.0.1/", "/"] {
        let error = get(&connector(None), url).unwrap_err();
        assert!(error.is_user(), "{url}: {error:?}");
    }
}
