//! What verifying one request costs: `cargo run --release -p partita-auth --example verify`.

use std::fs::read_to_string;
use std::hint::black_box;

use bytes::Bytes;
use partita_auth::sigv4::{Claim, Message, Payload, SecretKey, Signer, SigningKeys};

const NOW: u64 = 1_440_938_160;
const TURNS: u64 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let signer = Signer {
        access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret: secret.clone(),
        session_token: None,
        region: "us-east-1".to_owned(),
        service: "dynamodb".to_owned(),
    };
    let keys = SigningKeys::default();
    for size in [100, 1_024, 16_384] {
        let mut request = http::Request::post("http://localhost:8000/")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", "DynamoDB_20120810.PutItem")
            .header("user-agent", "Boto3/1.40 md/Botocore#1.40 ua/2.1 os/linux lang/python#3.12 cfg/retry-mode#legacy")
            .header("amz-sdk-invocation-id", "7f6f1b8e-5c5a-4c3e-9b0e-0a3d1d0a9c55")
            .header("amz-sdk-request", "attempt=1")
            .header("accept-encoding", "identity")
            .header("content-length", size)
            .body(Bytes::from(vec![b'x'; size]))?;
        signer.sign(&mut request, NOW)?;
        let message = Message::new(request.method(), request.uri(), request.headers());
        let began = cpu_nanoseconds()?;
        for _ in 0..TURNS {
            let claim = Claim::read(black_box(message), &["dynamodb"], NOW)?;
            claim.verify(message, Payload::Bytes(black_box(request.body())), &secret, &keys)?;
        }
        let each = (cpu_nanoseconds()? - began) / TURNS;
        println!("a body of {size} bytes: {each} ns of CPU");
    }
    Ok(())
}

/// What this process has had of the CPU, however busy the machine is: the first figure of Linux's `schedstat`.
fn cpu_nanoseconds() -> Result<u64, Box<dyn std::error::Error>> {
    let text = read_to_string("/proc/self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}
