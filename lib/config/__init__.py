"""Typed configuration: one YAML per environment, checked whole before anything runs.

Values are overridden on the command line as `--set train.epochs=3`. `${CATMATCH_DATA}` in a string is the folder of
real data (default ../shared/data). Secrets are never configuration: they come from the environment where they are used.
"""

import os
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import to_jsonable_python

from lib.config.base import Count, Fold, Month, Positive, Seconds, Settings, Share, Text
from lib.config.brands import BrandsSettings
from lib.config.crawl import ApiSettings, CrawlSettings, HostSettings, PageKind
from lib.config.drift import DriftSettings
from lib.config.images import BackboneName, BackboneSettings, ImageFeaturesSettings, ImagesSettings
from lib.config.label_audit import LabelAuditSettings
from lib.config.maintain import MaintainSettings
from lib.config.market import Mall, MarketSettings, SiteFaults, SiteSettings
from lib.config.noise import InjectedNoise, NoiseSettings
from lib.config.promote import PromoteSettings
from lib.config.reading import NOT_YAML, read_mapping, sentence
from lib.config.review import ReviewSettings
from lib.config.routing import RoutingSettings
from lib.config.uncertain import UncertainSettings
from lib.errors import UserError

__all__ = [
    "ApiSettings", "BackboneName", "BackboneSettings", "BrandsSettings", "CrawlSettings", "DriftSettings",
    "HostSettings", "ImageFeaturesSettings", "ImagesSettings", "Mall", "MarketSettings", "Month", "PageKind",
    "PromoteSettings", "ReviewSettings", "RoutingSettings", "Seconds", "SiteFaults", "SiteSettings",
]  # fmt: skip
DEFAULT_DATA = "../shared/data"


Dropout = Annotated[float, Field(ge=0, lt=1)]
Loss = Annotated[float, Field(ge=0, le=100)]
Activation = Literal["relu", "elu", "gelu", "tanh", "selu", "silu"]


class Storage(Settings):
    """Where things lie."""

    warehouse: str = Field(
        min_length=1, description="local or mounted folder of the Delta tables, manifests and artefacts"
    )
    state: str = Field(min_length=1, description="local folder of the SQLite stores")
    reports: str = Field(min_length=1, description="folder of the HTML reports")

    @model_validator(mode="after")
    def _are_folders(self) -> "Storage":
        for name in ("warehouse", "state", "reports"):
            if "://" in getattr(self, name):
                raise ValueError(f"storage.{name} must be a local or mounted folder: plain files are kept there too")
        return self


class SparkSettings(Settings):
    """The Spark session."""

    master: str = "local[*]"
    driver_memory: str = Field("4g", pattern=r"^[1-9][0-9]*[mg]$", description="heap of the driver, as Spark writes it")
    shuffle_partitions: Positive = 8
    ui: bool = False
    log_level: Literal["DEBUG", "INFO", "WARN", "ERROR", "OFF"] = "ERROR"
    extra: dict[str, str] = Field(default_factory=dict, description="further spark.* settings")


class EvaluateSettings(Settings):
    """Evaluation of a month's model."""

    batch_size: Positive = 1024
    bootstrap_rounds: Annotated[int, Field(ge=100, le=100_000)] = 1000
    thresholds: list[Share] = Field(default=[0.5, 0.7, 0.8, 0.9, 0.95], max_length=50)
    worst: Annotated[int, Field(ge=1, le=200)] = Field(20, description="worst categories and confusions kept")
    sample_rows: Positive = Field(50_000, description="test names of the month held in memory at most")
    peer: bool = Field(False, description="also train the scikit-learn peer on the same split")
    peer_max_rows: Positive = Field(250_000, description="names the peer learns from at most: it holds them in memory")
    uncertain: UncertainSettings = UncertainSettings()


class ScoreSettings(Settings):
    """Batch prediction."""

    model: str = Field("champion", min_length=1, description="alias, version or artefact folder that scores a month")
    batch_size: Positive = 1024
    threads: Positive = Field(1, description="TensorFlow threads of one Python worker")
    chunk_rows: Positive = Field(2_000_000, description="products between two points that a killed run goes on from")
    staging: Annotated[str, Field(pattern=r"^[^\[\]{}*?\\]+$")] = Field(
        ".run/score", description="folder that driver and workers see; a run's answers lie there until they are stored"
    )


