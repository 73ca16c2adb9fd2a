"""What is done about wrong labels of the rows that are learnt from (lib/training), and wrong ones made on purpose."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lib.config.base import Positive, Settings, Share


class NoiseSettings(Settings):
    """How much a training trusts the labels it is given."""

    method: Literal["plain", "selfie", "gce"] = Field(
        "plain",
        description="plain: all of them; selfie: those of small loss, others are refurbished or left out; gce: all, "
        "by a loss that wrong ones pull at less",
    )
    rate: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="selfie: share of labels taken for wrong; null: estimated on validation after the warm-up"
    )
    warmup_epochs: Positive = Field(2, description="selfie: epochs that trust all labels: nets learn clean ones first")
    history: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="selfie: last epochs whose predictions of a row are compared"
    )
    entropy: Share = Field(
        0.05, description="selfie: of these predictions, as a share of the largest; up to it a row is refurbished"
    )
    restarts: Annotated[int, Field(ge=0, le=10)] = Field(
        0, description="selfie: further trainings from fresh weights that keep the refurbished labels"
    )
    power: Annotated[float, Field(gt=0, le=1)] = Field(
        0.7, description="gce: towards 0 it is cross-entropy, at 1 mean absolute error"
    )

    @model_validator(mode="after")
    def _history_is_full_after_the_warmup(self) -> "NoiseSettings":
        if self.history > self.warmup_epochs:
            raise ValueError(
                f"history {self.history} is more than warmup_epochs {self.warmup_epochs}, after which a row has so "
                "many predictions; lower it or raise the other"
            )
        return self


class InjectedNoise(Settings):
    """Labels of train and validation rows made wrong on purpose, to see what a method is worth: for studies."""

    kind: Literal["symmetric", "sibling"] = Field(
        "symmetric", description="into any other category, or into one that has the same parent"
    )
    share: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="of the labels")
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = Field(1, description="which ones")
