//! What can be wrong with a request before anyone looks at what it means, and how that is told in DynamoDB's shape.
//!
//! Codes and statuses are those of the page "Common Error Types" in AWS's API references. Errors of meaning are the
//! handler's.

use thiserror::Error;

use crate::http::Response;

/// A refusal by the transport. The text is what the client sees.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Fault {
    #[error("Request size exceeded the limit of {limit} bytes")]
    TooLarge { limit: usize },
    #[error("{0}")]
    Malformed(&'static str),
    #[error("This address speaks TLS: its endpoint must begin with https://")]
    NotTls,
    #[error("The request head is too large")]
    HeadTooLarge,
    #[error("The request target is too long")]
    TargetTooLong,
    #[error("The request body arrived too slowly")]
    BodyTooSlow,
    #[error("The server holds as many request bodies as it has memory for; try again")]
    Overloaded,
    #[error(
        "The Host header '{host}' is not a name of this server. \
         If it is meant to be one, start the server with --allowed-host {host}"
    )]
    HostRefused { host: String },
    #[error(
        "Requests from the origin '{origin}' are not allowed. To allow them, start the server with --cors {origin}"
    )]
    OriginRefused { origin: String },
    #[error("Internal server error; the server's log has more under this request id")]
    Internal,
}

impl Fault {
    fn status_and_type(&self) -> (u16, &'static str) {
        match self {
            Self::TooLarge { .. } => (413, "com.amazon.coral.service#RequestEntityTooLargeException"),
            Self::Malformed(_) | Self::NotTls => (400, "com.amazon.coral.service#MalformedHttpRequestException"),
            Self::HeadTooLarge => (431, "com.amazon.coral.service#MalformedHttpRequestException"),
            Self::TargetTooLong => (414, "com.amazon.coral.service#MalformedHttpRequestException"),
            Self::BodyTooSlow => (408, "com.amazon.coral.service#RequestTimeoutException"),
            Self::Overloaded => (503, "com.amazon.coral.service#ServiceUnavailable"),
            Self::HostRefused { .. } | Self::OriginRefused { .. } => {
                (403, "com.amazon.coral.service#AccessDeniedException")
            }
            Self::Internal => (500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
        }
    }

    /// The refusal of a host or origin, quoting what the client sent as far as it can be shown safely.
    pub(crate) fn quote(sent: &[u8]) -> String {
        const SHOWN: usize = 255;
        let shown =
            |&byte: &u8| if byte.is_ascii_graphic() && !b"\"\\'<>&".contains(&byte) { byte as char } else { '?' };
        sent.iter().take(SHOWN).map(shown).collect()
    }

    /// The answer that tells it. Messages hold nothing that JSON would have to escape (see [`Self::quote`]).
    pub(crate) fn response(&self) -> Response {
        let (status, kind) = self.status_and_type();
        Response::json(status, format!(r#"{{"__type":"{kind}","message":"{self}"}}"#))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_never_breaks_the_json() {
        let fault = Fault::HostRefused { host: Fault::quote(b"a\"b\\c\n\x00\xff<script>") };
        let body = fault.response().body;
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(text.matches('"').count(), 8, "{text}");
        assert!(!text.contains('\\') && !text.contains('<'), "{text}");
    }
}
