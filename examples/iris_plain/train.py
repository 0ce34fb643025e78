"""Train on Fisher's irises without one line of gittrack: arguments and results.json are found all the same."""

import argparse
import json
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    inputs, labels = load_iris(return_X_y=True)
    train_x, val_x, train_y, val_y = train_test_split(
        inputs, labels, test_size=0.3, random_state=args.seed, stratify=labels
    )
    scaler = StandardScaler().fit(train_x)
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=args.lr, random_state=args.seed)
    for epoch in range(1, args.epochs + 1):
        model.partial_fit(scaler.transform(train_x), train_y, classes=[0, 1, 2])
        probabilities = model.predict_proba(scaler.transform(val_x))
        results = {
            "epoch": epoch,
            "val_loss": log_loss(val_y, probabilities),
            "accuracy": float((probabilities.argmax(1) == val_y).mean()),
        }
        Path("results.json").write_text(json.dumps(results))
    print(results)


if __name__ == "__main__":
    main()
