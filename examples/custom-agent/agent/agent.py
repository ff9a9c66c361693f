"""Any program is an agent: it gets the prompt as an argument and prints JSON lines."""
import json
import sys
from pathlib import Path

prompt = sys.argv[1]
print(json.dumps({"type": "assistant", "text": f"counting {prompt!r}"}), flush=True)
Path("words.txt").write_text(f"{len(prompt.split())} words\n")
print(json.dumps({"type": "result", "result": Path("words.txt").read_text().strip()}), flush=True)
