"""Stands in for `loaders.conformance.child`: hangs, dies or answers, as the kind of input says."""

import json
import os
import sys
import time
from pathlib import Path


def report(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


FINE = {"verdict": "identical", "expected": 10, "got": 10, "missing": 0, "repeated": 0, "text": ""}

settings = json.loads(sys.argv[1])
report("stage", name="import", may_take_s=30)
if os.environ.get("NO_KERAS"):
    sys.exit("ImportError: no Keras here")
report("environment", keras="3.0.0", backend=os.environ["KERAS_BACKEND"], version="1")
for number, (setup, names, runs) in enumerate(settings["work"]):
    for name in names:
        for _ in range(runs):
            report("stage", name=name, may_take_s=0)
            if name == "predict" and setup["kind"] == "generator":
                time.sleep(600)
            if name == "evaluate" and setup["kind"] == "arrays":
                once = os.environ.get("DIES_ONCE")
                if not (once and Path(once).exists()):
                    if once:
                        Path(once).touch()
                    os._exit(7)
            wrong = name == "predict" and setup["kind"] == "tf.data"
            found = FINE | ({"verdict": "missing", "missing": 4} if wrong else {})
            report("cell", work=number, **{"pass": name}, **found)
    report("done", work=number)
report("end")
