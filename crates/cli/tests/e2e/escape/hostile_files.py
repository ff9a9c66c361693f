"""Fills the working directory with files that do harm to a careless reader.

SECRET is the path of a file that only the host may read.
"""

import os
import socket
import stat
import sys

secret = os.environ["SECRET"]


def write(path, text="content"):
    with open(path, "w") as file:
        file.write(text)


def attempt(action, *arguments):
    """Does what a sandbox refuses and the control allows."""
    try:
        action(*arguments)
    except OSError as error:
        print(f"{action.__name__}: {error}", file=sys.stderr)


write("plain", "plain")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
attempt(os.mknod, "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))

os.symlink(secret, "link-absolute")
os.symlink("../" * 40 + secret.lstrip("/"), "link-relative")
os.symlink("/proc/self/root" + secret, "link-proc")
os.symlink(os.path.dirname(secret), "link-directory")
os.symlink("link-loop", "link-loop")
attempt(os.link, secret, "hard-outside")
os.link("plain", "hard-inside")

with open("sparse", "wb") as file:
    file.truncate(1 << 24)
write("new\nline")
write(b"\xff\xfe")
write("-rf")
write("back\\slash")
write("n" * 255)
write(".wh.plain")
write(".wh..wh..opq")
os.makedirs("/".join(["deep"] * 100))
write("/".join(["deep"] * 100) + "/file")

write("setuid")
os.chmod("setuid", 0o6777)
write("unreadable")
os.chmod("unreadable", 0)
os.mkdir("closed")
write("closed/file")
os.chmod("closed", 0)
os.mkdir("redirected")
write("redirected/file")
attempt(os.setxattr, "redirected", "user.overlay.redirect", b"/plain")
attempt(os.setxattr, "plain", "user.note", b"kept nowhere")
