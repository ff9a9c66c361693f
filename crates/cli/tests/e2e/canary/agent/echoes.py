"""Servers that give back what they were sent."""

import base64
import struct
import subprocess

from channel import (CONTROL, PATIENT, PLACEHOLDERS, add, exchange, get, headers, open_site, proxy,
                     read_all, read_head, site, technique)

SITES = ["A", "B", "C", "D", "E", "P"]
VISIBLE = ["head", "headers", "trailers", "error", "json", "json-ascii", "json-slashes",
           "json-html", "html", "latin1", "url", "base64", "base64url", "sse", "chunks",
           "until-close", "early", "range"]
REFUSED = ["gzip", "deflate"]
# What becomes of these is for the gateway to decide; no value may come of it.
UNCLEAR = ["reason", "gzip-transfer", "excess", "conflict", "lengths", "fold", "garbage", "switch"]


def path_to(name, way):
    return f"/{way}?key={PLACEHOLDERS['QUERY']}" if name == "A" else f"/{way}"


def echo(name, way):
    return get(name, path_to(name, way), "Accept-Encoding: gzip, deflate, br",
               "Range: bytes=20-4000", "TE: trailers")


for place in SITES:
    for way in VISIBLE:
        add(f"echo {way} at {place}", "echo", echo, place, way)
    for way in REFUSED:
        add(f"echo {way} at {place}", "refused", echo, place, way)
    for way in UNCLEAR:
        add(f"echo {way} at {place}", "look", echo, place, way)


def redirected(code, to):
    """Follows by hand, with the credentials, wherever the server points."""
    answer = get("A", f"/redirect/{code}?to={to}&key={PLACEHOLDERS['QUERY']}")
    location = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"location:")]
    if not location:
        return answer
    target = location[0].split(b": ", 1)[1].decode("latin-1")
    curl = ["curl", "-ksi", "-m", "4", "-H", f"Authorization: Bearer {PLACEHOLDERS['BEARER']}",
            target]
    return answer + subprocess.run(curl, capture_output=True, check=False).stdout


def followed(code, to):
    """Lets the client follow, and trust every host with its credentials."""
    url = f"https://{site('A')}/redirect/{code}?to={to}&key={PLACEHOLDERS['QUERY']}"
    curl = ["curl", "-ksiL", "--location-trusted", "-m", str(PATIENT), "-H", f"X-Control: {CONTROL}",
            "-H", f"Authorization: Bearer {PLACEHOLDERS['BEARER']}",
            "-H", f"X-Canary: {PLACEHOLDERS['HEADER']}", url]
    return subprocess.run(curl, capture_output=True, check=False).stdout


for code in (301, 302, 307, 308):
    for goal, to in (("X", f"https://{site('X')}/take"), ("Y", f"https://{site('Y')}/take"),
                     ("clear", f"http://{site('A')}/take"), ("P", f"http://{site('P')}/take")):
        add(f"redirect {code} to {goal} by hand", "look", redirected, code, to)
        add(f"redirect {code} to {goal}", "echo", followed, code, to)


def websocket(name, extensions):
    sock = open_site(name)
    lines = ["Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    if extensions:
        lines.append("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
    try:
        sock.sendall(f"GET {path_to(name, 'switch')} HTTP/1.1\r\n{headers(name, *lines)}\r\n\r\n".encode())
        head = read_head(sock)
        text = " ".join(PLACEHOLDERS.values()).encode()
        sock.sendall(b"\x81\xfe" + struct.pack(">H", len(text)) + bytes(4) + text)
        return head + read_all(sock)
    finally:
        sock.close()


for place in SITES:
    add(f"websocket at {place}", "echo", websocket, place, False)
    add(f"websocket with deflate at {place}", "echo", websocket, place, True)


@technique("proxy in absolute form to the plain site", "echo")
def absolute():
    sock = proxy()
    sock.sendall(f"GET http://{site('P')}/head HTTP/1.1\r\n{headers('P')}\r\nConnection: close\r\n\r\n".encode())
    return read_all(sock)


@technique("kept connection, many ways", "echo")
def kept():
    ways = ["head", "json", "html", "base64", "url"]
    lines = headers("B")
    requests = [f"GET /{way} HTTP/1.1\r\n{lines}\r\n\r\n" for way in ways]
    requests[-1] = requests[-1].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    return exchange("B", "".join(requests))


@technique("HEAD, OPTIONS, TRACE and PATCH", "echo")
def methods():
    found = b""
    for method in ("HEAD", "OPTIONS", "TRACE", "PATCH"):
        found += exchange("D", f"{method} /head HTTP/1.1\r\n{headers('D')}\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n")
    return found


@technique("a stranger's user in basic credentials", "echo")
def other_user():
    credentials = base64.b64encode(f"me:{PLACEHOLDERS['WORD']}".encode()).decode()
    return get("E", "/base64", f"Authorization: Basic {credentials}")


@technique("curl with HTTP/2", "echo")
def curl():
    urls = [f"https://{site(place)}/head" for place in "ABCDE"]
    sent = ["-H", f"X-Control: {CONTROL}", "-H", f"Authorization: Bearer {PLACEHOLDERS['BEARER']}"]
    found = b""
    for url in urls:
        extra = sent if url == urls[0] else sent[:2]
        found += subprocess.run(["curl", "-ksi", "--http2", "--compressed", "-m", str(PATIENT), *extra, url],
                                capture_output=True, check=False).stdout
    return found
