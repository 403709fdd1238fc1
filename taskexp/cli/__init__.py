"""CLI: a sweep from the command line, and looks at its journal."""
