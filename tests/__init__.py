"""The tests. A package, so that mypy and pytest name its modules alike."""
