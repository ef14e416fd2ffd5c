"""What an operator does, once for command line, HTTP API and console: plain functions over a Redis client."""
