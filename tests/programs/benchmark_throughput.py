"""Stands in for the benchmark of the user's document: it refuses every argument that is not documented."""

import argparse
import json
import sys


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--backend", choices=["vllm", "hf"], required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--num-prompts", type=int, required=True)
    parser.add_argument("--input-len", type=int, required=True)
    parser.add_argument("--output-len", type=int, required=True)
    parser.add_argument("--enable-mytool", action="store_true")
    return parser.parse_args()


print(json.dumps(vars(parse_arguments())))
print("Throughput: 12.34 requests/s", file=sys.stderr)
