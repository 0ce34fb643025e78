"""The training of train.py at several learning rates, all in one process.

No `git track run` here: every `gittrack.init` starts a run of its own, and `gittrack.runs` reads them back.
"""

import argparse

from train import train

import gittrack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, nargs="+", default=[0.001, 0.01, 0.1])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    for lr in args.lr:
        with gittrack.init(params={"lr": lr, "epochs": args.epochs, "seed": args.seed}, experiment="digits") as run:
            train(run)

    found = gittrack.runs(where="experiment == 'digits'")
    print(found.to_pandas())
    print("best:", found.best("accuracy").params)


if __name__ == "__main__":
    main()
