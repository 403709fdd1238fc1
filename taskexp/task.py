"""Task: the builder that users meet first."""

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self, TypeAlias, cast

from taskexp.experiment import Experiment
from taskexp.plan.line import with_line, with_script
from taskexp.plan.metric import Take
from taskexp.plan.parts import checked_own_name
from taskexp.plan.point import Point, checked_cwd
from taskexp.plan.secrets import checked_secrets
from taskexp.plan.spec import PointFunction, Spec
from taskexp.plan.values import Value, checked_text, checked_value, text_of
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

Axes: TypeAlias = Mapping[str | None, Iterable[Value]] | Sequence[tuple[str | None, Iterable[Value]]]
"""Axes by their keys: a dict of lists, or pairs."""


class Task(Experiment):
    """A sweep of a command line: a program, what is fixed, and what is looped over.

    Every builder call returns the task, so calls chain; their order is the order on the command line and
    the order of the loops, the last one varying fastest. A loop that has begun is not changed by later
    calls. Nothing is ever listed: a grid of 10^12 points costs what ten points cost.

    Args:
        program: the command, as a str that is split as a shell would split it (no shell is run), or as a
            list of words.
        env: variables that are added to the driver's environment in every run; a value may be a function of
            the point.
        cwd: the folder every run starts in, or a function of the point that gives it; None is the driver's. The
            folder has to be there when the run starts.
        stdin: what every run reads: text (str), bytes, or the path of a file (a `pathlib.Path`); None is
            /dev/null.
        secret_env: names of variables that hold secrets, or `fnmatch` patterns of them, beside the usual ones
            (`*_TOKEN`, `*_KEY`, `*PASSWORD*`, `*SECRET*` and such; "!SORT_KEY" says that this one holds none).
            Runs get their values; no journal and no printed command does. One that is the same in all runs is no
            part of `Point.id`; the values of a loop are, as a hash.
        live: ask Python programs not to buffer their output, so that lines come as they are printed
            (sets `PYTHONUNBUFFERED=1`).

    Raises:
        ArgumentTypeError, ArgumentValueError: an argument makes no sense, or the program is empty.
    """

    def __init__(
        self,
        program: str | Sequence[str],
        *,
        env: Mapping[str, object] | None = None,
        cwd: str | os.PathLike[str] | Callable[[Point], str | os.PathLike[str]] | None = None,
        stdin: str | bytes | os.PathLike[str] | None = None,
        secret_env: Iterable[str] | None = None,
        live: bool = False,
    ) -> None:
        overlay, computed = _checked_env(env)
        if live and "PYTHONUNBUFFERED" not in computed:
            overlay.setdefault("PYTHONUNBUFFERED", "1")
        secrets = checked_secrets(secret_env)
        folder = cwd if cwd is None or callable(cwd) else checked_cwd(cwd)
        self._spec = Spec(
            _words(program, "program"), env=overlay, cwd=folder, stdin=_checked_stdin(stdin), secrets=secrets
        )
        for name, function in computed.items():
            self._spec = self._spec.with_env(name, function)

    @classmethod
    def from_command(
        cls,
        line: str,
        *,
        shell: bool = False,
        env: Mapping[str, object] | None = None,
        cwd: str | os.PathLike[str] | Callable[[Point], str | os.PathLike[str]] | None = None,
        stdin: str | bytes | os.PathLike[str] | None = None,
        secret_env: Iterable[str] | None = None,
        live: bool = False,
    ) -> Self:
        """Make a task of one command line with bash's braces: `python train.py --lr {0.1,0.2} --seed {1..5} {--amp,}`.

        Each outermost group is a loop, in their order, the last one varying fastest, and adds to the command what
        was written. In `params` it has the name of its option (`--lr`, `-O` of `-O{1,2}`, `--shape` and `--shape#2`
        of `--shape={1,2}x{3,4}`), else `arg1`, `arg2`, ...; a flag or nothing is a switch. A number is an int or a
        float if it would be written the same, else text: `1e-3`, `007`. Groups of plain numbers may be of any size.

        Args:
            line: the command. Quotes and backslashes work as in a shell; `$x`, `*`, `#` and `>` are plain text.
            shell: give the command to /bin/sh, with the chosen alternatives in the place of the groups and the rest as
                it was written.
            env: as in `Task`.
            cwd: as in `Task`.
            stdin: as in `Task`.
            secret_env: as in `Task`.
            live: as in `Task`.

        Raises:
            ArgumentTypeError, ArgumentValueError: an argument makes no sense; the line is empty, has a quote that is
                not closed, a word that only a shell could obey (`|`), or a group too large to be written out: more
                than a million alternatives that are no plain numbers.
        """
        task = cls(("/bin/sh", "-c"), env=env, cwd=cwd, stdin=stdin, secret_env=secret_env, live=live)
        task._spec = with_script(task._spec, line) if shell else with_line(task._spec, line)
        return task

    def _specs(self) -> tuple[Spec, ...]:
        return (self._spec,)

    # ---- what to run

    def fixed(self, key: str | None, value: Value | Callable[[Point], Value]) -> Self:
        """Add an argument that is no loop.

        Args:
            key: the option; None for a positional argument. A key that ends in "=" is joined to its value.
            value: its value, or a function of the point that gives it (`p["--n"]`, `p.index`, `p.id`).
                None leaves the option out.
        """
        self._spec = self._spec.with_value(key, value)
        return self

    def arg(self, key: str | None, values: Iterable[Value]) -> Self:
        """Add a loop over the values of an argument.

        Args:
            key: the option; None for a positional argument. A key that ends in "=" is joined to its value.
            values: at least one, in a sized iterable (a list, a tuple, a range, ...). Under no key, ""
                adds nothing; under a key, it is passed as an empty value. None leaves the option out.
        """
        self._spec = self._spec.with_axis(key, values)
        return self

    def switch(self, flag: str) -> Self:
        """Add a loop over a flag: on, then off. The same as `arg(None, [flag, ""])`."""
        self._spec = self._spec.with_switch(flag)
        return self

    def env(self, name: str, values: str | Iterable[Value] | Callable[[Point], Value]) -> Self:
        """Add a loop over an environment variable.

        Args:
            name: the variable.
            values: at least one, in a sized iterable; a single str is a constant, a function of the point gives
                the value for each.
        """
        self._spec = self._spec.with_env(name, values)
        return self

    def zip(self, axes: Axes, *, env: Mapping[str, Iterable[Value]] | None = None) -> Self:
        """Add axes that advance together, as one loop: the first values, then the second ones, and so on.

        Args:
            axes: the values of each option by its key, all of one length: `{"--model": ["7b", "70b"], "--tp": [1, 4]}`.
                Pairs, `[(None, [...]), (None, [...])]`, allow for more than one positional argument.
            env: environment variables that advance with them.
        """
        self._spec = self._spec.with_zip(axes, env)
        return self

    def where(self, predicate: Callable[[Point], object]) -> Self:
        """Run only the points for which the predicate holds; of several, all have to.

        Args:
            predicate: a function of the point: `lambda p: p["--m"] <= p["--n"]`. It is called when the loop comes to
                the point. If it raises, the run of that point is `not_started` and says so.
        """
        self._spec = self._spec.with_predicate(predicate)
        return self

    def repeat(self, n: int, key: str | None = None) -> Self:
        """Run each point several times.

        Args:
            n: how many times.
            key: an option that is given the number of the repeat, 0 to n-1, as its value: a seed, for instance.
        """
        self._spec = self._spec.with_repeat(n, key)
        return self

    def sample(self, n: int, seed: int = 0) -> Self:
        """Run only n distinct points, drawn at random from the loops so far.

        Loops that are added later multiply what was drawn: `sample(20).repeat(5)` runs 20 points five times each. The
        first points of a larger sample with the same seed are those of the smaller one. `where` drops points after
        the draw.

        Args:
            n: how many points.
            seed: which draw; the same seed gives the same points everywhere.
        """
        self._spec = self._spec.with_sample(n, seed)
        return self

    def metric(self, name: str, pattern: str, *, take: Take = "last") -> Self:
        """Read a number from the output of every run, into `result.metrics`.

        Args:
            name: what it is called.
            pattern: a regular expression that is searched for in each line of stdout and stderr; its first group is
                the number, as `float` reads it: `throughput: ([0-9.]+)`. It is searched for in a process of its own,
                and given up for the rest of a sweep when it has taken a second of CPU for one piece of output.
            take: which of several numbers counts: "first", "last", "min" or "max".
        """
        self._spec = self._spec.with_metric(name, pattern, take)
        return self

    def wraps(self, outer: str | Sequence[str]) -> Self:
        """Put an outer command in front: `numactl -N 0`, `nsys profile`. A second one goes in front of the first."""
        self._spec = self._spec.wrapped_in(_words(outer, "wraps"))
        return self

    def __repr__(self) -> str:
        return f"<Task {shlex.join(self._spec.program) or '{...}'}: {self.size} points>"


