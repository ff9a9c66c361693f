"""How long refusals and answers take for guesses. This is measured, and judged by nobody: the times
of one run on one machine prove nothing."""

import statistics
import time

from channel import PLACEHOLDERS, get, technique

ROUNDS = 8


def median(place, path, line):
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        get(place, path, line)
        times.append(time.perf_counter() - began)
    return f"{statistics.median(times) * 1000:.2f} ms\n"


@technique("time of refusals of guessed placeholders", "look")
def placeholders():
    right = PLACEHOLDERS["BEARER"]
    flipped = "0" if right[-1] != "0" else "1"
    guesses = {"right": right, "all but the end": right[:-1] + flipped, "wrong": "vm0_enc_" + "0" * 32}
    found = [f"{what}: {median('Y', '/guess', 'X-Other: ' + guess)}" for what, guess in guesses.items()]
    return "".join(found).encode()


@technique("time of echoes of guessed values", "look")
def values():
    found = [f"{guess!r}: {median('B', '/guess', 'X-Guess: ' + guess)}" for guess in ("sk-", "zzz", "0" * 64)]
    return "".join(found).encode()
