"""What an operator is told who still uses a setting's old name, or one that was given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.settings import load_settings, setting_names
from pipeline.settings.renamed import REMOVED, RENAMED


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_the_error_for_an_old_name_in_the_environment_says_the_new_one(
    old: str, new: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings({f"SAILPIPE_{old.upper()}": "12s"}, directory=tmp_path)
    assert str(error.value) == (
        f"{old.upper()} is now {new.upper()}: set SAILPIPE_{new.upper()} instead of"
        f" SAILPIPE_{old.upper()}."
    )


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_the_error_for_an_old_name_in_the_file_says_the_new_one(
    old: str, new: str, tmp_path: Path
) -> None:
    (tmp_path / "sailpipe.toml").write_text(f'{old} = "12s"\n')
    with pytest.raises(ConfigError) as error:
        load_settings({}, directory=tmp_path)
    assert str(error.value) == (
        f"{old.upper()} is now {new.upper()}: in sailpipe.toml, write {new} instead of {old}."
    )


@pytest.mark.parametrize("old", RENAMED)
def test_the_error_for_an_old_name_in_an_accounts_table_says_the_new_one(
    old: str, tmp_path: Path
) -> None:
    (tmp_path / "sailpipe.toml").write_text(f'[accounts.shoes]\n{old} = "12s"\n')
    with pytest.raises(ConfigError, match=f"^{old.upper()} is now .* in \\[accounts.shoes\\] of"):
        load_settings({}, directory=tmp_path)


@pytest.mark.parametrize(("old", "why"), REMOVED.items())
def test_a_setting_that_was_given_up_says_why_and_what_to_delete(
    old: str, why: str, tmp_path: Path
) -> None:
    """Wherever it stands: the environment, the file, an account's table."""
    said = f"{old.upper()} is no setting any more, since {why}: "
    with pytest.raises(ConfigError) as error:
        load_settings({f"SAILPIPE_{old.upper()}": "x"}, directory=tmp_path)
    assert str(error.value) == f"{said}unset SAILPIPE_{old.upper()}."
    (tmp_path / "sailpipe.toml").write_text(f'{old} = "x"\n')
    with pytest.raises(ConfigError) as error:
        load_settings({}, directory=tmp_path)
    assert str(error.value) == f"{said}delete {old} from sailpipe.toml."
    (tmp_path / "sailpipe.toml").write_text(f'[accounts.shoes]\n{old} = "x"\n')
    with pytest.raises(ConfigError) as error:
        load_settings({}, directory=tmp_path)
    assert str(error.value) == f"{said}delete {old} from [accounts.shoes] of sailpipe.toml."


def test_old_names_are_no_settings_and_new_ones_are() -> None:
    names = setting_names().installation | setting_names().account
    assert names.isdisjoint(RENAMED.keys() | REMOVED.keys())
    assert names.issuperset(RENAMED.values())
