"""The `sailpipe` command."""
