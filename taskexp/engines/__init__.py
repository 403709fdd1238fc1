"""Engines: where commands run when not on this machine. Each is imported when it is asked for."""