class ReportSettings(Settings):
    """The HTML page of a month."""

    examples: Annotated[int, Field(ge=0, le=20)] = Field(3, description="example names a category")
    name_length: Annotated[int, Field(ge=10, le=1000)] = Field(80, description="characters of a name shown")
    history_months: Annotated[int, Field(ge=1, le=120)] = Field(24, description="months of the accuracy history")


class ModelSettings(Settings):
    """The network (lib/model/build.py); names follow the published system's tuning."""

    features: list[Literal["prod_nm", "cat", "brand"]] = Field(
        default=["prod_nm", "cat", "brand"], min_length=1, max_length=3,
        description="texts that it reads (R1), brands where shards.brand_length says that rows hold them",
    )  # fmt: skip
    text_branch: Literal["grams", "grams_and_words", "textcnn"] = Field(
        default="grams", description="textcnn is the published model; grams win on short noisy names"
    )
    embedding: Literal["random", "word2vec"] = "random"
    freeze_embedding: bool = Field(default=False, description="keep the word vectors as they start")
    embedding_size: Positive = 64
    widths: list[Positive] = Field(default=[1, 2, 3, 4], min_length=1, max_length=16)
    filters: Positive = Field(default=128, description="filters of each width")
    cnn_activation: Activation = "relu"
    fcl_dim: Positive = Field(default=256, description="units of the dense layer of a text branch")
    fcl_activation: Activation = "relu"
    embedding_dropout: Dropout = 0.1
    cnn_dropout: Dropout = 0.3
    fcl_dropout: Dropout = 0.3
    gram_dropout: Dropout = Field(default=0.2, description="share of a name's grams left out at each step")
    bag_size: Positive = Field(default=128, description="width of a gram's vector before the hidden layer")
    bag_dropout: Dropout = 0.1
    bag_straight: bool = Field(default=True, description="these vectors also go straight to the classes")
    gram_spread: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.1, description="standard deviation of fresh gram vectors"
    )
    gram_scale: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=5.0, description="what their sum is multiplied by: how fast they learn"
    )
    gram_fcl_dim: Positive = Field(default=512, description="units of the hidden layer over them")
    gram_fcl_dropout: Dropout = 0.5
    wide_size: Count = Field(default=0, description="width of further gram vectors that go straight to the classes")
    members: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1,
        description="networks of this shape, each trained from its own seed; the mean of their logits answers",
    )
    margin: bool = Field(
        default=True, description="a number for each gram and class, trained one class against the rest"
    )
    margin_weight: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=6.0, description="how much they say in the end, beside the log probabilities"
    )
    image: bool = Field(default=True, description="see the picture, where shards.image says that rows hold one")
    image_fcl_dim: Positive = Field(default=512, description="units of the dense layer over the picture's features")
    image_dropout: Dropout = Field(default=0.3, description="of the picture's features, before that layer")
    image_fcl_dropout: Dropout = 0.3
    image_straight: bool = Field(default=True, description="these features also go straight to the classes")
    fine_tune_from: Text | None = Field(
        default=None,
        description="with shards.image raw: the backbone's first layer that is trained; null: none of them is",
    )


class HeadWeights(Settings):
    """Share of each head's loss in the sum."""

    text_prod_output: Loss = 0.3
    text_cat_output: Loss = 0.3
    img_output: Loss = Field(default=0.3, description="of a model that sees pictures")
    output: Annotated[float, Field(gt=0, le=100)] = 1.0
    margin: Loss = Field(default=1.0, description="the squared hinge loss of model.margin")


