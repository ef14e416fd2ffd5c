"""What could not be delivered: kept whole, grouped, and replayed."""
