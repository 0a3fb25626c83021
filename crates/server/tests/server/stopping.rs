//! Starting and stopping: which addresses are permitted, and that a stop answers what is in flight.

use std::time::{Duration, Instant};

use partita_server::{Config, Exposure, Server, StartError, Stopped};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::harness::{post, start};

#[tokio::test]
async fn a_stop_answers_requests_in_flight_and_closes_idle_connections() {
    let server = start(|_| {}).await;
    let address = server.address;
    let mut busy = server.client().await;
    busy.send(post("sleep 500", &[], "{}")).await;
    let mut idle = server.client().await;
    idle.send(post("echo", &[], "{}")).await;
    idle.answer().await;
    let mut unused = server.client().await;
    sleep(Duration::from_millis(100)).await;

    let began = Instant::now();
    let stopped = server.stop();
    assert!(idle.is_closed().await);
    assert!(unused.is_closed().await);
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.text()), (200, "{}"));
    assert_eq!(answer.headers["connection"], "close");
    assert!(busy.is_closed().await);
    assert_eq!(stopped.await.unwrap(), Stopped::Clean);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_past_its_deadline() {
    let server = start(|config| config.timeouts.stop = Duration::from_millis(200)).await;
    let mut busy = server.client().await;
    busy.send(post("sleep 60000", &[], "{}")).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(server.stop().await.unwrap(), Stopped::DeadlinePassed);
}

#[tokio::test]
async fn a_stop_waits_for_requests_whose_client_went_away() {
    let server = start(|_| {}).await;
    let script = server.script.clone();
    let mut busy = server.client().await;
    busy.send(post("sleep 500", &[], "{}")).await;
    sleep(Duration::from_millis(100)).await;
    busy.stream.set_zero_linger().unwrap();
    drop(busy);
    assert_eq!(server.stop().await.unwrap(), Stopped::Clean);
    assert_eq!(script.finished.load(std::sync::atomic::Ordering::SeqCst), 1);
}

fn on(addresses: &[&str]) -> Config {
    Config { listen: addresses.iter().map(|address| address.parse().unwrap()).collect(), ..Config::default() }
}

#[tokio::test]
async fn addresses_beyond_loopback_need_permission() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let refused = Server::bind(on(&["127.0.0.1:0", address]));
        let error = refused.expect_err(address);
        assert!(matches!(error, StartError::Exposed(_)), "{error}");
        assert!(error.to_string().contains("--allow-unauthenticated-network-access"));
    }
    let permitted = Server::bind(Config { exposure: Exposure::AnyNetwork, ..on(&["0.0.0.0:0"]) }).unwrap();
    assert!(permitted.addresses()[0].address.ip().is_unspecified());
}

#[tokio::test]
async fn several_addresses_and_free_ports() {
    let server = Server::bind(on(&["127.0.0.1:0", "127.0.0.2:0", "localhost:0"])).unwrap();
    let addresses = server.addresses();
    assert!(addresses.len() >= 3, "{addresses:?}");
    assert!(addresses.iter().all(|address| address.address.port() != 0));
    if let [_, _, v4, v6] = addresses[..] {
        assert_eq!(v4.address.port(), v6.address.port(), "localhost is one port");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_remedy() {
    let first = Server::bind(on(&["127.0.0.1:0"])).unwrap();
    let taken = first.addresses()[0].address.to_string();
    let error = Server::bind(on(&[&taken])).unwrap_err().to_string();
    assert!(error.contains(&taken) && error.contains("--listen"), "{error}");
}
