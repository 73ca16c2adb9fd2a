"""Promotion of a month's model: decisions on tiny models, and what runs twice, out of order, at once or half."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import promote
from lib import config as configuration
from lib import manifest, registry, tables
from lib.artefact import Artefact
from lib.artefact import load as load_artefact
from lib.config import Config, TextSettings
from lib.errors import UserError
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.promotion import month_promotion
from lib.promotion.gates import FAILED, NOT_JUDGED, PASSED, Gate, comparison_gate
from lib.promotion.override import Note, Override
from lib.registry import Standing
from lib.text.tokenizers import TokenizerSettings
from schemas.audit_sample import AUDIT_SAMPLE
from schemas.products import PRODUCTS
from schemas.reviews import REVIEWS
from schemas.taxonomy import TAXONOMY
from schemas.tokens import TOKENS
from tests.brandless import NO_BRANDS
from tests.scoring import tiny_model
from tests.scoring.tiny_model import LEAVES, NAMES

FIRST, SECOND, THIRD = "2026-01", "2026-02", "2026-03"
# What the first month knew: its third leaf was replaced since.
OLD_LEAVES = [*LEAVES[:2], ("190", ["의류"])]
TEST = [*NAMES] * 10
# Of sixty rows of six names a margin of .3 point says nothing; and sixty rows take no time that could be compared.
PROMOTE = {
    "margin_small": 0.4, "audit_margin": 0.5, "audit_min_rows": 5, "calibration_error": 0.5, "latency_ratio": 100,
    "latency_batches": 2,
}  # fmt: skip
NOTE = Note("J. Kim", "the feed was late")


@dataclass
class World:
    """A warehouse with trained months, and a registry of its own.

    Attributes:
        spark: None where no test reads a table.
        models: month -> what training made in it.
    """

    spark: SparkSession | None
    config: Config
    conf: Path
    models: dict[str, Artefact]

    @property
    def warehouse(self) -> str:
        return self.config.storage.warehouse

    @property
    def standing(self) -> Standing:
        return registry.standing(self.config.registry_store, self.config.registry.name)

    def train(self, month: str, model: Artefact | None = None) -> str:
        """Register the month's model, or another for it, as training does."""
        made = model or self.models[month]
        version = registry.register(self.config.registry_store, made, {}, {}, name=self.config.registry.name)
        finish(self.spark, self.config, month, "train", {"model": made}, {"version": version})
        return version

    def promote(self, month: str, force: bool = False, override: Override | None = None) -> Manifest:
        return promote.run(self.spark, self.config, month, force, override)


