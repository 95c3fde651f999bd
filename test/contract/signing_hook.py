"""For schemathesis: signs every request that it sends (ACS3-HMAC-SHA256), however odd the request is.

The key is in the environment: ACCESS_KEY_ID, ACCESS_KEY_SECRET.
"""

import hashlib
import hmac
import os
import time
import uuid
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit

import schemathesis
from requests.auth import AuthBase

ALGORITHM = "ACS3-HMAC-SHA256"
SIGNED = ["host", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"]


def encode(value):
    return quote(value, safe="-_.~")


def canonical_path(raw):
    return "/".join(encode(unquote_to_bytes(part)) for part in raw.split("/")) or "/"


def canonical_query(raw):
    """Sorted by the names as they are, not as they are encoded; JavaScript's order, which the server has."""
    pairs = parse_qsl(raw, keep_blank_values=True, encoding="utf-8", errors="surrogateescape")
    pairs.sort(key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
    encoded = [[encode(text.encode("utf-8", "surrogateescape")) for text in pair] for pair in pairs]
    return "&".join("=".join(pair) for pair in encoded)


def text_of(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


def body_of(request):
    body = request.body or b""
    return body.encode() if isinstance(body, str) else bytes(body)


class Acs3(AuthBase):
    def __call__(self, request):
        url = urlsplit(request.url)
        request.headers.update(
            {
                "host": url.netloc,
                "x-acs-content-sha256": hashlib.sha256(body_of(request)).hexdigest(),
                "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "x-acs-signature-nonce": uuid.uuid4().hex,
            }
        )
        signed = sorted([*SIGNED, *(["content-type"] if request.headers.get("content-type") else [])])
        headers = "".join(f"{name}:{text_of(request.headers[name]).strip()}\n" for name in signed)
        names = ";".join(signed)
        lines = [request.method, canonical_path(url.path), canonical_query(url.query), headers, names]
        canonical = "\n".join([*lines, request.headers["x-acs-content-sha256"]])
        text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        secret = os.environ["ACCESS_KEY_SECRET"].encode()
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        key_id = os.environ["ACCESS_KEY_ID"]
        request.headers["authorization"] = f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"
        return request


schemathesis.auth.set_from_requests(Acs3())
