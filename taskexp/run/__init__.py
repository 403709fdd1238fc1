"""Run: one process from spawn to reaped, where its lines go, and the engine that does both."""
