"""Changes whose an account's data are: `adopt` takes over what waits, `reset` empties a trial.

Both begin by taking the account from every process (nothing of it is leased or claimed until they end), work in
small steps beside running workers, and can be run again after they were interrupted.
"""