class TrainSettings(Settings):
    """How the model is trained (lib/training)."""

    optimizer: Literal["adam", "adagrad", "adadelta", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    rate_batch: Positive | None = Field(
        None,
        description="rows a step that all rates are meant for: another batch_size changes them in proportion; "
        "null: they are taken as they are",
    )
    table_rate: Annotated[float, Field(gt=0, le=1000)] = Field(
        1.0, description="learning rate of the word table as a multiple of the dense weights'"
    )
    gram_optimizer: Literal["adam", "adagrad", "adadelta", "sgd"] | None = Field(
        "adagrad", description="rule of the tables of character grams; null: train.optimizer, as for all else"
    )
    gram_rate: Annotated[float, Field(gt=0, le=10)] = Field(0.05, description="learning rate of the gram vectors")
    margin_rate: Annotated[float, Field(gt=0, le=10)] = Field(0.2, description="learning rate of model.margin")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="of sgd")
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup: Share = Field(0.05, description="share of all steps over which the rate rises from 0")
    floor: Share = Field(0.0, description="share of the rate left at the end of the cosine")
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="decoupled, for dense weights, no biases"
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest global norm of a step's gradient"
    )
    batch_size: Annotated[int, Field(ge=1, le=65536)] = Field(512, description="rows a step, over all replicas")
    epochs: Annotated[int, Field(ge=1, le=1000)] = 5
    patience: Annotated[int, Field(ge=1, le=1000)] = Field(2, description="epochs without a better one before the end")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    heads: HeadWeights = HeadWeights()
    average: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="decay of the moving average of all weights, which is validated and kept; null: no average",
    )
    refit: bool = Field(False, description="train once more on train + validation for the epochs found on validation")
    replicas: Annotated[int, Field(ge=1, le=64)] = Field(1, description="devices that share each batch")
    seed: Count = 0
    deterministic: bool = Field(True, description="the same seed gives the same weights, at some cost on GPUs")
    precision: Literal["float32", "mixed_bfloat16"] = Field(
        "float32", description="of the hidden layers' arithmetic; weights, tables and logits stay float32"
    )
    noise: NoiseSettings = NoiseSettings()
    injected: InjectedNoise = InjectedNoise()
    temperature_rows: Positive = Field(20_000, description="validation rows the temperature is fitted on, at most")
    tensorboard: bool = Field(True, description="write scalars to <storage.state>/tensorboard")

    @model_validator(mode="after")
    def _selfie_has_epochs_after_its_warmup(self) -> "TrainSettings":
        if self.noise.method == "selfie" and self.noise.warmup_epochs >= self.epochs:
            raise ValueError(
                f"noise.warmup_epochs {self.noise.warmup_epochs} leaves no epoch of epochs {self.epochs} to refurbish "
                "labels in; lower it or raise the other"
            )
        if self.noise.method == "selfie" and self.patience < self.noise.warmup_epochs:
            raise ValueError(
                f"patience {self.patience} may end the training within noise.warmup_epochs {self.noise.warmup_epochs}, "
                "before a label is refurbished; raise it or lower the other"
            )
        return self

    @property
    def rate_scale(self) -> float:
        """What all rates are multiplied by (Goyal et al.: Accurate, large minibatch SGD, arXiv 1706.02677)."""
        return 1.0 if self.rate_batch is None else self.batch_size / self.rate_batch


class RegistrySettings(Settings):
    """The MLflow registry of model versions."""

    uri: str | None = Field(None, description="an MLflow server or database; SQLite in storage.state where null")
    name: str = Field("catmatch", pattern=r"^[A-Za-z0-9_.-]+$", description="registered model")


TOKENIZER_OPTIONS: dict[str, tuple[str, ...]] = {
    "okt": ("norm", "stem"),
    "kiwi": ("normalize_coda", "split_complex", "z_coda"),
    "mecab": (),
    "whitespace": (),
}


class TextSettings(Settings):
    """Normalisation and tokens."""

    tokenizer: Literal["okt", "kiwi", "mecab", "whitespace"] = "okt"
    options: dict[str, bool] = Field(default_factory=dict, description="the tokenizer's switches")
    user_dictionary: str | None = Field(default=None, description="UTF-8 file, one word a line; okt and kiwi")
    max_name_length: int = Field(default=200, ge=10, le=10_000, description="characters of a name kept")
    max_eojeol_length: Positive = Field(default=50, description="longer words are not kept in the lexicon")
    fold: Fold | None = Field(
        default=None, description="for studies of small data: that fifth of the name groups is the test side"
    )

    @model_validator(mode="after")
    def _options_are_known(self) -> "TextSettings":
        accepted = TOKENIZER_OPTIONS[self.tokenizer]
        unknown = sorted(set(self.options) - set(accepted))
        if unknown:
            known = ", ".join(accepted) or "none"
            raise ValueError(f"{self.tokenizer} has no option {unknown[0]!r}; it accepts {known}")
        return self


