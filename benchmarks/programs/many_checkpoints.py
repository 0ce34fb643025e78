"""A training that keeps a small file ten thousand times. usage: many_checkpoints.py COUNT

Prints the seconds that each checkpoint held it up.
"""

import json
import os
import sys
import time

import gittrack

count = int(sys.argv[1])
took = []
run = gittrack.init()
for step in range(count):
    with open("model.bin", "wb") as file:
        file.write(os.urandom(1000))
    start = time.perf_counter()
    run.checkpoint(path="model.bin", step=step, metrics={"loss": 1 / (step + 1)})
    took.append(time.perf_counter() - start)
run.finish()
print(json.dumps(took))
