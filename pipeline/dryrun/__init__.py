"""A dry run: what answers in Sailthru's place, and the calls that would have been made, kept for some days."""
