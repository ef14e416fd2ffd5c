"""Events: models (as SDKs send them) -> kinds (what each is to Sailthru) -> routing (its lane).

integrations reads Segment's `integrations` object, which says whether an event is for Sailthru.
"""
