"""The simulated market and the site it is served on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lib.config.base import Count, Month, Positive, Seconds, Settings, Share


class Mall(Settings):
    """One seller of the simulated market."""

    id: str = Field(pattern=r"^[a-z][a-z0-9]{1,19}$", description="also the stem of its feed file")
    name: str = Field(min_length=1, max_length=30, description="display name")
    size: float = Field(gt=0, description="its offers relative to the other malls' of its half of the list")
    broad: Share = Field(description="share of its offers filed under a word that says nothing, such as '기타'")
    encoding: Literal["utf-8", "cp949"] = "utf-8"
    compression: Literal["none", "gz", "xz"] = "none"


# A client's or the server's fault; other statuses promise something that a fault does not keep.
ErrorStatus = Annotated[int, Field(ge=400, le=599)]
# The last number of an IPv4 address that is a host's.
LAST_ADDRESS = 254


class SiteFaults(Settings):
    """What the site does wrong, as shares of the requests for anything but robots.txt.

    A fault is drawn by the hash of (seed, host, path and query, how often it was asked for): a run can be repeated, and
    what failed once may do better when it is asked for again.
    """

    seed: Count = 0
    statuses: dict[ErrorStatus, Share] = Field(default_factory=dict, description="status code: share answered with it")
    too_many: Share = Field(0, description="answered 429 with Retry-After")
    retry_after: Count = Field(1, description="seconds that a 429 or 503 names")
    slow: Share = Field(0, description="answered after slow_seconds")
    slow_seconds: Seconds = 5.0
    dropped: Share = Field(0, description="the connection is closed before any answer")
    truncated: Share = Field(0, description="the connection is closed in the middle of the body")
    wrong_type: Share = Field(0, description="a page delivered as application/octet-stream of random bytes")
    bombs: Share = Field(0, description="a small gzip body that unpacks to bomb_bytes")
    bomb_bytes: Positive = 256 << 20
    redirect_loops: Share = Field(
        0, description="share of the addresses that redirect to another and back, however often they are asked for"
    )
    endless_pages: bool = Field(False, description="a list has always one more page")
    cp949: bool = Field(False, description="HTML pages are CP949, said in Content-Type")
    new_layout: bool = Field(False, description="pages carry their data under names no parser knows")
    robots: Literal["", "forbid_all", "server_error", "not_found", "garbage"] = Field(
        "", description="what robots.txt is in place of the usual one"
    )
    first_requests: Count = Field(0, description="requests that each host answers well before faults begin")

    @model_validator(mode="after")
    def _one_fault_a_request(self) -> "SiteFaults":
        others = (self.too_many, self.slow, self.dropped, self.truncated, self.wrong_type, self.bombs)
        total = sum(self.statuses.values()) + sum(others)
        # A little over 1 is what floats make of shares that add up to it.
        if total > 1 + 1e-9:
            raise ValueError(
                f"market.site.faults: the shares add up to {total:g}, and a request has one fault at most; "
                "lower them to 1 in all"
            )
        return self


class SiteSettings(Settings):
    """The HTTP site on loopback on which the platform of the simulated market can be crawled."""

    port: int = Field(0, ge=0, le=65535, description="0: a free one")
    # Asked for by name: 127.0.0.2 is the platform, each mall has the next address.
    first_address: int = Field(2, ge=2, le=100, description="last number of the platform's address 127.0.0.x")
    crawl_delay: dict[str, Seconds] = Field(
        default_factory=dict, description="mall id ('platform' for the platform): Crawl-delay in its robots.txt"
    )
    latency_seconds: Seconds = Field(0.0, description="every answer takes at least so long")
    page_size_limit: Positive = Field(100, description="largest pagingSize that is served")
    api_daily_quota: Positive = Field(25_000, description="requests to the search API a day, by Korea's midnight")
    picture_size: int = Field(300, ge=224, le=1024, description="pixels of a picture's side")
    faults: SiteFaults = SiteFaults()


class MarketSettings(Settings):
    """The simulated market (lib/marketplace): how large, how noisy, how hard."""

    deliveries: str = Field(description="folder of the malls' feeds, one folder a month")
    seed: Count
    first_month: Month = Field(description="from here brands are added month by month; earlier months are refused")
    offers_per_month: Positive
    leaves: int = Field(ge=2, le=5000, description="leaf categories")
    tail: float = Field(ge=0, le=3, description="Zipf exponent of the category distribution")
    brands: Positive = Field(description="brands in the first month")
    new_brands_per_month: Count
    new_words_per_month: Positive
    brand_filled: Share = Field(description="share of offers whose brand column is filled")
    label_noise: Share = Field(description="share of offers whose given category is wrong")
    noun_shown: Share = Field(description="share of products whose name says what the thing is")
    modifier_shown: Share = Field(description="share of products whose name says which kind of it")
    stray_words: Share = Field(description="share of products whose name also holds words of another category")
    typos: Share = Field(description="share of offers with a mistyped word")
    feeds: bool = Field(True, description="malls deliver feed files; where false the offers are only on the site")
    site: SiteSettings = SiteSettings()
    malls: list[Mall] = Field(min_length=2, description="two at least: the same offer is sold at several")

    @model_validator(mode="after")
    def _site_has_an_address_for_each_mall(self) -> "MarketSettings":
        first, most = self.site.first_address, LAST_ADDRESS - self.site.first_address
        if len(self.malls) > most:
            raise ValueError(
                f"market.site.first_address = {first} leaves addresses for {most} malls and there are "
                f"{len(self.malls)}; lower it, or have fewer malls"
            )
        strangers = sorted(set(self.site.crawl_delay) - {"platform", *(mall.id for mall in self.malls)})
        if strangers:
            raise ValueError(
                f"market.site.crawl_delay names '{strangers[0]}', which is no mall; name a mall's id or platform"
            )
        return self

    @model_validator(mode="after")
    def _malls_differ(self) -> "MarketSettings":
        ids = [mall.id for mall in self.malls]
        if len(set(ids)) != len(ids):
            raise ValueError("market.malls: two malls have the same id; give each its own")
        return self
