"""Version: which TaskExp this is; what the package is built with, and journals are signed with."""

__version__ = "0.1.0"
