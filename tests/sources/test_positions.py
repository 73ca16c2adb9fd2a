"""Line offsets by stretch agree with reading the file from its start."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib.sources.positions import line_starts, with_positions


@given(st.lists(st.binary(max_size=9), max_size=30), st.integers(1, 25))
def test_stretches_share_the_lines_out_without_gap_or_overlap(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], stretch: int
) -> None:
    content = b"\n".join(pieces)
    file = Path(tmp_path_factory.mktemp("positions")) / "a"
    file.write_bytes(content)
    found = [
        int(start)
        for block in range(0, len(content), stretch)
        for start in line_starts(str(file), block, min(stretch, len(content) - block))
    ]
    expected, offset = [], 0
    for line in content.split(b"\n"):
        expected.append(offset)
        offset += len(line) + 1
    if content.endswith(b"\n") or not content:
        expected.pop()  # nothing follows the last newline
    assert found == expected


@pytest.fixture
def adaptive(spark: SparkSession) -> Iterator[None]:
    """Let Spark join small partitions, as it does by default."""
    spark.conf.set("spark.sql.adaptive.enabled", "true")
    yield
    spark.conf.set("spark.sql.adaptive.enabled", "false")


def test_a_bad_row_in_each_stretch_is_found_by_several_tasks(
    spark: SparkSession, tmp_path: Path, adaptive: None
) -> None:
    (tmp_path / f"p{0:019d}.txt").write_bytes(b"good\nbad\n" * 16)
    blocks = spark.createDataFrame(
        [(0, stretch * 9, 9, stretch * 2, 2) for stretch in range(1, 16)],
        "part long, block long, block_bytes long, first_row long, lines long",
    )
    rows = blocks.selectExpr(
        "part", "block", "first_row AS row", "CAST(NULL AS long) AS position", "CAST(NULL AS binary) AS raw"
    )
    located = with_positions(rows, blocks, str(tmp_path), 100)
    found = located.withColumn("task", F.spark_partition_id()).collect()
    assert sorted(row["position"] for row in found) == [stretch * 9 + 5 for stretch in range(1, 16)]
    assert {bytes(row["raw"]) for row in found} == {b"bad"}
    assert len({row["task"] for row in found}) > 1
