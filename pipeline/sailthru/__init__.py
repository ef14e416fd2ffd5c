"""Sailthru's API: calls, signatures, the client, and what its answers mean."""
