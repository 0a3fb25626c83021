//! What is refused, with AWS's words.

use super::*;

fn with(name: &'static str, value: &str) -> Request<Bytes> {
    let mut request = signed("{}");
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// A signed request whose `Authorization` header has `from` replaced.
fn replaced(from: &str, to: &str) -> Request<Bytes> {
    let authorization = signed("{}").headers()[AUTHORIZATION].to_str().unwrap().to_owned();
    assert!(authorization.contains(from), "{authorization}");
    with("authorization", &authorization.replace(from, to))
}

/// A presigned request whose address has `from` replaced.
fn presigned(validity: u64, from: &str, to: &str) -> Request<Bytes> {
    let mut request = request("{}");
    let address = signer().presign(&request, Duration::from_secs(validity), NOW).unwrap().to_string();
    assert!(address.contains(from), "{address}");
    *request.uri_mut() = address.replace(from, to).parse().unwrap();
    request.headers_mut().insert(HOST, "localhost:8000".parse().unwrap());
    request
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

#[test]
fn a_request_without_credentials_misses_its_token() {
    assert_eq!(judge(&request("{}"), NOW), Err(SignatureError::MissingToken));
    for other in ["", "Bearer x", "Basic dXNlcg==", "AWS akid:signature", "aws4-hmac-sha256 Credential=a"] {
        assert_eq!(judge(&with("authorization", other), NOW), Err(SignatureError::MissingToken), "{other}");
    }
    assert_eq!(refusal(&request("{}")), "Request is missing Authentication Token");
}

#[test]
fn missing_parameters_of_the_header_are_all_told() {
    let mut request = with("authorization", "AWS4-");
    request.headers_mut().remove(X_AMZ_DATE);
    assert_eq!(
        refusal(&request),
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
         Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) \
         Authorization=JYgSZISbb+IceCTPYFPItoz618G3XCO+tvXHRyzn7Bo="
    );
    assert!(refusal(&replaced("Signature=", "Sig=")).starts_with(
        "Authorization header requires 'Signature' parameter. (Hashed with SHA-256 and encoded with Base64) Authorization="
    ));
    assert!(refusal(&replaced("Credential=", "Credential ")).starts_with(
        "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '"
    ));
    assert_eq!(
        refusal(&replaced("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256=")),
        "Authorization header must begin with the algorithm name, which cannot include an equal-sign"
    );
    assert_eq!(
        refusal(&replaced("Credential=", "Credential=x,Credential=")),
        "Authorization header has more than one 'Credential' parameter."
    );
}

#[test]
fn the_header_is_read_in_any_order_and_spacing() {
    let authorization = signed("{}").headers()[AUTHORIZATION].to_str().unwrap().to_owned();
    let (algorithm, rest) = authorization.split_once(' ').unwrap();
    let mut parameters: Vec<&str> = rest.split(", ").collect();
    parameters.reverse();
    for separator in [",", ", ", " , ", " ", ",,  "] {
        let value = format!("  {algorithm}  {} ", parameters.join(separator));
        assert_eq!(judge(&with("authorization", &value), NOW), Ok(()), "{value}");
    }
    let names = "content-type;host;x-amz-date;x-amz-target";
    assert_eq!(judge(&replaced(names, "Host;X-Amz-Date;Content-Type;X-Amz-Target"), NOW), Ok(()));
}

#[test]
fn missing_parameters_of_the_query_are_all_told() {
    let mut request = request("{}");
    *request.uri_mut() = "/?X-Amz-Algorithm".parse().unwrap();
    assert_eq!(
        refusal(&request),
        "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include \
         'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must \
         include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string \
         parameters."
    );
    request.headers_mut().insert(AUTHORIZATION, "AWS4-HMAC-SHA256".parse().unwrap());
    assert_eq!(
        refusal(&request),
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    );
    assert_eq!(
        refusal(&presigned(60, "X-Amz-Date=", "X-Amz-Date=x&X-Amz-Date=")),
        "AWS query-string parameters must include 'X-Amz-Date' only once. Re-examine the query-string parameters."
    );
}

#[test]
fn the_time_is_within_15_minutes() {
    let request = signed("{}");
    let late = NOW + 900;
    assert_eq!(judge(&request, late), Ok(()));
    assert_eq!(judge(&request, NOW - 900), Ok(()));
    assert_eq!(
        judge(&request, late + 1).unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
    );
    assert_eq!(
        judge(&request, NOW - 901).unwrap_err().to_string(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"
    );
    for wrong in ["201", "20150830", "2015-08-30T12:36:00Z", "Sun, 30 Aug 2015 12:36:00 GMT", ""] {
        assert_eq!(
            refusal(&with("x-amz-date", wrong)),
            format!(
                "Date must be in ISO-8601 'basic format'. Got '{wrong}'. See http://en.wikipedia.org/wiki/ISO_8601"
            )
        );
    }
}

#[test]
fn the_date_header_does_where_there_is_no_other() {
    for date in ["Sun, 30 Aug 2015 12:36:00 GMT", "20150830T123600Z"] {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().unwrap());
        headers.insert("date", date.parse().unwrap());
        let message = Message { method: "POST", path: "/", query: "", headers: &headers };
        let payload = hex(ring::digest::digest(&ring::digest::SHA256, b"{}").as_ref());
        let canonical = canonical::Canonical {
            message,
            without: None,
            signed_headers: "date;host",
            payload: &payload,
            path_as_sent: false,
        };
        let scope = "20150830/us-east-1/dynamodb/aws4_request";
        let text = canonical.string_to_sign("20150830T123600Z", scope);
        let of = keys::Scope { date: "20150830", region: "us-east-1", service: "dynamodb" };
        let key = keys::derive(&SecretKey::new(SECRET), &of);
        let signature = hex(ring::hmac::sign(&key, text.as_bytes()).as_ref());
        let mut request = request("{}");
        *request.headers_mut() = headers;
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders=date;host, Signature={signature}");
        request.headers_mut().insert(AUTHORIZATION, authorization.parse().unwrap());
        assert_eq!(judge(&request, NOW), Ok(()), "{date}");
        assert_eq!(judge(&request, NOW + 901).unwrap_err().to_string().get(..18), Some("Signature expired:"));
    }
}

#[test]
fn a_presigned_request_is_valid_as_long_as_it_says() {
    let week = 7 * 24 * 60 * 60;
    let request = presigned(week, "", "");
    assert_eq!(judge(&request, NOW + week), Ok(()));
    assert_eq!(
        judge(&request, NOW + week + 1).unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150906T123601Z - 10080 min.)"
    );
    assert!(judge(&presigned(60, "", ""), NOW + 61).is_err());
    for wrong in ["0", "604801", "-1", "x", "99999999999999999999"] {
        assert_eq!(
            refusal(&presigned(60, "X-Amz-Expires=60", &format!("X-Amz-Expires={wrong}"))),
            "X-Amz-Expires must be a number of seconds from 1 to 604800, which is a week"
        );
    }
    assert_eq!(refusal(&presigned(60, "X-Amz-Expires=60", "X-Amz-Expires=61")), MISMATCH);
}

