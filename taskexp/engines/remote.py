"""Remote: what an engine does not do that runs its commands elsewhere."""

from collections.abc import Mapping

from taskexp.run.engine import Attempt


class RemoteEngine:
    """An engine whose runs are not children of this process, and that keeps nothing of them."""

    def pause(self) -> None:
        """Nothing: what runs elsewhere goes on; see `Engine.pause`."""

    def resume(self) -> None:
        """Nothing was stopped; see `Engine.resume`."""

    def strays(self) -> Mapping[int, str]:
        """None: what runs leave behind is found where they run; see `Engine.strays`."""
        return {}

    def forget(self, attempt: Attempt) -> None:
        """Nothing is kept of a run; see `Engine.forget`."""
