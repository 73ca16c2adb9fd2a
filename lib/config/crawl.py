"""What may be crawled, how fast, and where it ends."""

from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from lib.config.base import Positive, Seconds, Settings, Share, Text

PageKind = Literal["tree", "list", "product"]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class HostSettings(Settings):
    """How one host (or all that a pattern names) is treated."""

    delay: Seconds | None = Field(None, description="seconds between the starts of two requests; default crawl.delay")
    in_flight: Annotated[int, Field(ge=1, le=64)] = Field(1, description="requests at a time")
    max_pages: Positive | None = Field(None, description="addresses a month; default crawl.max_pages_per_host")


class ApiSettings(Settings):
    """A search API that is asked for each category by its name, a crawl of its own."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    url: Text = Field(description="address of shop.json, without a query; it needs no entry in crawl.hosts or kinds")
    client_id_variable: EnvironmentName = Field("CATMATCH_API_CLIENT_ID", description="environment variable")
    client_secret_variable: EnvironmentName = Field("CATMATCH_API_CLIENT_SECRET", description="environment variable")
    client_id_header: HeaderName = "X-Naver-Client-Id"
    client_secret_header: HeaderName = "X-Naver-Client-Secret"  # noqa: S105 a header's name
    daily_quota: Positive = Field(25_000, description="requests a day, failed ones included")
    quota_time_zone: Text = Field("Asia/Seoul", description="whose midnight begins the day")
    display: Annotated[int, Field(ge=1, le=100)] = Field(100, description="items a page")
    last_start: Annotated[int, Field(ge=1)] = Field(1000, description="largest `start` that the API serves")
    sort: Literal["sim", "date", "asc", "dsc"] = "sim"

    @model_validator(mode="after")
    def _can_be_asked(self) -> "ApiSettings":
        try:
            ZoneInfo(self.quota_time_zone)
        except (KeyError, OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"{self.quota_time_zone!r} is no time zone; take one such as Asia/Seoul") from None
        if "?" in self.url or "#" in self.url:
            raise ValueError("the address of an API takes no query; leave out all from '?' on")
        return self


class CrawlSettings(Settings):
    """The crawl of a month (lib/crawl)."""

    agent: Annotated[str, Field(pattern=r"^[A-Za-z_-]+$")] = Field(
        "catmatch", description="name in the User-Agent and for robots.txt"
    )
    contact: Annotated[str, Field(pattern=r"^[!-~]+$")] = Field(
        description="address in the User-Agent where a site's owner reaches you: an e-mail or a web page"
    )
    hosts: dict[Text, HostSettings] = Field(
        default_factory=dict,
        description="allow-list: host (host:port where the port is not the scheme's) or pattern such as *.example.com, "
        "a star being one label (a number of an IP address, any port, or alone any host); the first that fits counts",
    )
    seeds: list[Text] = Field(default_factory=list, description="addresses to begin with")
    category_url: str | None = Field(
        None,
        description="address of a category's first list page, with {cat_id}: a seed for every leaf of the taxonomy",
    )
    kinds: dict[PageKind, list[Text]] = Field(
        default_factory=lambda: dict(DEFAULT_KINDS),
        description="which addresses are followed: kind of page: patterns of the path; the first that fits counts",
    )
    apis: list[ApiSettings] = Field(default_factory=list)
    detail_share: Share = Field(0.0, description="share of the product pages found that are fetched, by their hash")
    staging: Annotated[str, Field(pattern=r"^[^\[\]{}*?\\]+$")] = Field(
        description="folder that driver and workers see; a round's pages lie there until they are committed"
    )
    # --- politeness
    delay: Seconds = Field(1.0, description="seconds between the starts of two requests to a host, at least")
    adaptive: bool = Field(True, description="wait longer where a host answers slowly (AutoThrottle)")
    target_concurrency: Annotated[float, Field(gt=0, le=64)] = Field(
        1.0, description="requests that an adaptive delay lets overlap on average"
    )
    max_delay: Seconds = Field(60.0, description="an adaptive delay never makes a host wait longer")
    max_crawl_delay: Seconds = Field(
        600.0, description="a host whose robots.txt asks for a longer Crawl-delay is not crawled"
    )
    # --- ends
    round_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        60.0, description="a round starts no request after it"
    )
    round_pages: Positive = Field(20_000, description="requests a round plans, at most")
    max_pages: Positive = Field(10_000_000, description="addresses a month's crawl asks for, at most")
    max_pages_per_host: Positive = Field(1_000_000, description="of them on one host")
    max_depth: Annotated[int, Field(ge=0, le=1000)] = Field(20, description="links from a seed; redirects count as one")
    max_list_pages: Positive = Field(250, description="pages of one category's list")
    # --- failures
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    backoff_seconds: Seconds = Field(1.0, description="before the second attempt; doubles with each, with jitter")
    backoff_limit: Seconds = Field(300.0, description="no wait before an attempt is longer, Retry-After apart")
    retry_after_limit: Seconds = Field(3600.0, description="a longer Retry-After is cut to this")
    connect_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    read_seconds: Annotated[float, Field(gt=0, le=300)] = Field(20.0, description="without a byte")
    total_seconds: Annotated[float, Field(gt=0, le=900)] = Field(60.0, description="of one request in all")
    # --- safety
    max_body_bytes: Positive = Field(8 << 20, description="as sent")
    max_decoded_bytes: Positive = Field(32 << 20, description="unpacked")
    allow_loopback: bool = Field(False, description="also connect to 127.0.0.0/8 and ::1, as the embedded site needs")

    @model_validator(mode="after")
    def _can_start(self) -> "CrawlSettings":
        if (self.seeds or self.category_url) and not self.hosts:
            raise ValueError("give crawl.hosts, the hosts whose pages may be crawled")
        if self.category_url is not None and "{cat_id}" not in self.category_url:
            raise ValueError("crawl.category_url needs {cat_id}, the place of the category's id")
        for host in self.hosts:
            if "@" in host or "/" in host:
                raise ValueError("a key of crawl.hosts is no host; give its name alone, without user, scheme or path")
        names = [api.name for api in self.apis]
        if len(set(names)) < len(names):
            raise ValueError("crawl.apis: two have the same name; give each its own")
        for url in [*self.seeds, *([self.category_url] if self.category_url else []), *(api.url for api in self.apis)]:
            parts = urlsplit(url)
            if "@" in url.partition("?")[0]:
                raise ValueError(f"the address of {parts.hostname!r} holds a user or password; leave them out")
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError(f"{url!r} is no http or https address")
        return self

    @property
    def asks_for_pages(self) -> bool:
        """Whether there is something to begin with; otherwise it only says how pictures are fetched."""
        return bool(self.seeds or self.category_url or self.apis)

    @property
    def on_embedded_site(self) -> bool:
        """Whether its addresses name the port of the embedded site, which is known only when that runs."""
        return PORT in self.model_dump_json()

    def at_port(self, port: int) -> "CrawlSettings":
        """The same with the embedded site's port in its place."""
        return CrawlSettings.model_validate_json(self.model_dump_json().replace(PORT, str(port)))

    @property
    def user_agent(self) -> str:
        """The User-Agent header, the same in every request."""
        return f"{self.agent}/1.0 (+{self.contact})"


# Stands in seeds, category_url, hosts and apis for the port of the embedded site.
PORT = "{port}"
# R3's addresses, and where the embedded site has its product pages.
DEFAULT_KINDS: dict[PageKind, list[str]] = {
    "tree": ["/category/category.nhn"],
    "list": ["/search/category.nhn"],
    "product": ["/product/*"],
}
