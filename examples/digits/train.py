"""Train a small convolutional network on handwritten digits, on any machine, and go on where it stopped."""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn

import gittrack

TRAIN = 1200  # of 1797 images


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images of 8 by 8 pixels, and what they show."""
    found = load_digits()
    return torch.tensor(found.images / 16, dtype=torch.float32).unsqueeze(1), torch.tensor(found.target)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 4 * 4, 10)
    )  # fmt: skip


def train(run) -> None:
    torch.manual_seed(run.params["seed"])
    images, labels = digits()
    model, loss_of = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=run.params["lr"], momentum=0.9)
    first = 1
    last = run.resume_checkpoint()  # None, unless this is `git track run --resume RUN`
    if last is not None:
        state = last.load()
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = last.step + 1
    for epoch in range(first, run.params["epochs"] + 1):
        total = 0.0
        for batch in torch.randperm(TRAIN).split(64):
            optimizer.zero_grad()
            loss = loss_of(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        with torch.no_grad():
            output = model(images[TRAIN:])
        accuracy = (output.argmax(1) == labels[TRAIN:]).float().mean().item()
        run.log({"loss": total / TRAIN, "accuracy": accuracy}, step=epoch)
        run.checkpoint(
            step=epoch,
            metrics={"accuracy": accuracy},
            primary_metric=("accuracy", "maximize"),
            state={"model": model.state_dict(), "optimizer": optimizer.state_dict()},
        )
        print(f"epoch {epoch:2d}  loss {total / TRAIN:.4f}  accuracy {accuracy:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    train(gittrack.init(params=vars(parser.parse_args())))


if __name__ == "__main__":
    main()
