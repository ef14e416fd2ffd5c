"""What Prometheus reads: names (one table) and the collector that fills them from one snapshot of Redis."""
