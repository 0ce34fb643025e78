"""Train a small convolutional network on handwritten digits at several learning rates, all in one process.

No `git track run` here: every `gittrack.init` starts a run of its own, and `gittrack.runs` reads them back.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn

import gittrack

TRAIN = 1200  # of 1797 images


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 4 * 4, 10)
    )  # fmt: skip


def train(run, images: torch.Tensor, labels: torch.Tensor) -> None:
    torch.manual_seed(run.params["seed"])
    model, loss_of = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=run.params["lr"], momentum=0.9)
    for epoch in range(1, run.params["epochs"] + 1):
        for batch in torch.randperm(TRAIN).split(64):
            optimizer.zero_grad()
            loss = loss_of(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            output = model(images[TRAIN:])
        accuracy = (output.argmax(1) == labels[TRAIN:]).float().mean()
        run.log({"loss": loss, "accuracy": accuracy}, step=epoch)
        run.checkpoint(step=epoch, metrics={"accuracy": accuracy}, primary_metric=("accuracy", "maximize"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, nargs="+", default=[0.001, 0.01, 0.1])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    digits = load_digits()
    images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(digits.target)
    for lr in args.lr:
        with gittrack.init(params={"lr": lr, "epochs": args.epochs, "seed": args.seed}, experiment="digits") as run:
            train(run, images, labels)

    found = gittrack.runs(where="experiment == 'digits'")
    print(found.to_pandas())
    print("best:", found.best("accuracy").params)


if __name__ == "__main__":
    main()