#[test]
fn host_and_every_amz_header_must_be_signed() {
    assert_eq!(
        refusal(&replaced(";host", "")),
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    );
    assert_eq!(
        refusal(&with("x-amz-added", "later")),
        "'x-amz-added' must be a 'SignedHeader' in the AWS Authorization."
    );
    assert_eq!(
        refusal(&replaced(";x-amz-target", "")),
        "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization."
    );
    assert_eq!(judge(&with("x-amz-security-token", "added-after-signing"), NOW), Ok(()));
    assert_eq!(judge(&with("user-agent", "added"), NOW), Ok(()));
    assert_eq!(refusal(&replaced("content-type;", &"a;".repeat(100))), MISMATCH);
}

#[test]
fn there_is_one_algorithm() {
    assert_eq!(
        refusal(&replaced("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA25")),
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25' (only AWS4-HMAC-SHA256 for now). "
    );
    assert_eq!(
        refusal(&presigned(60, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
        "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now). "
    );
}

#[test]
fn the_credential_is_scoped_to_the_request() {
    let credential = "AKIDEXAMPLE/20150830/us-east-1/dynamodb/aws4_request";
    for (wrong, message) in [
        (
            "a/b/c/d",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d'",
        ),
        (
            "a/b/c/d/e/f",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b/c/d/e/f'",
        ),
        (
            "a/b/C/d/e",
            "Credential should be scoped to a valid region, not 'C'. Credential should be scoped to correct service: \
             'dynamodb'. Credential should be scoped with a valid terminator: 'aws4_request', not 'e'. Date in Credential \
             scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: 'b' != '20150830', from \
             '20150830T123600Z'.",
        ),
        (
            "AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request",
            "Credential should be scoped to correct service: 'dynamodb'.",
        ),
        (
            "AKIDEXAMPLE/20150831/us-east-1/dynamodb/aws4_request",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150831' != \
             '20150830', from '20150830T123600Z'.",
        ),
        ("AKIDEXAMPLE/20150830/us-east-2/dynamodb/aws4_request", MISMATCH),
    ] {
        assert_eq!(refusal(&replaced(credential, wrong)), message, "{wrong}");
    }
    let long = credential.replace("AKIDEXAMPLE", &"K".repeat(129));
    assert_eq!(judge(&replaced(credential, &long), NOW), Err(SignatureError::UnrecognizedClient));
}

#[test]
fn a_signature_is_64_hexadecimal_digits() {
    for wrong in ["0", "x", &"0".repeat(64), &"g".repeat(64), &"0".repeat(66)] {
        let authorization = signed("{}").headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        let (before, _) = authorization.split_once("Signature=").unwrap();
        assert_eq!(refusal(&with("authorization", &format!("{before}Signature={wrong}"))), MISMATCH);
    }
    let upper = signed("{}").headers()[AUTHORIZATION].to_str().unwrap().to_owned();
    let (before, signature) = upper.split_once("Signature=").unwrap();
    let upper = format!("{before}Signature={}", signature.to_ascii_uppercase());
    assert_eq!(refusal(&with("authorization", &upper)), MISMATCH);
}

#[test]
fn the_hash_in_a_header_must_be_that_of_the_body() {
    let hash = hex(ring::digest::digest(&ring::digest::SHA256, b"{}").as_ref());
    for (said, header_form, presigned_form) in [
        (hash.as_str(), true, true),
        (&hash.to_uppercase(), false, false),
        ("UNSIGNED-PAYLOAD", false, false),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", false, false),
        ("", false, false),
    ] {
        let mut request = request("{}");
        request.headers_mut().insert(X_AMZ_CONTENT_SHA256, said.parse().unwrap());
        let mut presigned = request.clone();
        signer().sign(&mut request, NOW).unwrap();
        assert_eq!(judge(&request, NOW).is_ok(), header_form, "{said}");
        *presigned.uri_mut() = signer().presign(&presigned, Duration::from_secs(60), NOW).unwrap();
        presigned.headers_mut().insert(HOST, "localhost:8000".parse().unwrap());
        assert_eq!(judge(&presigned, NOW).is_ok(), presigned_form, "{said}");
    }
}

#[test]
fn a_presigned_request_may_leave_its_body_unsigned_if_it_says_so() {
    let mut request = request("{}");
    request.headers_mut().insert(X_AMZ_CONTENT_SHA256, UNSIGNED_PAYLOAD.parse().unwrap());
    request.headers_mut().insert(HOST, "localhost:8000".parse().unwrap());
    let signer = signer();
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS_KEY}%2F20150830%2Fus-east-1%2Fdynamodb%2Faws4_request\
         &X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-content-sha256%3Bx-amz-target"
    );
    let message = Message { method: "POST", path: "/", query: &query, headers: request.headers() };
    let signed_headers = "content-type;host;x-amz-content-sha256;x-amz-target";
    let canonical =
        canonical::Canonical { message, without: None, signed_headers, payload: UNSIGNED_PAYLOAD, path_as_sent: false };
    let of = keys::Scope { date: "20150830", region: "us-east-1", service: "dynamodb" };
    let text = canonical.string_to_sign("20150830T123600Z", "20150830/us-east-1/dynamodb/aws4_request");
    let signature = hex(ring::hmac::sign(&keys::derive(&signer.secret, &of), text.as_bytes()).as_ref());
    *request.uri_mut() = format!("/?{query}&X-Amz-Signature={signature}").parse().unwrap();
    assert_eq!(judge(&request, NOW), Ok(()));
    *request.body_mut() = Bytes::from_static(b"another body");
    assert_eq!(judge(&request, NOW), Ok(()));
    // The word is signed: who takes it away has another request.
    request.headers_mut().remove(X_AMZ_CONTENT_SHA256);
    assert_eq!(refusal(&request), MISMATCH);
}

