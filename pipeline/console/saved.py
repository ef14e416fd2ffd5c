"""Saved views: filters of letters under a name."""

from __future__ import annotations

from starlette.requests import Request

from pipeline.api.queries import bad, not_found, read_filter
from pipeline.console import views
from pipeline.console.letters import asked_filters
from pipeline.console.pages import Done, Form, Pages
from pipeline.deadletters.views import NotSaved, SavedViews


class ViewPages:
    """Saves views and deletes them; they are shown beside the letters and on the page Activity."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def save(self, _: Request, form: Form) -> Done:
        """Save the filters of the page under a name."""
        asked, name = asked_filters(form.values), form.values.get("name", "").strip()
        read_filter(asked, self._pages.clock.now())
        try:
            await SavedViews(self._pages.redis, form.account).save(name, asked)
        except NotSaved as error:
            raise bad(str(error), "not_saved") from None
        path = f"/console/dead?{views.filter_query(asked)}"
        return Done("save view", 0, path, f"Saved as {name}.", what=name)

    async def delete(self, _: Request, form: Form) -> Done:
        """Forget a view; the letters stay."""
        name = form.values.get("name", "")
        if not await SavedViews(self._pages.redis, form.account).delete(name):
            raise not_found("There is no such view.")
        return Done("delete view", 0, "/console/activity", f"{name} is deleted.", what=name)
