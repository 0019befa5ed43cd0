"""Stands in for a run: reports a stage, starts a child, and sleeps as long as that."""

import subprocess
import sys
import time
from pathlib import Path

print("two processes sleep", flush=True)
with Path(sys.argv[1]).open("a") as events:
    events.write('{"event": "stage", "name": "fit"}\n')
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
time.sleep(1000)
