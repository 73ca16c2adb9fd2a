"""Pages as the sites sent them, kept raw so that a parser can be mended without another crawl."""

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from schemas.frontier import address_columns
from schemas.table import MONTH_CHECK, Table, WriteMode, column

# Delta enforces no NOT NULL within arrays and refuses to pretend.
HEADER = StructType([StructField("name", StringType()), StructField("value", StringType())])
LINK = StructType([StructField("url", StringType()), StructField("kind", StringType())])

PAGES = Table(
    name="pages",
    row="one answer to one address, body kept raw",
    key=("month", "url"),
    struct=StructType(
        [
            *address_columns(),
            column("round", IntegerType(), "round of the crawl that fetched it", nullable=False),
            column("attempts", IntegerType(), "requests made for it", nullable=False),
            column("status", IntegerType(), "HTTP status", nullable=False),
            column("headers", ArrayType(HEADER, False), "of the answer, cookies apart", nullable=False),
            column("content_type", StringType(), "Content-Type header"),
            column("etag", StringType(), "ETag header"),
            column("last_modified", StringType(), "Last-Modified header"),
            column("body", BinaryType(), "content, unpacked as the site sent it and gzipped by us; of status 200 only"),
            column("body_bytes", LongType(), "bytes of the unpacked content", nullable=False),
            column("sent_bytes", LongType(), "bytes of the body on the wire", nullable=False),
            column("hash", StringType(), "SHA-256 of the unpacked content; for a 304 that of the row that holds it"),
            column("body_month", StringType(), "month of the row that holds the body; this month but for a 304"),
            column("links", ArrayType(LINK, False), "addresses found in it that may be followed", nullable=False),
            column("requested_at", TimestampType(), "when it was asked for", nullable=False),
            column("seconds", DoubleType(), "until the answer was complete", nullable=False),
        ]
    ),
    write_mode=WriteMode.APPEND_ONCE,
    slice=("month",),
    checks={**MONTH_CHECK, "status_is_a_status": "status BETWEEN 100 AND 599"},
    keep_months=12,
    kept_while="a body as long as a kept 304 refers to it",
)
