"""Configuration: what is accepted, and the one sentence for what is not."""

from pathlib import Path

import pytest

from lib import config
from lib.errors import UserError

MINIMAL = "storage: {warehouse: w, state: s, reports: r}\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    place = tmp_path / "some.yaml"
    place.write_text(MINIMAL + "spark: {shuffle_partitions: 3}\n")
    return place


def test_reads_values_and_keeps_defaults(conf: Path) -> None:
    loaded = config.load(conf)
    assert loaded.spark.shuffle_partitions == 3
    assert loaded.spark.master == "local[*]"


def test_override_sets_one_nested_value(conf: Path) -> None:
    assert config.load(conf, ["spark.shuffle_partitions=9"]).spark.shuffle_partitions == 9


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("spark.shuffel=3", "spark.shuffel is not a known key; spark accepts master, driver_memory"),
        ("sparc.x=3", "sparc is not a known key; the file accepts storage, spark"),
        ("spark.shuffle_partitions=many", "spark.shuffle_partitions = 'many'"),
        ("spark.shuffle_partitions=0", "spark.shuffle_partitions = 0: Input should be greater than 0"),
        ("spark.log_level=LOUD", "'DEBUG', 'INFO', 'WARN', 'ERROR' or 'OFF'"),
        ("storage.state=s3://bucket/state", "storage.state must be a local or mounted folder"),
        ("storage.warehouse=s3://bucket/w", "storage.warehouse must be a local or mounted folder"),
        ("storage.warehouse=''", "storage.warehouse = ''"),
        ("train.epochs=2026-13-01", "'2026-13-01' is no YAML value"),
        ("train.epochs=" + "[" * 3000, "is no YAML value"),
        ("ingest.sources=[]", "ingest.sources = []"),
        ("storage.warehouse.deeper=1", "storage.warehouse is a single value"),
        ("nonsense", "write it as section.key=value"),
        ("spark.driver_memory=[", "is no YAML value"),
    ],
)
def test_mistakes_are_one_sentence_with_the_key(conf: Path, override: str, expected: str) -> None:
    with pytest.raises(UserError) as raised:
        config.load(conf, [override])
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


CRAWL = "contact: a@b.example, staging: x, hosts: {shop.example: {}}"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (CRAWL, "give crawl.seeds, crawl.category_url or crawl.apis: there is nothing to begin with"),
        (f"{CRAWL}, category_url: 'http://shop.example/list'", "crawl.category_url needs {cat_id}"),
        (f"{CRAWL}, seeds: ['ftp://shop.example/']", "'ftp://shop.example/' is no http or https address"),
        (f"{CRAWL}, seeds: [shop.example]", "'shop.example' is no http or https address"),
        (
            f"{CRAWL}, seeds: ['http://me:a-secret@shop.example/']",
            "the address of 'shop.example' holds a user or password",
        ),
        ("staging: x, hosts: {a: {}}, seeds: ['http://a/']", "crawl.contact is required"),
        ("contact: a, staging: x, hosts: {}, seeds: ['http://a/']", "crawl.hosts"),
        (f"{CRAWL}, seeds: ['http://a/'], kinds: {{page: [x]}}", "crawl.kinds.page"),
    ],
)
def test_a_crawl_that_cannot_start_is_said(tmp_path: Path, section: str, expected: str) -> None:
    place = tmp_path / "crawl.yaml"
    place.write_text(f"{MINIMAL}crawl: {{{section}}}\n")
    with pytest.raises(UserError) as raised:
        config.load(place)
    assert expected in str(raised.value)
    assert "a-secret" not in str(raised.value)


def test_a_crawl_section_may_say_only_how_pictures_are_fetched(tmp_path: Path) -> None:
    place = tmp_path / "crawl.yaml"
    place.write_text(
        f"{MINIMAL}crawl: {{contact: a@b.example, staging: x}}\nimages: {{hosts: {{shop.example: {{}}}}}}\n"
    )
    loaded = config.load(place)
    assert loaded.crawl is not None
    assert not loaded.crawl.asks_for_pages


