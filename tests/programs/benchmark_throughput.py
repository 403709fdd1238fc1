"""Stands in for the benchmark of the user's document: it refuses every argument that is not documented.

It is started by the hundred, and argparse takes as long to import as Python to start.
"""

import sys

TEXTS = ("--backend", "--model")
NUMBERS = ("--num-prompts", "--input-len", "--output-len")
FLAGS = ("--enable-mytool",)


def parse_arguments(words: list[str]) -> dict[str, object]:
    found: dict[str, object] = dict.fromkeys(FLAGS, False)
    left = iter(words)
    for name in left:
        if name in FLAGS:
            found[name] = True
        elif name in NUMBERS:
            found[name] = int(next(left))
        elif name in TEXTS:
            found[name] = next(left)
        else:
            sys.exit(f"{name!r} is not documented")
    if missing := {*TEXTS, *NUMBERS} - found.keys():
        sys.exit(f"{sorted(missing)} are required")
    if found["--backend"] not in ("vllm", "hf"):
        sys.exit(f"there is no backend {found['--backend']!r}")
    return found


print(parse_arguments(sys.argv[1:]))
print("Throughput: 12.34 requests/s", file=sys.stderr)
