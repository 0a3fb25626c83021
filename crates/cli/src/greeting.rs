//! What the server says when it is ready: where it listens, where the data is, and the exports to paste.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use partita_server::{Listening, Scheme, SelfSigned, Tls};

use crate::options::Auth;

/// The start message.
#[derive(Debug)]
pub struct Greeting<'a> {
    /// Where the server listens.
    pub addresses: &'a [Listening],
    /// The server's certificate.
    pub identity: Option<&'a Identity>,
    /// Where the data is and how safe, in words.
    pub data: &'a str,
    /// Whether requests must be signed.
    pub auth: Auth,
    /// The region for the exports.
    pub region: &'a str,
}

/// The server's certificate.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub tls: Tls,
    /// Whether no authority has signed it.
    self_signed: bool,
    /// Where clients find it, if they have to be told to trust it.
    file: Option<PathBuf>,
}

impl Identity {
    /// A certificate that clients trust for its authority.
    pub const fn known(tls: Tls) -> Self {
        Self { tls, self_signed: false, file: None }
    }

    /// A certificate that no authority has signed.
    pub fn self_signed(made: SelfSigned) -> Self {
        let file = made.file.map(|file| std::path::absolute(&file).unwrap_or(file));
        Self { tls: made.tls, self_signed: true, file }
    }
}

impl Greeting<'_> {
    /// The endpoint for clients on this machine, if the server listens anywhere.
    fn endpoint(&self) -> Option<Listening> {
        let is_loopback = |listening: &&Listening| listening.address.ip().is_loopback();
        let first = self.addresses.iter().find(is_loopback).or(self.addresses.first())?;
        let ip = match first.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(Listening { address: SocketAddr::new(ip, first.address.port()), ..*first })
    }
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Partita {} is ready.\n", env!("CARGO_PKG_VERSION"))?;
        for (number, address) in self.addresses.iter().enumerate() {
            let label = if number == 0 { "Listening on" } else { "" };
            writeln!(f, "  {label:<12}  {address}")?;
        }
        writeln!(f, "  {:<12}  {}", "Data", self.data)?;
        let access = match self.auth {
            Auth::On => "requests must be signed with an access key",
            Auth::Off => "everyone who reaches the server: requests are not authenticated",
        };
        writeln!(f, "  {:<12}  {access}", "Access")?;
        if let Some(identity) = self.identity {
            let kind = if identity.self_signed { "self-signed, " } else { "" };
            writeln!(f, "  {:<12}  {kind}SHA-256 {}", "Certificate", identity.tls.fingerprint())?;
        }
        for address in self.addresses.iter().filter(|address| address.is_readable_on_the_way()) {
            writeln!(f, "\n  NOT ENCRYPTED: everyone on the way to {address} can read what is sent.")?;
            writeln!(f, "  --tls-cert with --tls-key, or --tls-self-signed, encrypts it.")?;
        }
        if let Some(endpoint) = self.endpoint() {
            let region = self.region;
            writeln!(f, "\nTo use it from a shell, with any AWS SDK or the AWS CLI:\n")?;
            writeln!(f, "  export AWS_ENDPOINT_URL_DYNAMODB={endpoint}")?;
            writeln!(f, "  export AWS_ENDPOINT_URL_DYNAMODB_STREAMS={endpoint}")?;
            writeln!(f, "  export AWS_REGION={region} AWS_DEFAULT_REGION={region}")?;
            match self.auth {
                Auth::On => writeln!(f, "  export AWS_ACCESS_KEY_ID='your key' AWS_SECRET_ACCESS_KEY='its secret'")?,
                Auth::Off => writeln!(f, "  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local")?,
            }
            let file = self.identity.and_then(|identity| identity.file.as_ref());
            if let Some(file) = file.filter(|_| endpoint.scheme == Scheme::Https) {
                // The first is for boto3, the AWS CLI and the SDKs for Go; the second for Node.
                let file = file.display();
                writeln!(f, "  export AWS_CA_BUNDLE='{file}' NODE_EXTRA_CA_CERTS='{file}'")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_encrypted_on_a_network_is_said_loudly() {
        for (scheme, address, is_loud) in [
            (Scheme::Http, "0.0.0.0:80", true),
            (Scheme::Http, "[::1]:80", false),
            (Scheme::Https, "0.0.0.0:80", false),
        ] {
            let addresses = [Listening { scheme, address: address.parse().unwrap() }];
            let text =
                Greeting { addresses: &addresses, identity: None, data: "", auth: Auth::Off, region: "eu-west-1" }
                    .to_string();
            assert_eq!(text.contains("NOT ENCRYPTED"), is_loud, "{text}");
        }
    }

    #[test]
    fn exports_point_at_an_address_that_this_machine_can_reach() {
        for (addresses, endpoint) in [
            (vec!["127.0.0.1:8000", "[::1]:8000"], "http://127.0.0.1:8000"),
            (vec!["0.0.0.0:80"], "http://127.0.0.1:80"),
            (vec!["[::]:80"], "http://[::1]:80"),
            (vec!["192.0.2.1:80", "[::1]:81"], "http://[::1]:81"),
            (vec!["192.0.2.1:80"], "http://192.0.2.1:80"),
        ] {
            let listening = |address: &&str| Listening { scheme: Scheme::Http, address: address.parse().unwrap() };
            let addresses: Vec<Listening> = addresses.iter().map(listening).collect();
            let text =
                Greeting { addresses: &addresses, identity: None, data: "", auth: Auth::Off, region: "eu-west-1" }
                    .to_string();
            assert!(text.contains(&format!("AWS_ENDPOINT_URL_DYNAMODB={endpoint}\n")), "{text}");
            assert!(text.contains(&format!("AWS_ENDPOINT_URL_DYNAMODB_STREAMS={endpoint}\n")), "{text}");
            assert!(text.contains("AWS_REGION=eu-west-1"), "{text}");
        }
    }
}
