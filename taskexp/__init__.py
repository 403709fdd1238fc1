"""TaskExp turns a parameter sweep of command lines into one loop.

The public names come from `taskexp.names` when the first of them is used: the command line starts without them.
"""

TYPE_CHECKING = False  # as in `typing`, whose import alone takes its time

if TYPE_CHECKING:
    from taskexp.names import *  # noqa: F403 - its `__all__` is ours


def __getattr__(name: str) -> object:
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module 'taskexp' has no attribute {name!r}")
    import taskexp.names as names  # not `from taskexp`, which would ask here for `names`

    globals().update({public: getattr(names, public) for public in names.__all__}, __all__=names.__all__)
    try:
        return globals()[name]
    except KeyError:
        raise AttributeError(f"module 'taskexp' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    import taskexp.names as names

    return [*names.__all__]
