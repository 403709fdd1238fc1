"""Words: what a step of Slurm says beside what its program says.

The first thing on a step's stdout is a header of our own, which tells where it is. The last on its stderr is said by
`srun`, in the same stream as the program's own words; it is taken out again, since no run prints it here.
"""

import re
import signal
from dataclasses import dataclass

from taskexp.run.engine import Output
from taskexp.run.taps import StreamName

MARK = "\1taskexp "
"""How the header begins."""

SHIM = (
    'command -v -- "$1" >/dev/null 2>&1 && fit=here || fit=absent; '
    f"printf '{MARK.replace(chr(1), chr(92) + '1')}%s %s.%s %s %s\\n' "
    '"$SLURMD_NODENAME" "$SLURM_JOB_ID" "$SLURM_STEP_ID" "$fit" "$CUDA_VISIBLE_DEVICES"; '
    '[ "$fit" = here ] || exit 127; exec "$@"'
)
"""What a step runs: it says where it is, then becomes the program."""

_BEGINNINGS = (b"srun: ", b"slurmstepd-")
_LONGEST = max(map(len, _BEGINNINGS))
_WORDS = re.compile(
    rb"(srun: error: [^\n]*: tasks? [0-9,-]+: |srun: error: Node failure|srun: (error: )?Unable to |srun: Force Term"
    rb"|srun: Job step aborted|srun: forcing job|srun: error: [^\n]*: Step requested|srun: error: Step requested"
    rb"|srun: Job step's|srun: error: \w+|slurmstepd-\S+: error: )[^\n]*\n?"
)
_TASK_ENDED = re.compile(
    r"task 0: (?:Exited with exit code (\d+)|([A-Z][^\n(]*?))\s*(?:\(core dumped\))?$", re.MULTILINE
)
_SIGNALS = {signal.strsignal(number): number for number in signal.valid_signals()}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step is.

    Args:
        node: the name of the machine.
        step: its job and its number there, as `12.3`.
        is_fit: whether the program is there.
        gpus: the numbers of its GPUs, as CUDA_VISIBLE_DEVICES has them.
    """

    node: str
    step: str
    is_fit: bool
    gpus: str


class StepOutput:
    """The output of a step on its way: the program's passes, Slurm's words stay.

    Args:
        output: where the program's goes.
    """

    def __init__(self, output: Output) -> None:
        self.place: Place | None = None
        """Where the step is, once it has said so."""
        self.said = ""
        """What Slurm has said."""
        self._output = output
        self._header = b""
        self._held = b""

    def feed(self, stream: StreamName, chunk: bytes) -> bool:
        """Take a chunk; False asks for a pause until `when_drained` calls."""
        rest = self._without_header(chunk) if stream == "stdout" else self._without_words(chunk)
        return self._output.feed(stream, rest) if rest else True

    def when_drained(self, callback: object) -> None:
        """Call `callback` once more may be fed."""
        self._output.when_drained(callback)  # type: ignore[arg-type]

    def finish(self) -> None:
        """Learn that nothing more comes."""
        rest = self._without_words(b"\n")[:-1] if self._held else b""
        if rest:
            self._output.feed("stderr", rest)

    def _without_header(self, chunk: bytes) -> bytes:
        if self.place is not None:
            return chunk
        self._header += chunk
        line, newline, rest = self._header.partition(b"\n")
        if not newline:
            return b""
        words = line.decode("utf-8", "surrogateescape").removeprefix(MARK).split(" ")
        node, step, fit, *gpus = [*words, "", "", ""]
        self.place = Place(node, step, fit == "here", gpus[0] if gpus else "")
        return rest

    def _without_words(self, chunk: bytes) -> bytes:
        """Take out what Slurm says; what may become a word of it is held until its line is whole."""
        text, self._held = self._held + chunk, b""
        passed = b""
        while True:
            at = min((found for each in _BEGINNINGS if (found := text.find(each)) >= 0), default=-1)
            if at < 0:
                kept = _unended(text)
                self._held = text[len(text) - kept :] if kept else b""
                return passed + text[: len(text) - kept]
            passed, text = passed + text[:at], text[at:]
            line, newline, after = text.partition(b"\n")
            if not newline:
                self._held = text
                return passed
            if _WORDS.match(text):
                self.said += line.decode("utf-8", "replace") + "\n"
                text = after
            else:
                passed, text = passed + text[:1], text[1:]


def _unended(text: bytes) -> int:
    """Count the last bytes that may be the beginning of a word of Slurm's."""
    return next(
        (
            length
            for length in range(min(_LONGEST - 1, len(text)), 0, -1)
            if any(each.startswith(text[-length:]) for each in _BEGINNINGS)
        ),
        0,
    )


def returncode_of(said: str) -> int | None:
    """Read how the program ended, -N for signal N; None if Slurm does not say."""
    ends = _TASK_ENDED.findall(said)
    if not ends:
        return None
    code, name = ends[-1]
    if code:
        return int(code)
    number = _SIGNALS.get(name.strip())
    return None if number is None else -number


def node_of(said: str) -> str:
    """Read on which node the program ended; "" if Slurm does not say."""
    found = re.search(r"error: (\S+): task 0:", said)
    return found[1] if found else ""


def is_lost(said: str) -> bool:
    """Tell whether the node was lost, or the allocation with it."""
    return re.search(r"[Nn]ode fail|has expired|Invalid job id|[Jj]ob .*(revoked|cancelled)", said) is not None
