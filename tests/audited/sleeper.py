"""Stands in for a run: reports a stage, starts a child, and sleeps as long as that."""

import subprocess
import sys
import time

print("two processes sleep", file=sys.stderr, flush=True)
print('this is no event, and this neither: {"a": 1}\n{"a": 1}', flush=True)
print('{"event": "stage", "name": "fit"}', flush=True)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
time.sleep(1000)
