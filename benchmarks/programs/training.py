"""A training that may be killed at any moment, and says what it was promised. usage: training.py ACKNOWLEDGED STEPS

ACKNOWLEDGED gets the run's id on its first line, then each step whose log() has returned, and `end` before the program
ends: each by one write(2), so that a kill takes none of them back.
"""

import os
import sys
import time

import gittrack

said = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
run = gittrack.init(params={"lr": 0.1})
os.write(said, f"{run.id}\n".encode())
for step in range(int(sys.argv[2])):
    run.log({"loss": 1.0 / (step + 1), "acc": step / 1000}, step=step)
    os.write(said, b"%d\n" % step)
    if step % 50 == 49:
        run.checkpoint(step=step, metrics={"loss": 1.0 / (step + 1)}, primary_metric=("loss", "minimize"))
    time.sleep(0.0005)
os.write(said, b"end\n")
