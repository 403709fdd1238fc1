"""A real training program: a linear classifier of scikit-learn's digits; prints its accuracy by epoch and at the end.

It learns with NumPy alone: scikit-learn takes five times as long to import as this to train.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy

TRAINED = 1350
"""How many of the 1797 images are learnt from; the others are those that it is tried with."""

BATCH = 16
RATE = 0.5


def load_digits() -> numpy.ndarray:
    """Read the images, 64 greys of 0 to 16 each, and the digit that each of them shows."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise SystemExit("the digits come with scikit-learn: pip install scikit-learn")
    return numpy.loadtxt(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", type=float, required=True, help="the strength of the L2 penalty")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = numpy.random.default_rng(options.seed)
    digits = load_digits()
    images, labels = numpy.c_[digits[:, :64] / 16, numpy.ones(len(digits))], digits[:, 64].astype(int)
    test = slice(TRAINED, None)
    weights = numpy.zeros((65, 10))

    def accuracy() -> float:
        return float((numpy.argmax(images[test] @ weights, axis=1) == labels[test]).mean())

    for epoch in range(5):
        for batch in numpy.array_split(dice.permutation(TRAINED), TRAINED // BATCH):
            scores = images[batch] @ weights
            chances = numpy.exp(scores - scores.max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
            chances[numpy.arange(len(batch)), labels[batch]] -= 1
            weights -= RATE * (images[batch].T @ chances / len(batch) + options.alpha * weights)
        print(f"epoch {epoch}: accuracy={accuracy():.4f}", flush=True)
    print(f"final accuracy: {accuracy():.4f}")


if __name__ == "__main__":
    main()