class VocabularySettings(Settings):
    """Which words and character grams get an id."""

    history_months: Positive = Field(default=1, description="months, this one included, whose counts are summed")
    min_count: Positive = Field(default=50, description="occurrences a word needs (R5)")
    min_gram_documents: Positive = Field(default=2, description="products a character gram must occur in")


class Word2vecSettings(Settings):
    """gensim's word2vec."""

    dimensions: Positive = 64
    min_count: Positive = Field(default=50, description="occurrences a word needs for a vector of its own (R5)")
    window: Positive = Field(default=5, description="words on either side that are its context")
    negative: Positive = Field(default=5, description="noise words drawn for each pair")
    epochs: Positive = 5
    skip_gram: bool = True
    workers: Positive = Field(default=1, description="threads; only one gives the same vectors at every run")
    seed: Count = 0


class TaxonomySettings(Settings):
    """Where a month's leaf categories are listed."""

    path: str = Field(
        default="taxonomy/{month}.csv",
        min_length=1,
        description="CSV or TSV (plain, gz, xz); {month} may stand in it",
    )
    format: Literal["csv", "tsv"] = Field(default="csv", description="tsv has no quoting")
    cat_id: str = Field(default="cat_id", description="column of the leaf's id")
    levels: list[str] = Field(
        default=["level1", "level2", "level3", "level4"],
        min_length=1,
        max_length=4,
        description="columns of the path",
    )
    replaced_by: str | None = Field(default=None, description="column of the leaf that took this one's place")
    from_offers: bool = Field(
        default=False, description="there is no list: leaves are the labels of the window's offers, without a tree"
    )
    repeated: bool = Field(
        default=False, description="data that names its leaf in each row: the first path of an id counts"
    )


# Fields of `products` that a source's columns or constants may fill (schemas/products.py says what each holds).
OfferField = Literal[
    "id", "prod_nm", "mall_id", "mall_nm", "mall_cat_nm_1", "mall_cat_nm_2", "mall_cat_nm_3", "mall_cat_nm_4",
    "brnd_nm", "maker_nm", "mall_brnd_nm", "mall_maker_nm", "price", "image_url", "cat_id",
]  # fmt: skip
Encoding = Literal["utf-8", "cp949"]
Batch = Annotated[
    str,
    # YAML reads an unquoted day as a date.
    BeforeValidator(lambda given: given.isoformat() if type(given) is date else given),
    Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"),
]


class SourceMall(Settings):
    """What conf knows of a mall whose file is named after it."""

    name: str | None = Field(default=None, description="display name")
    encoding: Encoding | None = Field(default=None, description="where it is not the source's")


class CategoryPath(Settings):
    """A column that holds a whole category path, such as '옴므>스킨케어>올인원'."""

    column: Text
    separator: Annotated[str, Field(min_length=1, max_length=8)] = ">"
    strip: str = Field(default="", description="characters to take off both ends, such as the brackets of a list")
    label: Annotated[int, Field(ge=-1, le=4)] | None = Field(
        default=None,
        description="the level that is the offer's cat_id, from 1, or -1: the last; the others are the mall's category",
    )

    @model_validator(mode="after")
    def _label_is_a_level(self) -> "CategoryPath":
        if self.label == 0:
            raise ValueError("label 0 is no level; give 1 for the first, or -1 for the last")
        return self


