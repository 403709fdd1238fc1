"""A real training program: a linear classifier on scikit-learn's digits; prints its loss by epoch and its accuracy."""

import argparse

import numpy
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", type=float, required=True)
    parser.add_argument("--penalty", choices=["l1", "l2"], default="l2")
    parser.add_argument("--average", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    digits = load_digits()
    train, test, labels, truth = train_test_split(digits.data / 16, digits.target, random_state=0)
    model = SGDClassifier(
        loss="log_loss",
        alpha=options.alpha,
        penalty=options.penalty,
        average=options.average,
        random_state=options.seed,
    )
    for epoch in range(5):
        model.partial_fit(train, labels, classes=numpy.unique(digits.target))
        print(f"epoch {epoch}: accuracy={model.score(test, truth):.4f}", flush=True)
    print(f"final accuracy: {model.score(test, truth):.4f}")


if __name__ == "__main__":
    main()
