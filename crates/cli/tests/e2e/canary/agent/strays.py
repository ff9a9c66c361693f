"""Placeholders where they do not belong, and hosts that are not those of the secret."""

import base64
import socket
import struct

from channel import (CONTROL, HOST, PLACEHOLDERS, PORTS, Refused, add, connect, exchange,
                     headers, proxy, read_all, site, technique, tls)

KEY = PLACEHOLDERS["BEARER"]
QUERY = PLACEHOLDERS["QUERY"]
CONTROLLED = f"X-Control: {CONTROL}"


def request(name, path="/head", lines=(), body="", method="GET"):
    lines = [f"Host: {site(name)}", CONTROLLED, f"Content-Length: {len(body)}", "Connection: close",
             *lines]
    return exchange(name, f"{method} {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n" + body)


def basic(text):
    return "Authorization: Basic " + base64.b64encode(text.encode()).decode()


ENCODED = "".join(f"%{byte:02x}" for byte in KEY.encode())
for place in ("Y", "B"):
    cases = {
        "the path": dict(path="/head/" + KEY),
        "the path, encoded": dict(path="/head/" + ENCODED),
        "the query": dict(path="/head?key=" + KEY),
        "the query, encoded": dict(path="/head?key=" + ENCODED),
        "another header": dict(lines=["X-Other: " + KEY]),
        "the authorization": dict(lines=["Authorization: Bearer " + KEY]),
        "the name of a header": dict(lines=[KEY + ": 1"]),
        "basic credentials": dict(lines=[basic("user:" + KEY)]),
        "basic credentials, as user": dict(lines=[basic(KEY + ":")]),
        "a header in upper case": dict(lines=["Authorization: Bearer " + KEY.upper()]),
        "a cookie": dict(lines=["Cookie: a=b; key=" + KEY]),
        "the method": dict(method=KEY),
        "the body": dict(method="POST", body="key=" + KEY),
        "the referrer": dict(lines=[f"Referer: https://{site('A')}/?key={QUERY}"]),
    }
    for where, case in cases.items():
        add(f"placeholder in {where} to {place}", "refused", lambda place=place, case=case: request(place, **case))

# At the secret's own host, but not at its place.
for where, case in {
    "the path": dict(path="/head/" + KEY),
    "another header": dict(lines=["X-Other: " + KEY]),
    "the query": dict(path="/head?other=" + KEY),
    "the place of another secret": dict(lines=["X-Canary: " + KEY]),
    "the name of the parameter": dict(path=f"/head?{QUERY}=1"),
}.items():
    add(f"placeholder in {where} at home", "refused", lambda case=case: request("A", **case))


@technique("placeholder split over two headers", "look")
def split():
    half = len(KEY) // 2
    return request("Y", lines=["Authorization: Bearer " + KEY[:half], "Authorization: " + KEY[half:]])


@technique("placeholder in chunks and trailers", "refused")
def chunks():
    pieces = "".join(f"1\r\n{character}\r\n" for character in KEY)
    lines = f"Host: {site('Y')}\r\n{CONTROLLED}\r\nTransfer-Encoding: chunked\r\nConnection: close"
    return exchange("Y", f"POST /head HTTP/1.1\r\n{lines}\r\n\r\n{pieces}0\r\nX-Key: {KEY}\r\n\r\n")


@technique("placeholder in a host name", "refused")
def host_name():
    found = b""
    for name in (KEY.replace("_", "-"), KEY, f"{KEY}.{HOST}"):
        try:
            connect(f"{name}:{PORTS['A']}").close()
            found += CONTROL.encode()
        except Refused as refused:
            found += refused.answer
        sock = proxy()
        sock.sendall(f"GET http://{name}:{PORTS['P']}/head HTTP/1.1\r\nHost: {name}:{PORTS['P']}\r\n"
                     f"{CONTROLLED}\r\nConnection: close\r\n\r\n".encode())
        found += read_all(sock)
    return found


@technique("clear text to a host of TLS", "refused")
def clear():
    found = b""
    for place in "ABCDE":
        sock = proxy()
        sock.sendall(f"GET http://{site(place)}/head HTTP/1.1\r\n{headers(place)}\r\nConnection: close\r\n\r\n".encode())
        found += read_all(sock)
        sock = connect(site(place))
        sock.sendall(f"GET /head HTTP/1.1\r\n{headers(place)}\r\nConnection: close\r\n\r\n".encode())
        found += read_all(sock)
    return found


@technique("TLS to the plain site", "refused")
def tls_to_plain():
    sock = tls(connect(site("P")))
    sock.sendall(f"GET /head HTTP/1.1\r\n{headers('P')}\r\nConnection: close\r\n\r\n".encode())
    return read_all(sock)


def named(authority, name=HOST):
    """The bound host under another name."""
    sock = tls(connect(authority), name)
    lines = headers("A").replace(f"Host: {site('A')}", f"Host: {authority}")
    sock.sendall(f"GET /head?key={QUERY} HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n".encode())
    return read_all(sock)


PORT = PORTS["A"]
for authority, kind in {
    f"{HOST.upper()}:{PORT}": "echo", f"{HOST}.:{PORT}": "look", f"127.0.0.1:{PORT}": "refused",
    f"0x7f000001:{PORT}": "refused", f"2130706433:{PORT}": "refused", f"[::1]:{PORT}": "refused",
    f"[::ffff:127.0.0.1]:{PORT}": "refused", f"localhost:{PORT}": "refused",
    f"127.0.0.1.nip.io:{PORT}": "refused", f"user@{HOST}:{PORT}": "refused",
}.items():
    add(f"A as {authority.replace(str(PORT), 'PORT')}", kind, named, authority)


def socks(address):
    sock = proxy()
    sock.sendall(b"\x05\x01\x00")
    found = sock.recv(2)
    sock.sendall(b"\x05\x01\x00" + address + struct.pack(">H", PORT))
    found += sock.recv(32)
    sock = tls(sock)
    sock.sendall(f"GET /head?key={QUERY} HTTP/1.1\r\n{headers('A')}\r\nConnection: close\r\n\r\n".encode())
    return found + read_all(sock)


add("SOCKS by name", "echo", socks, b"\x03" + bytes([len(HOST)]) + HOST.encode())
add("SOCKS by address", "refused", socks, b"\x01\x7f\x00\x00\x01")
add("SOCKS by IPv6 address", "refused", socks, b"\x04" + bytes(15) + b"\x01")


@technique("names asked of DNS", "look")
def dns():
    found = b""
    for name in (KEY, f"{KEY}.example.com", HOST, "vm0.internal"):
        try:
            found += repr(socket.getaddrinfo(name, 443)).encode()
        except (OSError, UnicodeError) as error:
            found += repr(error).encode()
    question = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x03abc\x07example\x03com\x00\x00\x10\x00\x01"
    for server in ("127.0.0.1", "8.8.8.8", "169.254.169.254"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(0.3)
        try:
            sock.sendto(question, (server, 53))
            found += sock.recv(512)
        except OSError as error:
            found += repr(error).encode()
    return found
