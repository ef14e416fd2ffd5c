"""Real processes, killed, stopped, cut off and lied to. `make test-faults` prints the report."""