class RowFilter(Settings):
    """A row is taken when its column compares so; the others are rejected as 'excluded_by_filter'."""

    column: Text
    is_: Literal["=", "!=", "<", "<=", ">", ">="] = Field(alias="is", description="numbers compare as numbers")
    value: str | float = Field(description="{month} may stand in a text")

    @field_validator("value", mode="before")
    @classmethod
    def _is_no_truth_and_names_no_other_place(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a column holds texts and numbers; write true and false as texts")
        if isinstance(value, str) and re.search(r"\{\w+\}", value.replace("{month}", "")):
            raise ValueError("only {month} may stand in a value")
        return value


# What a source of crawled pages may say of itself.
PAGES_KEYS = {"name", "kind", "batch", "taxonomy", "missing"}


class Source(Settings):
    """One kind of delivery: where its files lie and how their columns become offers."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    kind: Literal["pages", "ep", "api", "table"] = Field(
        description="crawled pages, EP 3.0 feed, Search API items, or anything with columns"
    )
    path: Text | None = Field(
        default=None, description="glob; {month} may stand in it; plain, .gz or .xz; not for kind pages"
    )
    format: Literal["tsv", "csv", "json", "jsonl", "parquet"] = Field(
        default="tsv", description="tsv has no quoting and is read in parallel; csv is quoted"
    )
    separator: Annotated[str, Field(pattern=r"^[\t -~]$")] | None = Field(
        default=None, description="a tab or a printable ASCII character"
    )
    encoding: Encoding = "utf-8"
    batch: Batch | None = Field(default=None, description="the delivery, YYYY-MM-DD; default the month's first day")
    mall: Text | None = Field(default=None, description="id of the one mall; default: file names up to the first dot")
    malls: dict[str, SourceMall] = Field(default_factory=dict, description="by mall id")
    columns: dict[OfferField, Text] = Field(default_factory=dict, description="field: column, for kind table")
    constants: dict[OfferField, Text] = Field(default_factory=dict)
    category_path: CategoryPath | None = None
    missing: list[str] = Field(default_factory=list, description="texts that stand for 'no value', such as '#'")
    filters: list[RowFilter] = Field(default_factory=list)
    taxonomy: TaxonomySettings | None = Field(
        default=None, description="kinds api and pages: the tree that category1..4 is looked up in for cat_id"
    )

    @model_validator(mode="after")
    def _columns_belong_to_tables(self) -> "Source":
        if (self.kind == "pages") != (self.path is None):
            raise ValueError("pages come from the table `pages` and have no path; every other kind needs a path")
        if self.kind == "pages" and (more := self._given() - PAGES_KEYS):
            raise ValueError(f"{min(more)} is for files; crawled pages take {', '.join(sorted(PAGES_KEYS))}")
        if self.kind == "table" and "prod_nm" not in self.columns:
            raise ValueError("a table needs columns.prod_nm, the column that holds the offer's name")
        if self.kind != "table" and (self.columns or self.constants or self.category_path):
            raise ValueError(f"kind {self.kind} has its own columns; for another mapping use kind: table")
        if self.category_path is not None and self.category_path.label is not None and "cat_id" in self._filled():
            raise ValueError("cat_id has a column or constant of its own, and category_path.label; keep one of them")
        if self.kind == "ep" and self.format != "tsv":
            raise ValueError("an EP feed is tab separated (format: tsv); for another layout use kind: table")
        if self.kind == "api" and self.format not in ("json", "jsonl"):
            raise ValueError("Search API items are JSON (format: json or jsonl)")
        if self.taxonomy is not None and self.kind not in ("api", "pages"):
            raise ValueError("taxonomy is for kinds api and pages; other sources deliver the leaf's id as cat_id")
        return self

    def _filled(self) -> set[str]:
        """The offer fields that have a column or a constant."""
        return {*self.columns, *self.constants}

    def _given(self) -> set[str]:
        """The keys whose value is not the default."""
        fields = type(self).model_fields.items()
        defaults = {name: field.get_default(call_default_factory=True) for name, field in fields}
        return {name for name, default in defaults.items() if getattr(self, name) != default}


class IngestSettings(Settings):
    """Deliveries in, products and rejects out."""

    sources: list[Source] = Field(min_length=1)
    # Spark reads the others as a pattern.
    staging: str = Field(
        pattern=r"^[^\[\]{}*?\\]+$",
        description="folder that driver and workers see; a run's files in it go when it ends",
    )
    max_bytes: Positive = Field(
        default=64 << 30, description="bytes a run may write into staging: the bound of a compressed bomb"
    )
    max_line_bytes: Annotated[int, Field(ge=256, le=64 << 20)] = Field(
        default=1 << 20, description="longer records are rejected"
    )
    max_name_length: Annotated[int, Field(ge=10, le=10_000)] = Field(
        default=1000, description="characters; offers with longer names are rejected"
    )
    max_field_length: Annotated[int, Field(ge=10, le=10_000)] = Field(
        default=500, description="characters; longer brands and categories count as absent"
    )
    min_pages_checked: Positive = Field(
        default=5, description="pages of a host from which on the month fails when most of them yield no offer"
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> "IngestSettings":
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("ingest.sources: two sources have the same name; give each its own")
        if [source.kind for source in self.sources].count("pages") > 1:
            raise ValueError("ingest.sources: two are of kind pages, and each would take in all pages; keep one")
        return self


class CategoriesSettings(Settings):
    """Leaf categories, and the distribution of train rows over them (R10)."""

    taxonomy: TaxonomySettings = TaxonomySettings()
    max_leaves: Positive = Field(default=100_000, description="more are refused: the column is no leaf id")
    fixes: Text | None = Field(
        default=None, description="YAML file of people's corrections (lib/config/category_fixes.py); null: none"
    )
    long_tail: float = Field(
        default=0.0,
        ge=0,
        le=3,
        description="for studies: the leaf of rank r is thinned to the first's train rows times r ** -long_tail",
    )
    cap: Positive = Field(default=250_000, description="train rows a leaf keeps in a window, about")
    weight_power: Share = Field(default=0.0, description="a row of a small leaf weighs (median / rows) ** weight_power")
    weight_max: float = Field(default=3.0, ge=1, le=100, description="largest weight of a row")


class ShardsSettings(Settings):
    """Training rows."""

    months_back: Annotated[int, Field(ge=1, le=60)] = Field(
        default=3, description="months in a window, the last included"
    )
    name_length: Annotated[int, Field(ge=1, le=1000)] = Field(default=30, description="token ids of a name")
    category_length: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=15, description="token ids of a mall category"
    )
    gram_length: Annotated[int, Field(ge=1, le=4000)] = Field(default=128, description="character grams of a name")
    brand_length: Annotated[int, Field(ge=0, le=100)] = Field(
        default=0, description="brand ids of an offer: the given one, and those found in its name; 0: none"
    )
    file_multiple: Positive = Field(
        default=4, description="files of a split are a multiple of it: so many workers can share them"
    )
    file_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 30)] = Field(
        default=96 << 20, description="row group before compression"
    )
    compression: Literal["none", "snappy", "lz4", "zstd"] = "lz4"
    word_vocabulary: Literal["word2vec", "min_count"] = Field(
        default="word2vec", description="whose words name_ids come from"
    )
    image: Literal["none", "features", "raw"] = Field(
        default="none", description="what a row holds of the picture: the backbone's features, or the JPEG itself"
    )


class FeedSettings(Settings):
    """Reading shards while training."""

    threads: Positive = Field(default=2, description="Petastorm threads of one reader")
    queue: Positive = Field(default=2, description="blocks waiting to be used")
    prefetch: Count = Field(default=4, description="batches ready before they are asked for")


class CheckpointSettings(Settings):
    """What a killed training goes on from. No key of it changes what is trained."""

    seconds: Annotated[float, Field(ge=0)] = Field(300.0, description="of training that a kill may cost")
    kept: Positive = Field(2, description="checkpoints of one fit; an older one serves when the newest is damaged")


class LaunchSettings(Settings):
    """The processes that train together (lib/training/launch.py). No key of it is part of a model's identity."""

    workers: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="processes, each in a Spark barrier task; 1: the job's own"
    )
    stuck_seconds: Annotated[float, Field(ge=1)] = Field(
        300.0, description="without a step after which a worker writes down where its threads are, and ends"
    )
    retries: Annotated[int, Field(ge=0, le=100)] = Field(
        3, description="times that lost workers are started anew, from the last checkpoint"
    )
    slots_seconds: Annotated[float, Field(ge=0)] = Field(
        120.0, description="to wait until the cluster has as many free task slots as workers"
    )


