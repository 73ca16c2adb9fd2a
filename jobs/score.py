"""Label products: a month of the warehouse, or a plain file of names.

spark-submit jobs/score.py --conf conf/local.yaml --month 2026-01
spark-submit jobs/score.py --model champion --input names.tsv --mapping name=prod_nm,id=product_id --output labelled
"""

from argparse import Namespace
from pathlib import Path

from pyspark.sql import SparkSession

from lib import command, config, tables
from lib.chunks import Chunks
from lib.config import Config
from lib.errors import UserError
from lib.lock import only_one
from lib.manifest import Manifest, Outcome, Stage, run_stage
from lib.session import open_session
from schemas.predictions import PREDICTIONS
from schemas.tokens import TOKENS

STAGE = Stage("score", revision=3, config_keys=())


def run(spark: SparkSession, config: Config, month: str, force: bool = False, model: str | None = None) -> Manifest:
    """The month's tokens -> `predictions` of one model version."""
    # Here, so that what imports every job does not start TensorFlow for Spark-only stages.
    from lib.scoring import chosen, month_scores, pictures

    warehouse = config.storage.warehouse
    scoring = chosen.choose(config, model or config.score.model)
    tokens = tables.fingerprint(spark, warehouse, TOKENS, month=month)
    seen = pictures.fingerprint(spark, warehouse, month, scoring.picture)
    inputs = {"tokens": str(tokens), "model": scoring.content, "version": scoring.version, **seen}
    inputs["thresholds"] = scoring.routed_by

    def work(key: str) -> Outcome:
        chunks = Chunks(Path(config.score.staging).resolve() / f"score-{month}-{key}")
        # Another run would take this one's staged answers away when it has stored its own.
        with only_one(Path(warehouse) / "manifests" / STAGE.name / f"{month}.lock", f"{month} is being scored"):
            outcome = month_scores.score_month(spark, warehouse, month, scoring, config.score.chunk_rows, chunks)
        outcome.rows_in = tokens.rows
        return outcome

    written = {"predictions": PREDICTIONS}
    return run_stage(spark, STAGE, config, month, inputs, work, tables_written=written, force=force)


def score_file(given: Namespace, loaded: Config) -> None:
    """Label the file that the command line names."""
    from lib.scoring import chosen, names_file

    names = names_file.NamesFile(Path(given.input), names_file.parse_mapping(given.mapping))
    scoring = chosen.choose(loaded, given.model or loaded.score.model)
    spark = open_session(loaded.spark, f"catmatch score {names.path.name}")
    done = names_file.label_file(spark, names, scoring, Path(given.output), given.format)
    print(f"{done.scored} rows labelled into {given.output}, {done.rejected} without a usable name in its rejects/")


def main() -> None:
    """Parse the command line; --month and --input exclude each other."""
    parser = command.parser(__doc__ or "")
    parser.add_argument("--model", help="alias, version or artefact folder (default: score.model)")
    parser.add_argument("--month", type=command.month, help="score this month of the warehouse into `predictions`")
    parser.add_argument("--force", action="store_true", help="score the month even if nothing changed")
    parser.add_argument("--input", help="file of names: .tsv, .csv, .jsonl (or .gz of one), .parquet")
    parser.add_argument("--mapping", help="column=field,… ; fields: prod_nm (required), product_id, mall_cat_nm_1..4")
    parser.add_argument("--output", help="new folder for the labelled rows")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of the output")
    command.guarded(lambda: _run(parser.parse_args()))


def _run(given: Namespace) -> None:
    loaded = config.load(given.conf, given.overrides)
    by_file = [given.input, given.mapping, given.output]
    if given.month and not any(by_file):
        run(open_session(loaded.spark, f"catmatch score {given.month}"), loaded, given.month, given.force, given.model)
    elif all(by_file) and not given.month:
        score_file(given, loaded)
    else:
        raise UserError("give either --month, or --input, --mapping and --output together")


if __name__ == "__main__":
    main()
