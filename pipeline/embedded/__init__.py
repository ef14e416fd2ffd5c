"""The Redis that `sailpipe up` brings along, and the folder it lives in."""
