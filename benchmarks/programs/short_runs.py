"""Start, log and finish runs in one process, as a sweep over a cheap function does. usage: short_runs.py COUNT

Prints {"begin": the clock when the first one starts}: they are all recorded when this process has ended.
"""

import json
import sys
import time

import gittrack

print(json.dumps({"begin": time.perf_counter()}), flush=True)
for number in range(int(sys.argv[1])):
    run = gittrack.init(params={"lr": 0.1, "seed": number})
    for step in range(10):
        run.log({"loss": 1.0 / (number + step + 1)}, step=step)
    run.finish()
