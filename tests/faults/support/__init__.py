"""What the fault tests share: the world of real processes, and the judge of what it did."""
