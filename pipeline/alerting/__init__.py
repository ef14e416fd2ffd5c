"""Tells a person what needs one, once, and when it is over (ALERT_URL).

rules (what needs one, of a snapshot) -> told (what was said of it) -> message (how it reads) -> watch (the turns, and the posts)
"""
