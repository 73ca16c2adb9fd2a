"""Crawl a month: pages from the allowed hosts and APIs into `pages`, politely, and resumable wherever it stops.

spark-submit jobs/crawl.py --conf conf/local.yaml --month 2026-01      (--force asks again for what failed)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from lib import artefact, manifest, tables
from lib.categories.taxonomy import read_taxonomy, taxonomy_path
from lib.command import run_stage_job
from lib.config import Config
from lib.crawl.counters import counters, states
from lib.crawl.crawl import Crawl
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.marketplace.site.process import serving
from schemas.pages import PAGES

# How fast and in what portions it crawls changes nothing of what it finds.
STAGE = Stage(
    "crawl",
    revision=1,
    config_keys=(
        "crawl.hosts", "crawl.seeds", "crawl.category_url", "crawl.kinds", "crawl.apis", "crawl.detail_share",
        "crawl.max_pages", "crawl.max_pages_per_host", "crawl.max_depth", "crawl.max_list_pages", "crawl.agent",
        "crawl.max_body_bytes", "crawl.max_decoded_bytes", "market",
    ),
)  # fmt: skip


def run(spark: SparkSession, config: Config, month: str, force: bool = False) -> Manifest:
    """Crawl the month unless it is crawled already; a crawl that was stopped goes on where its pages end."""
    if config.crawl is None:
        raise UserError("this configuration has no crawl section; take conf/local.yaml or add one (README, Crawl)")
    if not config.crawl.asks_for_pages:
        raise UserError("give crawl.seeds, crawl.category_url or crawl.apis: there is nothing to begin with")
    _check_same_market(config, month)
    needs_leaves = config.crawl.category_url is not None or bool(config.crawl.apis)
    inputs = {"taxonomy": artefact.sha256(taxonomy_path(config.categories.taxonomy, month))} if needs_leaves else {}

    def work(_key: str) -> Outcome:
        leaves = read_taxonomy(config.categories, month)[0] if needs_leaves else []
        with reachable(config, month, STAGE.name) as reached:
            assert reached.crawl is not None
            crawl = Crawl(spark, reached.crawl, config.storage.warehouse, month)
            crawl.run([(leaf.cat_id, leaf.path[-1]) for leaf in leaves], try_again=force)
        exits = states(crawl.frontier)
        outcome = Outcome(rows_in=sum(exits.values()), exits=exits, facts=counters(crawl.frontier))
        where = {"month": month}
        outcome.wrote(PAGES, where, tables.fingerprint(spark, config.storage.warehouse, PAGES, **where))
        return outcome

    return run_stage(spark, STAGE, config, month, inputs, work, tables_written={"pages": PAGES}, force=force)


def _check_same_market(config: Config, month: str) -> None:
    """Refuse to take pages of a market for those of another: a stored page is not fetched again."""
    last = manifest.find(config.storage.warehouse, STAGE.name, month)
    given = {**config.at("market"), "site": None} if config.market is not None else None
    before = last.settings["market"] if last is not None else given
    if before is not None and {**before, "site": None} != given:
        raise UserError(
            f"{month} was crawled from another market than this configuration's, and its pages are stored in "
            f"{config.storage.warehouse}; name another storage.warehouse, or delete that one (make clean)"
        )


@contextmanager
def reachable(config: Config, month: str, stage: str) -> Iterator[Config]:
    """The configuration with the port of the embedded site, which runs meanwhile, if the stage's section names it."""
    sections = {"crawl": config.crawl, "images": config.images}
    named = {name: section for name, section in sections.items() if section is not None and section.on_embedded_site}
    if stage not in named:
        yield config
        return
    if config.market is None:
        raise UserError(
            f"{stage} names {{port}}, the embedded site's, but there is no market section to serve; name a port"
        )
    with serving(config.market, month, remembered=Path(config.storage.state) / "site.port") as port:
        yield config.model_copy(update={name: section.at_port(port) for name, section in named.items()})


if __name__ == "__main__":
    run_stage_job("crawl", __doc__, run)
