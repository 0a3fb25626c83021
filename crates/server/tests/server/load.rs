//! Many requests at once.

use crate::harness::{post, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_with_bodies_of_all_sizes_get_their_own_answers() {
    let server = std::sync::Arc::new(start(|_| {}).await);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..32_usize {
        let server = std::sync::Arc::clone(&server);
        clients.spawn(async move {
            let mut client = server.client().await;
            for round in 0..6 {
                let length = (number * 7919 + round * 104_729) % 200_000;
                let body = vec![b'a' + u8::try_from(number % 26).unwrap(); length];
                client.send(post("echo", &["Accept-Encoding: gzip"], &body)).await;
                let answer = client.answer().await;
                answer.assert_dress();
                let plain =
                    if answer.headers.contains_key("content-encoding") { answer.gunzipped() } else { answer.body };
                assert_eq!(plain, body);
            }
        });
    }
    clients.join_all().await;
}
