"""Where a month's crawl begins: conf's addresses, a list for every leaf category, a query for every leaf and API."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlencode

from lib.config import ApiSettings, CrawlSettings
from lib.crawl.request import Link
from lib.crawl.urls import Scope, canonical
from lib.errors import UserError


def seeds(settings: CrawlSettings, leaves: Iterable[tuple[str, str]]) -> Iterator[Link]:
    """All seeds, canonical.

    Args:
        leaves: cat_id and name of every leaf category.

    Raises:
        UserError: a seed's host or path is none that the crawl may follow.
    """
    scope = Scope(settings)
    for url in settings.seeds:
        yield _followed(url, scope, "crawl.seeds")
    for cat_id, name in leaves:
        if settings.category_url is not None:
            yield _followed(settings.category_url.replace("{cat_id}", cat_id), scope, "crawl.category_url")
        for api in settings.apis:
            yield _followed(_query(api, name), scope, f"crawl.apis {api.name}")


def _query(api: ApiSettings, name: str) -> str:
    """The first page of the API's answer to a category's name."""
    parameters = {"query": name, "display": api.display, "start": 1, "sort": api.sort}
    return f"{api.url}?{urlencode(parameters)}"


def _followed(url: str, scope: Scope, place: str) -> Link:
    address = canonical(url)
    kind = None if address is None else scope.kind_of(address)
    if address is None or kind is None:
        raise UserError(
            f"{place}: {url!r} may not be followed; add its host to crawl.hosts and its path to crawl.kinds"
        )
    return Link(address, kind)
