//! What the server says when it is ready: where it listens, where the data is, and the exports to paste.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::options::Auth;

/// The start message.
#[derive(Debug)]
pub struct Greeting<'a> {
    /// Where the server listens.
    pub addresses: &'a [SocketAddr],
    /// Where the data is and how safe, in words.
    pub data: &'a str,
    /// Whether requests must be signed.
    pub auth: Auth,
    /// The region for the exports.
    pub region: &'a str,
}

impl Greeting<'_> {
    /// The endpoint for clients on this machine, if the server listens anywhere.
    fn endpoint(&self) -> Option<String> {
        let first = self.addresses.iter().find(|address| address.ip().is_loopback()).or(self.addresses.first())?;
        let ip = match first.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(format!("http://{}", SocketAddr::new(ip, first.port())))
    }
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Partita {} is ready.\n", env!("CARGO_PKG_VERSION"))?;
        for (number, address) in self.addresses.iter().enumerate() {
            let label = if number == 0 { "Listening on" } else { "" };
            writeln!(f, "  {label:<12}  http://{address}")?;
        }
        writeln!(f, "  {:<12}  {}", "Data", self.data)?;
        let access = match self.auth {
            Auth::On => "requests must be signed with an access key",
            Auth::Off => "everyone who reaches the server: requests are not authenticated",
        };
        writeln!(f, "  {:<12}  {access}", "Access")?;
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
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_point_at_an_address_that_this_machine_can_reach() {
        for (addresses, endpoint) in [
            (vec!["127.0.0.1:8000", "[::1]:8000"], "http://127.0.0.1:8000"),
            (vec!["0.0.0.0:80"], "http://127.0.0.1:80"),
            (vec!["[::]:80"], "http://[::1]:80"),
            (vec!["192.0.2.1:80", "[::1]:81"], "http://[::1]:81"),
            (vec!["192.0.2.1:80"], "http://192.0.2.1:80"),
        ] {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let text = Greeting { addresses: &addresses, data: "", auth: Auth::Off, region: "eu-west-1" }.to_string();
            assert!(text.contains(&format!("AWS_ENDPOINT_URL_DYNAMODB={endpoint}\n")), "{text}");
            assert!(text.contains(&format!("AWS_ENDPOINT_URL_DYNAMODB_STREAMS={endpoint}\n")), "{text}");
            assert!(text.contains("AWS_REGION=eu-west-1"), "{text}");
        }
    }
}
