"""One keep-alive connection to a DynamoDB endpoint, without an SDK in between.

Sends bytes exactly as given, so that a case can be as malformed as it likes, and returns status, headers and body
as they came. Nothing here interprets an answer.
"""

import http.client
import json
import zlib
from dataclasses import dataclass
from urllib.parse import urlsplit

API = "DynamoDB_20120810"
CONTENT_TYPE = "application/x-amz-json-1.0"


def authorization(access_key="AKIAIOSFODNN7EXAMPLE", region="us-east-1"):
    """A SigV4 header of the right shape; neither server of the comparison checks the signature itself."""
    return (
        f"AWS4-HMAC-SHA256 Credential={access_key}/20260101/{region}/dynamodb/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + "0" * 64
    )


@dataclass
class Answer:
    """What one server said."""

    status: int
    headers: dict
    raw: bytes

    @property
    def body(self):
        """The decoded JSON body, or the raw bytes where it is not JSON."""
        try:
            return json.loads(self.raw)
        except ValueError:
            return self.raw

    @property
    def crc_holds(self):
        """Whether x-amz-crc32 is present and is the checksum of the bytes received."""
        stated = self.headers.get("x-amz-crc32")
        return stated is not None and int(stated) == zlib.crc32(self.raw)


class Wire:
    """A client of one endpoint. Not for use by two threads at once."""

    def __init__(self, endpoint, timeout=60):
        parts = urlsplit(endpoint)
        self.host, self.port, self.timeout = parts.hostname, parts.port, timeout
        self.connection = None

    def call(self, operation, body, headers=None):
        """POSTs `body` (bytes are sent as they are) to `operation`; a header given as None is left out."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "X-Amz-Target": f"{API}.{operation}",
            "Content-Type": CONTENT_TYPE,
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": authorization(),
        }
        sent.update(headers or {})
        return self.send("POST", "/", payload, {name: value for name, value in sent.items() if value is not None})

    def send(self, method, path, payload, headers):
        """One HTTP request; a kept connection that the server closed meanwhile is opened again once."""
        for fresh in (False, True):
            if fresh or self.connection is None:
                self.close()
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            try:
                self.connection.request(method, path, payload, headers)
                response = self.connection.getresponse()
                raw = response.read()
                return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, raw)
            except (http.client.HTTPException, ConnectionError):
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def close(self):
        """Drops the connection; the next call opens a new one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