class Config(Settings):
    """Everything one environment says."""

    storage: Storage
    spark: SparkSettings = SparkSettings()
    text: TextSettings = TextSettings()
    vocabulary: VocabularySettings = VocabularySettings()
    word2vec: Word2vecSettings = Word2vecSettings()
    market: MarketSettings | None = None
    crawl: CrawlSettings | None = None
    ingest: IngestSettings | None = None
    images: ImagesSettings | None = None
    backbone: BackboneSettings = BackboneSettings()
    image_features: ImageFeaturesSettings = ImageFeaturesSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    routing: RoutingSettings = RoutingSettings()
    promote: PromoteSettings = PromoteSettings()
    drift: DriftSettings = DriftSettings()
    score: ScoreSettings = ScoreSettings()
    report: ReportSettings = ReportSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    registry: RegistrySettings = RegistrySettings()
    categories: CategoriesSettings = CategoriesSettings()
    brands: BrandsSettings = BrandsSettings()
    shards: ShardsSettings = ShardsSettings()
    feed: FeedSettings = FeedSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    launch: LaunchSettings = LaunchSettings()
    review: ReviewSettings = ReviewSettings()
    label_audit: LabelAuditSettings = LabelAuditSettings()
    maintain: MaintainSettings = MaintainSettings()

    @model_validator(mode="after")
    def _crawl_has_an_end(self) -> "Config":
        fetches = self.images is not None and self.images.source == "url"
        if self.crawl is not None and not self.crawl.asks_for_pages and not fetches:
            raise ValueError(
                "give crawl.seeds, crawl.category_url or crawl.apis: there is nothing to begin with, and no pictures "
                "(images.source url) that the section could be for"
            )
        return self

    @model_validator(mode="after")
    def _gce_has_no_margins(self) -> "Config":
        margins = self.model.margin and self.model.text_branch != "textcnn" and self.train.heads.margin
        if self.train.noise.method == "gce" and margins:
            raise ValueError(
                "train.noise.method gce has no form for the hinge loss of model.margin; set model.margin=false and "
                "model.wide_size=128"
            )
        return self

    @property
    def registry_store(self) -> str:
        """Where the model registry is: an MLflow URI, or the local folder of its SQLite store."""
        return self.registry.uri or self.storage.state

    def at(self, key: str) -> Any:
        """The JSON value at a dotted key, for instance 'text.tokenizer'."""
        value: Any = self
        for part in key.split("."):
            value = getattr(value, part)
        return to_jsonable_python(value)


