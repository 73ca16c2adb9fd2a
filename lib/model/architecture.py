"""What a model is built from: sizes of its input and shape of its layers, in one value kept beside its weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from lib.config import BackboneName, BackboneSettings, ModelSettings
from lib.errors import UserError
from lib.images.backbones import backbone_key, feature_size
from lib.shards.row import IMAGE_COLUMNS

NAME_INPUT, CATEGORY_INPUT, GRAMS_INPUT, GRAM_WEIGHTS_INPUT, BRAND_INPUT, IMAGE_INPUT = (
    "text_prod_input",
    "text_cat_input",
    "gram_ids",
    "gram_weights",
    "text_brand_input",
    "img_input",
)
# Column of a training row -> input of the model. Of those that hold a picture, a row has one or none.
INPUT_OF_COLUMN = {
    "name_ids": NAME_INPUT,
    "cat_ids": CATEGORY_INPUT,
    "gram_ids": GRAMS_INPUT,
    "gram_weights": GRAM_WEIGHTS_INPUT,
    "brand_ids": BRAND_INPUT,
    **dict.fromkeys(IMAGE_COLUMNS.values(), IMAGE_INPUT),
}
TEXT_COLUMNS = ("name_ids", "cat_ids", "gram_ids", "gram_weights")
# Numbers a table of margins may have: 0.8 GB, thrice that with Adam's slots.
MOST_MARGINS = 200_000_000
# Heads in the order of the published system; `output` sits on the concatenation of the branches. A model that sees no
# pictures has no IMAGE_HEAD; one that leaves a text out has no head on it.
IMAGE_HEAD = "img_output"
HEADS = ("text_prod_output", "text_cat_output", IMAGE_HEAD, "output")
MAIN_HEAD = "output"
HEAD_OF_FEATURE = {"prod_nm": "text_prod_output", "cat": "text_cat_output"}


@dataclass(frozen=True)
class Picture:
    """What a model sees of a product's picture.

    Attributes:
        kind: 'features' of a backbone, or the 'raw' picture, which a backbone within the model looks at.
        size: pixels of the picture's side.
        backbone: name of the backbone (lib/images/backbones.py).
        key: which backbone, of pictures of which size, with which weights.
        width: numbers that it makes of a picture.
    """

    kind: Literal["features", "raw"]
    size: int
    backbone: BackboneName
    key: str
    width: int

    @property
    def column(self) -> str:
        """The column of a training row that holds it."""
        return IMAGE_COLUMNS[self.kind]


@dataclass(frozen=True)
class BrandIds:
    """What a model reads of an offer's brands.

    Attributes:
        brands: how many ids there are, the reserved ones included.
        length: ids a row.
    """

    brands: int
    length: int


@dataclass(frozen=True)
class Architecture:
    """Everything `build` needs, and nothing of how the model is trained.

    Attributes:
        words, grams: vocabulary sizes with the reserved ids.
        classes: dense labels.
        name_length, category_length, gram_length: ids a row.
        settings: the `model` section of the configuration.
        picture: what it sees of pictures; None for a model of texts.
        brand: what it reads of brands; None for a model without.
    """

    words: int
    grams: int
    classes: int
    name_length: int
    category_length: int
    gram_length: int
    settings: ModelSettings
    picture: Picture | None = None
    brand: BrandIds | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a training row that are its inputs."""
        brand = [] if self.brand is None else ["brand_ids"]
        return (*TEXT_COLUMNS, *brand, *([] if self.picture is None else [self.picture.column]))

    def reads(self, feature: str) -> bool:
        """Whether it reads 'prod_nm', 'cat' or 'brand'."""
        return feature in self.settings.features

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of its heads, in the order of HEADS."""
        missing = {IMAGE_HEAD} if self.picture is None else set()
        missing |= {head for feature, head in HEAD_OF_FEATURE.items() if not self.reads(feature)}
        return tuple(head for head in HEADS if head not in missing)

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        return {**asdict(self), "settings": self.settings.model_dump(mode="json")}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> "Architecture":
        """Read what `to_json` wrote.

        Raises:
            UserError: a size is missing or no positive integer, or a setting is unknown.
        """
        try:
            sizes = {field.name: _size(record, field.name) for field in fields(Architecture) if field.type is int}
            picture = _picture(record["picture"]) if record.get("picture") is not None else None
            brand = _brand(record["brand"]) if record.get("brand") is not None else None
            settings = ModelSettings.model_validate(record["settings"])
            return Architecture(**sizes, settings=settings, picture=picture, brand=brand)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the model's architecture cannot be read ({' '.join(str(error).split())}); train again"
            ) from None

    @staticmethod
    def of_shards(
        facts: Mapping[str, Any], settings: ModelSettings, backbone: BackboneSettings | None = None
    ) -> "Architecture":
        """The architecture for rows of a shards artefact, from its facts.

        Args:
            backbone: the one within the model, of rows with raw pictures.

        Raises:
            UserError: margins of every gram and class would not fit into memory.
        """
        sizes = ("words", "grams", "classes", "name_length", "category_length", "gram_length")
        picture = _seen(facts["picture"], backbone) if facts.get("picture") and settings.image else None
        brand = None
        if facts.get("brand_length") and "brand" in settings.features:
            brand = BrandIds(int(facts["brands"]), int(facts["brand_length"]))
        made = Architecture(
            **{size: int(facts[size]) for size in sizes}, settings=settings, picture=picture, brand=brand
        )  # fmt: skip
        if brand is None and picture is None and not {"prod_nm", "cat"} & set(settings.features):
            raise UserError(
                "model.features is [brand] but rows hold none; set shards.brand_length, or add another text"
            )
        if settings.margin and settings.text_branch != "textcnn" and made.grams * made.classes > MOST_MARGINS:
            raise UserError(
                f"model.margin keeps a number for each of {made.grams} grams and {made.classes} classes, over the "
                f"{MOST_MARGINS} that fit; set model.margin=false and model.wide_size=128"
            )
        return made


def _seen(fact: Mapping[str, Any], backbone: BackboneSettings | None) -> Picture:
    """What a model sees of rows that hold such a picture."""
    if fact["kind"] == "features":
        return _picture(fact)
    chosen, size = backbone or BackboneSettings(), int(fact["size"])
    return Picture("raw", size, chosen.name, backbone_key(chosen, size), feature_size(chosen.name))


def _picture(record: Mapping[str, Any]) -> Picture:
    if record["kind"] not in IMAGE_COLUMNS or record["backbone"] not in get_args(BackboneName):
        raise ValueError(f"picture {record['kind']!r} of {record['backbone']!r} is unknown")
    sizes = {name: _size(record, name) for name in ("size", "width")}
    return Picture(kind=record["kind"], backbone=record["backbone"], key=str(record["key"]), **sizes)


def _brand(record: Mapping[str, Any]) -> BrandIds:
    return BrandIds(_size(record, "brands"), _size(record, "length"))


def _size(record: Mapping[str, Any], name: str) -> int:
    value = record[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} = {value!r} is no positive integer")
    return value
