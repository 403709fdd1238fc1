"""Searching: the program of the process in which the user's regular expressions are searched for; see `search`.

It is started by its path and needs nothing of TaskExp. A request is a line of JSON: patterns with their flags, a text,
whether its lines are searched one by one, and how many seconds of CPU each pattern has. The answer is a line per
pattern: of each match the first group, or all of it. The kernel ends this process (SIGPROF) when a pattern has used up
its time; nothing in Python could, for the search does not come back to it.
"""

import json
import re
import signal
import sys
from collections.abc import Iterable


def find(pattern: str, flags: int, texts: Iterable[str]) -> list[str | None]:
    """Search each text; of those with a match the first group, or the whole match where there are no groups."""
    compiled = re.compile(pattern, flags)
    return [match[min(compiled.groups, 1)] for text in texts if (match := compiled.search(text))]


def main() -> None:
    """Answer requests until there are no more."""
    for request in sys.stdin.buffer:
        asked = json.loads(request)
        texts = asked["text"].split("\n") if asked["by_line"] else [asked["text"]]
        for pattern, flags in asked["patterns"]:
            signal.setitimer(signal.ITIMER_PROF, asked["seconds"])
            found = find(pattern, flags, texts)
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