def finish(
    spark: SparkSession | None,
    config: Config,
    month: str,
    stage: str,
    made: dict[str, Artefact],
    facts: dict[str, object],
) -> None:
    run_stage(spark, Stage(stage, 1, ()), config, month, {}, lambda _: Outcome(artefacts=made, facts=facts), force=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with the models of two months and nothing else."""
    root = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        # The first month's model learnt from another tokenizer's tokens, and the leaf of its time.
        patch.setattr(tiny_model, "NAMES", [(name, cat_id.replace("200", "190")) for name, cat_id in NAMES])
        text = TextSettings(tokenizer="mecab", max_name_length=60)
        patch.setattr(tiny_model, "TEXT", text)
        patch.setattr(tiny_model, "TOKENIZER_KEY", TokenizerSettings.of(text).key)
        tiny_model.make(str(root / "warehouse"), FIRST, 12, OLD_LEAVES)
    tiny_model.make(str(root / "warehouse"), SECOND, 12)
    return root


def write_tables(spark: SparkSession, warehouse: str) -> None:
    """Tokens and products of two months, the second's taxonomy, and answers."""
    for month, tokenizer in ((FIRST, "mecab"), (SECOND, "whitespace")):
        made_by = TokenizerSettings.of(TextSettings(tokenizer=tokenizer)).key
        where = {"month": month, "batch": f"{month}-01"}
        leaf = {"200": "190"} if month == FIRST else {}
        tokens = [
            (*where.values(), f"a:{at}", name, name.split(), [], NO_BRANDS, leaf.get(cat_id, cat_id), "test", made_by)
            for at, (name, cat_id) in enumerate(TEST)
        ]
        tables.write(spark.createDataFrame(tokens, TOKENS.struct), warehouse, TOKENS, where)
        rows = [
            {**where, "product_id": f"a:{at}", "prod_nm": name, "mall_id": "a", "source": "s"}
            for at, (name, _) in enumerate(TEST)
        ]
        offers = [tuple(row.get(name) for name in PRODUCTS.struct.names) for row in rows]
        tables.write(spark.createDataFrame(offers, PRODUCTS.struct), warehouse, PRODUCTS, where)
    leaves = [(SECOND, "190", ["의류"], "200"), *((SECOND, cat_id, path, None) for cat_id, path in LEAVES)]
    tables.write(spark.createDataFrame(leaves, TAXONOMY.struct), warehouse, TAXONOMY, {"month": SECOND})
    write_answers(spark, warehouse)


def write_answers(spark: SparkSession, warehouse: str) -> None:
    """Six offers of the first month that people answered: five as the models do, one otherwise."""
    said = [*(cat_id.replace("200", "190") for _, cat_id in NAMES[:5]), "100"]
    drawn = [(FIRST, f"{FIRST}-01", f"a:{at}", None, "식품", 10.0, at + 1) for at in range(6)]
    tables.write(spark.createDataFrame(drawn, AUDIT_SAMPLE.struct), warehouse, AUDIT_SAMPLE, {"month": FIRST})
    when = "2026-02-01T10:00:00+00:00"
    rows = [(FIRST, "audit", f"a:{at}", "kim", cat_id, None, None, when) for at, cat_id in enumerate(said)]
    tables.merge(spark.createDataFrame(rows, REVIEWS.struct), warehouse, REVIEWS)


@pytest.fixture
def world(template: Path, tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """A copy of the template; the store of the registry is shared, the registered model is the test's own."""
    shutil.copytree(template / "warehouse", tmp_path / "warehouse")
    market = yaml.safe_load(Path("conf/local.yaml").read_text(encoding="utf-8"))["market"]
    settings = {
        "storage": {
            "warehouse": str(tmp_path / "warehouse"), "state": str(template / "state"),
            "reports": str(tmp_path / "reports"),
        },
        "market": market, "promote": PROMOTE, "registry": {"name": re.sub(r"[^A-Za-z0-9]+", "_", request.node.name)},
    }  # fmt: skip
    conf = tmp_path / "conf.yaml"
    conf.write_text(yaml.safe_dump(settings, allow_unicode=True))
    models = tmp_path / "warehouse" / "artefacts" / "model"
    first, second = models / FIRST / "tiny312", models / SECOND / "tiny312"
    found = {FIRST: load_artefact(first), SECOND: load_artefact(second)}
    return World(None, configuration.load(conf), conf, found)


@pytest.fixture
def all_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models pass whatever is asked of them, and no table ever changes; only brakes are left."""
    judged_as(monkeypatch, Gate("calibration", PASSED, "Calibrated."))
    monkeypatch.setattr(tables, "fingerprint", lambda *_, **__: "same")
    monkeypatch.setattr(tables, "exists", lambda *_: False)


def judged_as(monkeypatch: pytest.MonkeyPatch, *found: Gate) -> None:
    monkeypatch.setattr(month_promotion.MonthPromotion, "_alone", lambda self: list(found))
    monkeypatch.setattr(month_promotion.MonthPromotion, "_against", lambda self, rival: list(found))


def status(done: Manifest, name: str) -> str:
    return next(str(gate["status"]) for gate in done.facts["gates"] if gate["name"] == name)


def test_two_months_by_hand(spark: SparkSession, world: World) -> None:
    world.spark = spark
    write_tables(spark, world.warehouse)
    world.train(FIRST)
    first = world.promote(FIRST)
    assert (first.facts["decision"], world.standing) == ("first", Standing("1", None))
    assert [gate["name"] for gate in first.facts["gates"]] == ["drift", "order", "rollback", "calibration"]

    world.train(SECOND)
    second = world.promote(SECOND)
    assert (second.facts["decision"], world.standing) == ("promoted", Standing("2", "1"))
    assert {key: second.facts[key] for key in ("candidate", "champion", "previous", "override")} == {
        "candidate": "2", "champion": "2", "previous": "1", "override": None,
    }  # fmt: skip
    found = {gate["name"]: gate for gate in second.facts["gates"]}
    # The champion's names were cut by its own tokenizer, its leaf 190 is now 200: it is right of every row too.
    assert (found["month"]["status"], found["month"]["rows"]) == ("passed", 60)
    assert (found["month"]["gains"], found["month"]["losses"]) == (0, 0)
    # Ten offers a name.
    assert found["month"]["effect"] == 10
    assert "fewer than 100,000" in found["month"]["words"]
    # Nobody has answered the month's own sample, so that of the month before counts.
    assert (found["audit"]["status"], found["audit"]["month"], found["audit"]["rows"]) == ("passed", FIRST, 6)
    assert found["categories"]["status"] == "not judged"
    assert found["latency"]["ratio"] > 0
    assert "Not judged: drift, categories." in second.facts["words"]
    json.dumps(second.facts)


def test_too_few_answers_are_counted(spark: SparkSession, world: World) -> None:
    write_answers(spark, world.warehouse)
    more = world.config.promote.model_copy(update={"audit_min_rows": 7})
    world.train(SECOND)
    judged = month_promotion.of(spark, world.config.model_copy(update={"promote": more}), SECOND)
    found = judged._audit_gate([])
    assert (found.status, found.figures["rows"]) == (NOT_JUDGED, 6)
    assert "6 audit offers are answered, and it takes 7" in found.words


def test_a_leaf_that_came_back_stands_for_itself(spark: SparkSession, world: World) -> None:
    world.spark = spark
    for month, replaced in ((FIRST, {"190": "200", "100": "200"}), (SECOND, {"190": "200"})):
        leaves = [(month, cat_id, ["의류"], replaced.get(cat_id)) for cat_id in ("100", "190", "200")]
        tables.write(spark.createDataFrame(leaves, TAXONOMY.struct), world.warehouse, TAXONOMY, {"month": month})
        world.train(month)
    assert month_promotion.of(spark, world.config, FIRST)._replaced_by == {"190": "200", "100": "200"}
    assert month_promotion.of(spark, world.config, SECOND)._replaced_by == {"190": "200"}


@pytest.mark.usefixtures("all_pass")
class TestBrakes:
    """Models pass; what is left is who runs what when."""

    def months(self, world: World) -> None:
        for month in (FIRST, SECOND):
            world.train(month)
            world.promote(month)
        assert world.standing == Standing("2", "1")

    def test_a_poor_candidate_is_kept_and_told_why(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.train(FIRST)
        world.promote(FIRST)
        judged_as(monkeypatch, Gate("month", FAILED, "A point worse."), Gate("audit", NOT_JUDGED, "Nobody answered."))
        world.train(SECOND)
        done = world.promote(SECOND)
        assert (done.facts["decision"], world.standing) == ("kept", Standing("1", None))
        assert done.facts["words"] == "Version 2 stays candidate and version 1 stays champion. A point worse."
        assert (done.facts["candidate"], done.facts["champion"], done.facts["previous"]) == ("2", "1", None)

    def test_a_month_again_moves_nothing_also_after_a_rollback(self, world: World) -> None:
        self.months(world)
        assert world.promote(SECOND).skipped
        month_promotion.roll_back(world.config, NOTE)
        assert world.standing == Standing("1", "2")
        for month in (FIRST, SECOND):
            again = world.promote(month)
            assert (again.skipped, again.facts["decision"]) == (True, "first" if month == FIRST else "promoted")
        # Judged anew it still is the version that a person took back.
        forced = world.promote(SECOND, force=True)
        assert (forced.facts["decision"], status(forced, "rollback")) == ("kept", "failed")
        assert "J. Kim rolled this version back" in forced.facts["words"]
        assert "the feed was late" in forced.facts["words"]
        assert world.standing == Standing("1", "2")
        told = world.promote(SECOND, override=Override(frozenset({"rollback"}), NOTE))
        assert (told.facts["decision"], world.standing) == ("promoted", Standing("2", "1"))

    def test_what_was_said_of_a_rollback_is_not_said_of_the_next(self, world: World) -> None:
        self.months(world)
        month_promotion.roll_back(world.config, NOTE)
        world.promote(SECOND, override=Override(frozenset({"rollback"}), NOTE))
        assert world.standing == Standing("2", "1")
        month_promotion.roll_back(world.config, NOTE)
        again = world.promote(SECOND, force=True)
        assert (again.facts["decision"], status(again, "rollback")) == ("kept", "failed")
        assert world.standing == Standing("1", "2")

    def test_the_champion_stands_by_the_decision_that_made_it_so(self, world: World) -> None:
        self.months(world)
        made = world.promote(SECOND)
        again = world.promote(SECOND, force=True)
        assert (again.skipped, again.facts["decision"], again.facts) == (False, "promoted", made.facts)
        only = world.config.promote.model_copy(update={"keep_champion": True})
        judged = promote.run(world.spark, world.config.model_copy(update={"promote": only}), SECOND)
        assert (judged.skipped, judged.facts) == (False, made.facts)
        # After a later month's rollback `previous` is as that left it, and not as it was decided once.
        world.train(THIRD, self.another(world))
        world.promote(THIRD)
        month_promotion.roll_back(world.config, NOTE)
        assert world.promote(SECOND, force=True).facts == made.facts
        assert world.standing == Standing("2", "3")

    def test_another_model_of_the_champions_month_is_judged(self, world: World) -> None:
        self.months(world)
        world.train(SECOND, self.another(world))
        assert world.promote(SECOND).facts["candidate"] == "3"
        assert world.standing == Standing("3", "2")

    def another(self, world: World) -> Artefact:
        """A third model."""
        place = Path(world.warehouse) / "artefacts/model" / THIRD / "x"
        return load_artefact(shutil.copytree(world.models[FIRST].folder, place))

    def test_a_champion_that_was_named_by_hand_is_kept(self, world: World) -> None:
        world.train(FIRST)
        registry.crown(world.config.registry_store, "1", None, world.config.registry.name)
        done = world.promote(FIRST)
        assert done.facts["decision"] == "kept"
        assert "is the champion already" in done.facts["words"]
        assert world.standing == Standing("1", None)

    def test_an_older_month_replaces_no_newer_one_unless_told_to(self, world: World) -> None:
        world.train(SECOND)
        world.promote(SECOND)
        world.train(FIRST)
        older = world.promote(FIRST)
        assert (older.facts["decision"], status(older, "order")) == ("kept", "failed")
        assert "which is later than 2026-01" in older.facts["words"]
        told = world.promote(FIRST, override=Override(frozenset({"order"}), NOTE))
        assert (told.facts["decision"], world.standing) == ("promoted", Standing("2", "1"))

    def test_a_month_that_has_not_begun_is_not_promoted(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(month_promotion, "current_month", lambda config: FIRST)
        world.train(SECOND)
        early = world.promote(SECOND)
        assert (early.facts["decision"], world.standing.champion) == ("kept", None)
        assert "Month 2026-02 has not begun; now is 2026-01." in early.facts["words"]
        monkeypatch.setattr(month_promotion, "current_month", lambda config: SECOND)
        assert world.promote(SECOND).facts["decision"] == "first"

    def test_drift_stops_until_somebody_overrules_it(self, world: World) -> None:
        world.train(SECOND)
        finish(world.spark, world.config, SECOND, "drift", {}, {"drifted": True, "words": "Mall bada sent half."})
        stopped = world.promote(SECOND)
        assert (stopped.facts["decision"], stopped.facts["override"]) == ("kept", None)
        assert "Mall bada sent half." in stopped.facts["words"]
        told = world.promote(SECOND, override=Override(frozenset({"drift"}), NOTE))
        assert (told.facts["decision"], world.standing.champion) == ("first", "1")
        assert told.facts["override"] == {"who": "J. Kim", "why": "the feed was late", "gates": ["drift"]}
        assert "J. Kim overruled drift: the feed was late" in told.facts["words"]
        # Airflow's retry does not repeat the flags.
        assert world.promote(SECOND).skipped
        assert world.promote(SECOND, force=True).facts["override"] == told.facts["override"]

    def test_a_champion_that_nobody_can_compare_with_stays_until_somebody_overrules_it(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.train(FIRST)
        world.promote(FIRST)
        calibrated = Gate("calibration", PASSED, "Calibrated.")
        judged_as(monkeypatch, comparison_gate("install that version and dictionary"), calibrated)
        world.train(SECOND)
        assert (world.promote(SECOND).facts["decision"], world.standing) == ("kept", Standing("1", None))
        told = world.promote(SECOND, override=Override(frozenset({"comparison"}), NOTE))
        assert (told.facts["decision"], world.standing) == ("promoted", Standing("2", "1"))
        assert "J. Kim overruled comparison: the feed was late" in told.facts["words"]

    def test_a_backfill_only_judges(self, world: World) -> None:
        world.train(FIRST)
        only = world.config.promote.model_copy(update={"keep_champion": True})
        done = promote.run(world.spark, world.config.model_copy(update={"promote": only}), FIRST)
        assert (done.facts["decision"], world.standing.champion) == ("kept", None)
        assert "was only judged" in done.facts["words"]
        assert status(done, "calibration") == "passed"

    def test_a_champion_whose_files_are_gone_is_compared_with_no_more(self, world: World) -> None:
        self.months(world)
        other = self.another(world)
        (world.models[SECOND].folder / "manifest.json").unlink()
        world.train(SECOND, other)
        done = world.promote(SECOND)
        # Compared with the version before, which stays the one to return to.
        assert (done.facts["decision"], done.facts["rival"]) == ("promoted", "1")
        assert "in place of version 2, whose files are gone" in done.facts["words"]
        assert world.standing == Standing("3", "1")

    def test_a_candidate_whose_files_are_gone_is_one_sentence(self, world: World) -> None:
        world.train(SECOND)
        (world.models[SECOND].folder / "manifest.json").unlink()
        with pytest.raises(UserError, match="unfinished"):
            world.promote(SECOND)

    @pytest.mark.parametrize("killed_at", ["previous", "champion", "manifest"])
    def test_killed_it_ends_as_it_was_decided(
        self, world: World, monkeypatch: pytest.MonkeyPatch, killed_at: str
    ) -> None:
        versions = sys.modules["lib.registry.versions"]
        world.train(FIRST)
        world.promote(FIRST)
        world.train(SECOND)
        original, store = versions.set_alias, manifest._store

        def killed(state: str, alias: str, version: str, name: str) -> None:
            original(state, alias, version, name)
            if alias == killed_at:
                raise KeyboardInterrupt

        monkeypatch.setattr(versions, "set_alias", killed)
        if killed_at == "manifest":
            monkeypatch.setattr(manifest, "_store", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            world.promote(SECOND)
        monkeypatch.setattr(versions, "set_alias", original)
        monkeypatch.setattr(manifest, "_store", store)
        assert world.standing.champion in ("1", "2")
        done = world.promote(SECOND)
        assert (done.facts["decision"], world.standing) == ("promoted", Standing("2", "1"))
        assert world.promote(SECOND).skipped

    def test_of_two_at_once_one_decides_and_the_other_says_who(self, world: World) -> None:
        world.train(FIRST)
        with holding(world) as holder, pytest.raises(UserError, match=f"decided on by another run \\(process {holder}"):
            world.promote(FIRST)
        assert world.standing.champion is None
        assert world.promote(FIRST).facts["decision"] == "first"


def raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def holding(world: World) -> "Holder":
    return Holder(world)


class Holder:
    """Another process that is deciding."""

    def __init__(self, world: World) -> None:
        code = (
            "import sys; from pathlib import Path; from lib.lock import only_one\n"
            "with only_one(Path(sys.argv[1]), 'x'):\n    print('held', flush=True); sys.stdin.read()"
        )
        place = Path(world.warehouse) / "manifests" / "promote" / "lock"
        command = [sys.executable, "-c", code, str(place)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> int:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"
        return self.process.pid

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


def command_line(monkeypatch: pytest.MonkeyPatch, *given: str) -> None:
    monkeypatch.setattr(sys, "argv", ["promote.py", *given])
    promote.main()


@pytest.fixture
def crowned(world: World) -> World:
    """Two months, both champion in their time."""
    for month in (FIRST, SECOND):
        world.train(month)
    store, name = world.config.registry_store, world.config.registry.name
    registry.crown(store, "1", None, name)
    registry.crown(store, "2", "1", name)
    return world


def test_rollback_by_command_line(
    crowned: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--conf", str(crowned.conf), "--rollback", "--who", "J. Kim", "--why", "shoes in lamps"]
    command_line(monkeypatch, *given)
    assert "version 1 is champion again; version 2 is `previous`" in capsys.readouterr().out
    assert crowned.standing == Standing("1", "2")
    (kept,) = (Path(crowned.warehouse) / "manifests" / "rollbacks").glob("*.json")
    record = json.loads(kept.read_text(encoding="utf-8"))
    assert (record["champion"], record["withdrawn"], record["who"]) == ("1", "2", "J. Kim")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--rollback", "--who", "J. Kim"], "give --why"),
        (["--rollback", "--who", "J. Kim", "--why", "a\nb"], "--why must be one line"),
        (["--rollback", "--who", "J. Kim", "--why", "it"], "no previous champion"),
        (["--rollback", "--override-drift", "--who", "J. Kim", "--why", "it"], "--rollback judges no month"),
        (["--month", FIRST, "--override-drift", "--who", " "], "--override-drift is recorded with a name"),
        (["--month", FIRST, "--why", "it"], "give --override-drift"),
    ],
)
def test_command_line_refuses_in_one_sentence(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    said: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(monkeypatch, "--conf", str(world.conf), *given)
    assert ended.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error


def test_a_month_without_a_model_is_refused(world: World) -> None:
    with pytest.raises(UserError, match="train has not finished for month 2027-05"):
        world.promote("2027-05")
