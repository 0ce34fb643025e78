"""Train a small network on Fisher's irises, with a few lines of gittrack: init, log, checkpoint, and how to go on."""

import argparse

import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from torch import nn

import gittrack


def load(seed: int) -> tuple[torch.Tensor, ...]:
    """The flowers, standardized: training inputs, validation inputs, training labels, validation labels."""
    inputs, labels = load_iris(return_X_y=True)
    parts = train_test_split(inputs, labels, test_size=0.3, random_state=seed, stratify=labels)
    train_x, val_x, train_y, val_y = (torch.tensor(part) for part in parts)
    mean, spread = train_x.mean(0), train_x.std(0)
    return ((train_x - mean) / spread).float(), ((val_x - mean) / spread).float(), train_y, val_y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=16, help="width of the hidden layer")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    train_x, val_x, train_y, val_y = load(args.seed)
    model = nn.Sequential(nn.Linear(4, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    loss_of = nn.CrossEntropyLoss()

    run = gittrack.init(params=vars(args))
    first = 1
    last = run.resume_checkpoint()  # None, unless this is `git track run --resume RUN`
    if last is not None:
        state = last.load()
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = last.step + 1
    for epoch in range(first, args.epochs + 1):
        optimizer.zero_grad()
        loss = loss_of(model(train_x), train_y)
        loss.backward()
        optimizer.step()

        with torch.no_grad():
            output = model(val_x)
            val_loss = loss_of(output, val_y).item()
            accuracy = (output.argmax(1) == val_y).float().mean().item()
        run.log({"loss": loss, "val_loss": val_loss, "accuracy": accuracy}, step=epoch)
        if epoch % 10 == 0 or epoch == args.epochs:
            run.checkpoint(
                step=epoch,
                metrics={"val_loss": val_loss},
                primary_metric=("val_loss", "minimize"),
                state={"model": model.state_dict(), "optimizer": optimizer.state_dict()},
            )
            print(f"epoch {epoch:3d}  loss {loss.item():.4f}  val_loss {val_loss:.4f}  accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
