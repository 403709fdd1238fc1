"""Refusal: why a sweep starts nothing more."""

from taskexp.loop.recorder import Recorder
from taskexp.loop.tally import Tally
from taskexp.run.engine import Engine
from taskexp.words.errors import EngineError, JournalError

STOPPED_EARLY = "the loop was stopped before it could start"


class Refusal:
    """Tells whether a sweep goes on; asked several times per run.

    Args:
        recorder: without a journal that can be written nothing more is run.
        engine: neither is without an engine.
        tally: knows whether a policy of the user's has ended the sweep.
    """

    def __init__(self, recorder: Recorder, engine: Engine, tally: Tally) -> None:
        self._recorder = recorder
        self._engine = engine
        self._tally = tally
        self.stopping = False
        """Whether everything is being stopped, or was."""

    @property
    def gives_up(self) -> bool:
        """Whether the sweep comes to its end by itself before the end of the grid."""
        return self._tally.halted is not None or self._recorder.error is not None or self._engine.failure is not None

    @property
    def breakdown(self) -> JournalError | EngineError | None:
        """Why nothing more could be run, or recorded; the loop raises it."""
        return self._recorder.error or self._engine.failure

    @property
    def why(self) -> str | None:
        """What to say of a run that is not started; None while runs start."""
        if self.stopping:
            return STOPPED_EARLY
        if self._recorder.error is not None:
            return "the journal could not be written before it could start"
        if self._engine.failure is not None:
            return "the engine was lost before it could start"
        halted = self._tally.halted
        return None if halted is None else f"{halted.reason} before it could start"
