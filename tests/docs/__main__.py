"""Writes every generated page of docs/ anew: `make docs`, or `python -m tests.docs`."""

from __future__ import annotations

import sys

from tests.docs import (
    commands_page,
    logs_page,
    mapping_page,
    metrics_page,
    outcomes_page,
    settings_table,
    unverified_page,
    way_table,
)


def main() -> None:
    """Say which pages have changed."""
    pages = (
        (commands_page.PAGE, commands_page.page()),
        (logs_page.PAGE, logs_page.page_with(logs_page.table())),
        (mapping_page.ROWS_PAGE, mapping_page.page()),
        (metrics_page.PAGE, metrics_page.page_with(metrics_page.table())),
        (outcomes_page.PAGE, outcomes_page.page()),
        (settings_table.PAGE, settings_table.page_with(settings_table.table())),
        (unverified_page.PAGE, unverified_page.page()),
        (way_table.PAGE, way_table.page_with(way_table.table())),
    )
    for path, text in pages:
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            sys.stdout.write(f"{path.name} has changed\n")


if __name__ == "__main__":
    main()
