"""Cuts of the shuffled order are exact, whatever the partitioning."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib.shards.cuts import assign, file_count, first_ranks, place, plan


@given(st.integers(1, 10**9), st.integers(1, 500))
def test_files_differ_by_at_most_one_row(rows: int, files: int) -> None:
    starts = [*first_ranks(rows, files).tolist(), rows]
    sizes = {end - start for start, end in pairwise(starts)}
    assert starts[0] == 0
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 10**8), st.integers(1, 5000), st.integers(1, 64))
def test_file_counts_are_a_multiple_and_near_the_target(rows: int, row_bytes: int, multiple: int) -> None:
    files = file_count(rows, row_bytes, 96 << 20, multiple)
    assert files == rows if rows < multiple else files % multiple == 0
    if files > multiple:
        assert rows * row_bytes <= files * (96 << 20)
        assert rows * row_bytes > (files - multiple) * (96 << 20)


@pytest.mark.parametrize("partitions", [1, 5])
def test_every_file_gets_its_planned_rows_in_order(spark: SparkSession, partitions: int) -> None:
    rows = spark.range(1000).select(
        F.concat(F.lit("m:"), "id").alias("product_id"),
        F.lit("2026-01").alias("month"),
        F.when(F.col("id") % 10 == 0, "test").otherwise("train").alias("split"),
    )
    placed = rows.repartition(partitions).withColumn("place", place())
    files = plan(placed.select("split", "place"), {"train": 7, "validation": 0, "test": 3})
    assert [(file.split, file.number) for file in files] == [("train", n) for n in range(7)] + [
        ("test", n) for n in range(3)
    ]
    assert sorted({file.rows for file in files[:7]}) == [128, 129]
    assert [file.rows for file in files[7:]] == [33, 33, 34]
    assert [file.row_id for file in files] == [sum(file.rows for file in files[:n]) for n in range(10)]
    assigned = assign(placed, files)
    assert assigned.rdd.getNumPartitions() == 10
    found = assigned.withColumn("partition", F.spark_partition_id()).collect()
    by_file = {n: [row for row in found if row.file == n] for n in range(10)}
    assert [len(by_file[n]) for n in range(10)] == [file.rows for file in files]
    assert all(len({row.partition for row in by_file[n]}) == 1 for n in by_file)
    places = [row.place for n in range(7) for row in by_file[n]]
    assert places == sorted(places)
    # The shuffle has nothing to do with the order of ids.
    numbers = [int(row.product_id[2:]) for n in range(7) for row in by_file[n]]
    assert abs(sum(numbers[:450]) - sum(numbers[450:])) < 0.2 * sum(numbers)
