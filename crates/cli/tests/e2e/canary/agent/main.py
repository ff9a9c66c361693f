"""An agent that tries to find the secrets of its run, in every way it knows."""

import concurrent.futures
import sys
import time
import traceback

import channel
import echoes  # noqa: F401 each module adds its techniques
import frames  # noqa: F401
import guesses  # noqa: F401
import local  # noqa: F401
import smuggling  # noqa: F401
import strays  # noqa: F401

SHOWN = 512


def attempt(name, kind, function):
    began = time.monotonic()
    channel.PATIENCE.seconds = channel.PATIENT if kind == "echo" else channel.IMPATIENT
    try:
        found = function()
    except channel.Refused as refused:
        found = refused.answer
    except Exception:
        found = traceback.format_exc().encode()
    channel.PATIENCE.seconds = channel.PATIENT
    channel.bring(kind, name, found)
    return name, kind, found, time.monotonic() - began


def main():
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        tried = [pool.submit(attempt, *technique) for technique in channel.TECHNIQUES]
        for future in concurrent.futures.as_completed(tried):
            name, kind, found, seconds = future.result()
            # The platform's own mask of outputs must not be what keeps the values in.
            print(name, kind, len(found), f"{seconds:.2f}", found[-SHOWN:][::-1].hex())
    print("techniques", len(channel.TECHNIQUES))


if __name__ == "__main__":
    sys.exit(main())
