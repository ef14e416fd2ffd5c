"""Celery and nothing else: the app, its one task, and what a worker process runs beside it."""
