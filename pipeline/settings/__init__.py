"""Settings. Only entry points load them; everything else is handed one.

sources (environment, sailpipe.toml) -> values (how a text is read) -> models (what can be set) -> load
"""

from __future__ import annotations

from pipeline.settings.load import load_settings, setting_names
from pipeline.settings.models import AccountSettings, Settings
from pipeline.settings.sources import DEFAULT_ACCOUNT

__all__ = ["DEFAULT_ACCOUNT", "AccountSettings", "Settings", "load_settings", "setting_names"]
