"""docs/settings.md says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pipeline.roles import WriteKey
from pipeline.settings import load_settings, setting_names
from tests.docs.settings_table import PAGE, page_with, table


def test_the_table_lists_every_setting_as_it_is() -> None:
    """Defaults in prose drift. To write it anew: `python -m tests.docs.settings_table`."""
    assert PAGE.read_text() == page_with(table())


def test_the_examples_load(tmp_path: Path) -> None:
    """A reader copies them."""
    examples = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(examples) == 2
    text = "\n".join(examples).replace(
        '[accounts.shoes]\napi_key = "..."', '[accounts.shoes]\napi_key = "other"'
    )
    (tmp_path / "sailpipe.toml").write_text(text)
    settings = load_settings({}, directory=tmp_path)
    assert settings.account("shoes").write_keys == (WriteKey("shoes-web"),)
    assert tomllib.loads(text)["email_wait"] == "72h"


def test_rules_name_settings_that_exist() -> None:
    """Names in capitals on the page are settings."""
    text = PAGE.read_text()
    names = {name.lower() for name in re.findall(r"`(?:SAILPIPE_)?([A-Z][A-Z_]{3,})`", text)}
    known = setting_names()
    assert names - {"sailpipe_*", "config"} <= known.account | known.installation
