"""HTTP/2 written by hand: pseudo-headers that contradict each other or the tunnel."""

import struct

from channel import (CONTROL, HOST, PLACEHOLDERS, add, connect, site, tls)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
KEY = PLACEHOLDERS["BEARER"]
A, X = site("A"), site("X")


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def length(value):
    if value < 127:
        return bytes([value])
    rest, value = b"", value - 127
    while value >= 128:
        rest += bytes([value % 128 + 128])
        value //= 128
    return bytes([127]) + rest + bytes([value])


def literal(name, value):
    """A header without compression and without a name of the table."""
    name, value = name.encode(), value.encode()
    return b"\x00" + length(len(name)) + name + length(len(value)) + value


def frames_of(answer):
    """Kind, flags and payload of each whole frame."""
    while len(answer) >= 9:
        count = int.from_bytes(answer[:3], "big")
        if len(answer) < 9 + count:
            return
        yield answer[3], answer[4], answer[9:9 + count]
        answer = answer[9 + count:]


def ended(answer):
    """Whether the only stream has ended: by a flag, a reset, or the end of all."""
    return any(kind in (3, 7) or (kind in (0, 1) and flags & 1)
               for kind, flags, _ in frames_of(answer))


def speak(fields, place="A", extra=b"", flags=5):
    sock = tls(connect(site(place)), HOST, ("h2",))
    block = b"".join(literal(name, value) for name, value in fields)
    answer = b""
    try:
        sock.sendall(PREFACE + frame(4, 0, 0, b"") + frame(1, flags, 1, block) + extra)
        while not ended(answer):
            piece = sock.recv(65536)
            if not piece:
                break
            answer += piece
    except OSError as error:
        return answer + repr(error).encode()
    finally:
        sock.close()
    joined = b"".join(payload for kind, _, payload in frames_of(answer) if kind == 0)
    return answer + b"\n" + joined


GET = [(":method", "GET"), (":scheme", "https"), (":authority", A), (":path", "/head")]
SENT = [("x-control", CONTROL), ("authorization", "Bearer " + KEY)]


def changed(name, value):
    return [(known, value if known == name else old) for known, old in GET] + SENT


for what, kind, fields in (
    ("a request", "echo", GET + SENT),
    ("the authority of X", "refused", changed(":authority", X)),
    ("the scheme http", "refused", changed(":scheme", "http")),
    ("another host header", "refused", GET + SENT + [("host", X)]),
    ("no authority, the host of X", "refused", [field for field in GET if field[0] != ":authority"] + SENT + [("host", X)]),
    ("two authorities", "refused", [*GET, (":authority", X)] + SENT),
    ("two paths", "refused", [*GET, (":path", f"https://{X}/head")] + SENT),
    ("pseudo-headers at the end", "refused", SENT + GET),
    ("the URL of X as path", "look", changed(":path", f"https://{X}/head")),
    ("a path without a slash", "look", changed(":path", "head")),
    ("an unknown pseudo-header", "refused", [*GET, (":key", KEY)] + SENT),
    ("CONNECT", "refused", [(":method", "CONNECT"), (":authority", X)] + SENT),
    ("extended CONNECT", "look", [(":method", "CONNECT"), (":protocol", "websocket"), *GET[1:]] + SENT),
    ("upper-case names", "refused", GET + SENT + [("X-UPPER", "1")]),
    ("a line break in a value", "refused", GET + SENT + [("x-a", f"b\r\nhost: {X}")]),
    ("a line break in a name", "refused", GET + SENT + [(f"x-a: b\r\nhost: {X}\r\nx-b", "1")]),
    ("a line break in the path", "refused", changed(":path", f"/ HTTP/1.1\r\nHost: {X}\r\n\r\n")),
    ("a coding of HTTP/1.1", "look", GET + SENT + [("transfer-encoding", "chunked")]),
    ("a connection header", "look", GET + SENT + [("connection", "authorization")]),
    ("a user in the authority", "look", changed(":authority", f"{X}@{A}")),
    ("an authority with a path", "refused", changed(":authority", f"{A}/@{X}")),
    ("placeholder in the path", "refused", changed(":path", "/head/" + KEY)),
    ("placeholder in a header name", "refused", GET + SENT + [(KEY, "1")]),
):
    add(f"HTTP/2 with {what}", kind, speak, fields)

add("HTTP/2 with the placeholder to Y", "refused", speak,
    [(name, site("Y") if name == ":authority" else value) for name, value in GET] + SENT, "Y")
add("HTTP/2 with a length that is not kept", "look", speak,
    [(":method", "POST"), *GET[1:], ("content-length", "1")] + SENT, "A",
    frame(0, 1, 1, b"GET /head HTTP/1.1\r\nHost: x\r\n\r\n"), 4)
add("HTTP/2 with placeholder in trailers", "look", speak,
    [(":method", "POST"), *GET[1:]] + SENT, "A",
    frame(0, 0, 1, b"body") + frame(1, 5, 1, literal("x-trailer", KEY)), 4)
