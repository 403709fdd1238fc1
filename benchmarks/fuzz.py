"""Question: is all that is parsed understood, or refused in words, whatever it is, without a crash or a hang?

Each parser is fed for some seconds with texts of hypothesis, and for as long by atheris where that is installed
(libFuzzer, which looks for texts that take new ways through the code; `pip install atheris`).

    python benchmarks/fuzz.py [--seconds 20]
"""

import re
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

from measuring import arguments, machine, print_table

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
warnings.simplefilter("ignore", FutureWarning)  # what Python thinks of strange patterns

BATCH = 500
LONGEST_SECONDS = 5
"""What one text may take before libFuzzer calls it a hang."""


def by_hypothesis(name: str, seconds: float) -> tuple[int, float, str]:
    """Feed a parser for a while; returns how many texts it got, the longest time of one, and what went wrong."""
    from hypothesis import HealthCheck, given, settings
    from parsers import TEXTS, check, read_table, tables, texts

    count, longest = 0, 0.0

    @settings(max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(tables() if name == "read_table" else texts(name))
    def feed(value: object) -> None:
        nonlocal count, longest
        began = time.perf_counter()
        check(read_table if name == "read_table" else TEXTS[name], value)
        count, longest = count + 1, max(longest, time.perf_counter() - began)

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            feed()
        except Exception as error:
            return count, longest, f"{error!r}, {getattr(error, '__notes__', '')}"
    return count, longest, ""


def by_atheris(name: str, seconds: float) -> tuple[int, str]:
    """The same by atheris, which takes the process it is in."""
    command = [sys.executable, __file__, "--atheris", name, str(int(seconds))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/tmp")
    units = re.findall(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    return int(units[-1]) if units else 0, "" if done.returncode == 0 else done.stderr[-2000:]


def fuzz(name: str, seconds: str) -> None:
    import atheris

    with atheris.instrument_imports(include=["taskexp"]):
        from parsers import TEXTS, check

    def feed(data: bytes) -> None:
        check(TEXTS[name], data.decode("utf-8", "surrogateescape"))

    limits = [f"-max_total_time={seconds}", f"-timeout={LONGEST_SECONDS}", "-print_final_stats=1", "-max_len=400"]
    atheris.Setup([sys.argv[0], *limits], feed)
    atheris.Fuzz()


def main() -> int:
    from parsers import TEXTS

    seconds = arguments(__doc__, seconds=20).seconds
    has_atheris = find_spec("atheris") is not None
    print(machine())
    rows: list[tuple[str, ...]] = []
    wrong = ""
    for name in [*TEXTS, "read_table"]:
        count, longest, error = by_hypothesis(name, seconds)
        units, more = by_atheris(name, seconds) if has_atheris and name in TEXTS else (0, "")
        rows.append((name, str(count), f"{longest * 1000:.0f}", str(units or "-"), "yes" if error or more else "no"))
        wrong += "".join(f"\n{name}: {each}" for each in (error, more) if each)
    print_table(("parser", "texts of hypothesis", "ms at the most", "texts of atheris", "wrong"), rows)
    print(wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--atheris"]:
        fuzz(*sys.argv[2:4])
    else:
        sys.exit(main())