def load(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply `key=value` overrides.

    Raises:
        UserError: the file is missing or no mapping, or a key or value is not accepted; names the key's path.
    """
    place, record = Path(path), overridden(path, overrides)
    try:
        return Config.model_validate(_expand(record))
    except RecursionError:
        raise UserError(f"configuration {place} holds itself; write it without aliases (&, *)") from None
    except ValidationError as error:
        raise UserError(f"{place}: {sentence(error, Config)}") from None


def overridden(path: Path | str, overrides: Sequence[str]) -> dict[str, Any]:
    """A configuration file's mapping with the overrides in it; what it takes from the environment is not looked up.

    Raises:
        UserError: the file is missing or no mapping, or an override is not written as one.
    """
    record = read_mapping(Path(path), "configuration", "conf/local.yaml")
    for override in overrides:
        _override(record, override)
    return record


def _override(record: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise UserError(f"--set {override}: write it as section.key=value, for instance train.epochs=3")
    section: Any = record
    for index, part in enumerate(parts[:-1]):
        section = _step(section, part, ".".join(parts[: index + 1]), override, create=True)
    try:
        value = yaml.safe_load(text)
    except NOT_YAML:
        raise UserError(f"--set {override}: {text!r} is no YAML value") from None
    if isinstance(section, list):
        _step(section, parts[-1], key, override, create=False)
        section[int(parts[-1])] = value
    elif isinstance(section, dict):
        section[parts[-1]] = value
    else:
        raise UserError(f"--set {override}: {'.'.join(parts[:-1])} is a single value and has no {parts[-1]!r}")


def _step(section: Any, part: str, path: str, override: str, *, create: bool) -> Any:
    """One level down into a mapping (by key) or a list (by index)."""
    if isinstance(section, dict):
        if create and section.get(part) is None:
            section[part] = {}
        return section[part]
    if isinstance(section, list):
        if not part.isdecimal() or int(part) >= len(section):
            raise UserError(f"--set {override}: {path} must be an index below {len(section)}")
        return section[int(part)]
    raise UserError(f"--set {override}: {path} does not exist")


def _expand(value: Any) -> Any:
    """Replace ${CATMATCH_DATA} in every string; no other variable, so that no secret ends in a manifest."""
    if isinstance(value, dict):
        return {key: _expand(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("${CATMATCH_DATA}", os.environ.get("CATMATCH_DATA", DEFAULT_DATA))
    return value
