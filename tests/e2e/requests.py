"""Requests that are none, or are two: what the API's server and the proxy must refuse alike."""

BODY = b'{"prompt": "a tiny picture"}'
POST = b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

AMBIGUOUS = [
    POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + SMUGGLED,
    POST + b"Content-Length: +4\r\n\r\nabcd" + SMUGGLED,
    POST + b"Content-Length: 4, 4\r\n\r\nabcd" + SMUGGLED,
    POST + b"Content-Length: 99999999999999999999\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + SMUGGLED,
    b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: y\r\n\r\n" + SMUGGLED,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nA\x00: b\r\n\r\n" + SMUGGLED,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\x00c\r\n\r\n" + SMUGGLED,
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n" + SMUGGLED,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]

# What begins such a body, and what of it comes again and again.
ENDLESS_BODIES = {
    "an extension": (CHUNKED + b"\r\n1;ext=", b"a" * 65_536),
    "extensions": (CHUNKED + b"\r\n", b"1;" + b"a" * 1000 + b"\r\n \r\n"),
    "tiny chunks": (CHUNKED + b"\r\n", b"1\r\n \r\n" * 10_000),
    "a trailer": (CHUNKED + b"\r\n0\r\nX-Trailer: ", b"a" * 65_536),
    "trailers": (CHUNKED + b"\r\n0\r\n", b"a: b\r\n" * 10_000),
}