def _words(command: object, where: str) -> tuple[str, ...]:
    """Split a command given as a str, or check one given as words."""
    if isinstance(command, str):
        try:
            words = cast(Sequence[object], shlex.split(command))
        except ValueError as error:
            raise ArgumentValueError(f"{where}: {command!r} cannot be split into words: {error}") from error
    elif isinstance(command, Sequence) and not isinstance(command, bytes):
        words = cast(Sequence[object], command)
    else:
        raise ArgumentTypeError(f"{where} is a str or a list of str, not {type(command).__name__}")
    texts = [_word(word, where) for word in words]
    if not texts or not texts[0]:
        raise ArgumentValueError(f"{where} is empty; give the command to run, such as 'python train.py'")
    return tuple(texts)


def _word(word: object, where: str) -> str:
    if not isinstance(word, str | os.PathLike):
        raise ArgumentTypeError(f"{where}: every word of a command is a str, not {type(word).__name__} ({word!r})")
    return text_of(checked_value(cast(object, word), where))


def _checked_env(env: object) -> tuple[dict[str, str], dict[str, PointFunction]]:
    """Check variables and their values; functions of the point are returned apart."""
    if env is None:
        return {}, {}
    if not isinstance(env, Mapping):
        raise ArgumentTypeError(f"env is a dict of variables and values, not {type(env).__name__}")
    checked: dict[str, str] = {}
    computed: dict[str, PointFunction] = {}
    for name, value in cast(Mapping[object, object], env).items():
        if callable(value):
            computed[checked_own_name(name, "env")] = value
            continue
        if value is None:
            raise ArgumentTypeError(f'env: the value of {name!r} is None; "" makes the variable empty')
        checked[checked_own_name(name, "env")] = text_of(checked_value(value, f"env[{name!r}]"))
    return checked, computed


def _checked_stdin(stdin: object) -> str | bytes | os.PathLike[str] | None:
    if stdin is None or isinstance(stdin, bytes):
        return stdin
    if isinstance(stdin, str):
        return _checked_stdin_text(stdin)
    if isinstance(stdin, os.PathLike):
        path = cast("os.PathLike[str]", stdin)
        if isinstance(text := os.fspath(path), str):
            checked_text(text, "stdin")
            return path
    raise ArgumentTypeError(f"stdin is text, bytes or a path, not {stdin!r}")


def _checked_stdin_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentValueError("stdin: the text has lone surrogates, which UTF-8 cannot carry; give bytes") from None
    return text