def test_the_embedded_sites_port_is_put_in_everywhere(tmp_path: Path) -> None:
    place = tmp_path / "crawl.yaml"
    section = "contact: a, staging: x, hosts: {'127.0.0.2:{port}': {}}, seeds: ['http://127.0.0.2:{port}/']"
    place.write_text(f"{MINIMAL}crawl: {{{section}}}\n")
    crawl = config.load(place).crawl
    assert crawl is not None
    assert crawl.on_embedded_site
    served = crawl.at_port(8123)
    assert (list(served.hosts), served.seeds) == (["127.0.0.2:8123"], ["http://127.0.0.2:8123/"])
    assert not served.on_embedded_site


def test_missing_section_is_named(tmp_path: Path) -> None:
    place = tmp_path / "empty.yaml"
    place.write_text("spark: {}\n")
    with pytest.raises(UserError, match="storage is required"):
        config.load(place)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [\n", ""])
def test_file_that_is_no_mapping(tmp_path: Path, content: str) -> None:
    place = tmp_path / "bad.yaml"
    place.write_text(content)
    with pytest.raises(UserError, match="configuration"):
        config.load(place)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read"):
        config.load(tmp_path / "nowhere.yaml")


def test_only_the_data_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATMATCH_DATA", "/data")
    monkeypatch.setenv("SECRET", "hidden")
    place = tmp_path / "some.yaml"
    place.write_text("storage: {warehouse: '${CATMATCH_DATA}/w', state: '${SECRET}', reports: r}\n")
    loaded = config.load(place)
    assert loaded.storage.warehouse == "/data/w"
    assert loaded.storage.state == "${SECRET}"


def test_at_gives_json_values(conf: Path) -> None:
    loaded = config.load(conf)
    assert loaded.at("spark.shuffle_partitions") == 3
    assert loaded.at("storage") == {"warehouse": "w", "state": "s", "reports": "r"}


def test_a_key_that_is_there_twice_is_refused(conf: Path) -> None:
    conf.write_text(MINIMAL + "spark: {shuffle_partitions: 3}\nspark: {shuffle_partitions: 4}\n")
    with pytest.raises(UserError, match=r"is not valid YAML: 'spark' is there twice .*line 3"):
        config.load(conf)


def test_a_key_that_is_no_text_is_refused(conf: Path) -> None:
    conf.write_text(MINIMAL + "? [a]\n: 1\n")
    with pytest.raises(UserError, match="is not valid YAML"):
        config.load(conf)


def test_a_file_that_holds_itself_is_refused(conf: Path) -> None:
    conf.write_text(MINIMAL + "train: &a {epochs: [*a]}\n")
    with pytest.raises(UserError, match=r"holds itself|is not valid YAML"):
        config.load(conf)


SOURCE = "ingest: {staging: s, sources: [{name: a, kind: table, path: p, columns: {prod_nm: n}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (SOURCE + ", batch: 2026-02-30}]}", "is not valid YAML"),
        (SOURCE + ", constants: {mall_id: ''}}]}", "ingest.sources.0.constants.mall_id = ''"),
        (SOURCE + ", separator: '\\u0001'}]}".replace("'", '"'), "ingest.sources.0.separator"),
        (SOURCE.replace("staging: s", "staging: 's[1]'") + "}]}", "ingest.staging = 's[1]'"),
    ],
)
def test_what_a_source_cannot_be(conf: Path, given: str, expected: str) -> None:
    conf.write_text(MINIMAL + given + "\n")
    with pytest.raises(UserError) as refused:
        config.load(conf)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_day_need_not_be_quoted(conf: Path) -> None:
    conf.write_text(MINIMAL + SOURCE + ", batch: 2026-01-05}]}\n")
    ingest = config.load(conf).ingest
    assert ingest is not None
    assert ingest.sources[0].batch == "2026-01-05"