#[test]
fn a_header_that_decides_must_come_once() {
    for name in ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"] {
        let mut request = signed("{}");
        let value = request.headers().get(name).cloned().unwrap_or("x".parse().unwrap());
        request.headers_mut().append(name, value.clone());
        request.headers_mut().append(name, value);
        assert!(judge(&request, NOW).is_err(), "{name}");
    }
}

#[test]
fn tokens_are_bounded_and_an_empty_one_is_none() {
    let long = "t".repeat(16 * 1024 + 1);
    assert_eq!(judge(&with("x-amz-security-token", &long), NOW), Err(SignatureError::UnrecognizedClient));
    let request = with("x-amz-security-token", "");
    let message = Message::new(request.method(), request.uri(), request.headers());
    assert_eq!(Claim::read(message, &["dynamodb"], NOW).unwrap().session_token(), None);
}

#[test]
fn a_claim_says_who_where_and_what() {
    let mut request = request("{}");
    let signer = Signer { session_token: Some("token+/=".to_owned()), ..signer() };
    *request.uri_mut() = signer.presign(&request, Duration::from_secs(60), NOW).unwrap();
    request.headers_mut().insert(HOST, "localhost:8000".parse().unwrap());
    let message = Message::new(request.method(), request.uri(), request.headers());
    let claim = Claim::read(message, &["dax", "dynamodb"], NOW).unwrap();
    let told = (claim.access_key(), claim.region(), claim.service(), claim.session_token());
    assert_eq!(told, (ACCESS_KEY, "us-east-1", "dynamodb", Some("token+/=")));
}

#[test]
fn a_signing_key_ends_with_its_secret() {
    let keys = SigningKeys::default();
    let request = signed("{}");
    assert_eq!(judge_with(&request, NOW, &SecretKey::new(SECRET), &keys), Ok(()));
    let replaced = SecretKey::new("another secret");
    assert_eq!(judge_with(&request, NOW, &replaced, &keys), Err(SignatureError::mismatch()));
    assert_eq!(judge_with(&request, NOW, &SecretKey::new(SECRET), &keys), Ok(()));
    let mut again = super::request("{}");
    Signer { secret: replaced.clone(), ..signer() }.sign(&mut again, NOW).unwrap();
    assert_eq!(judge_with(&again, NOW, &replaced, &keys), Ok(()));
    assert_eq!(judge_with(&request, NOW, &replaced, &keys), Err(SignatureError::mismatch()));
}

#[test]
fn strangers_do_not_fill_the_cache() {
    let keys = SigningKeys::default();
    for region in 0..10 {
        let request = replaced("us-east-1", &format!("region-{region}"));
        assert!(judge_with(&request, NOW, &SecretKey::new(SECRET), &keys).is_err());
    }
    assert_eq!(format!("{keys:?}"), "0 signing keys");
}
