"""A trial on labelled pictures: what it measures, what it keeps, and data sets that are refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.config import BackboneSettings, Config
from lib.errors import UserError
from lib.studies import pictures

COLOURS = {"red": (220, 20, 20), "blue": (20, 20, 220)}


def data_set(place: Path) -> Path:
    """Plain pictures in two colours, in the folders of a data set."""
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("validation", 3), ("test", 3)):
        for name, colour in COLOURS.items():
            folder = place / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                tint = tuple(int(value) for value in np.clip(np.array(colour) + random.integers(-20, 20, 3), 0, 255))
                Image.new("RGB", (40, 40), tint).save(folder / f"{number}.jpg")
    return place


def config(path: Path, size: int = 32) -> Config:
    place = path.parent
    return Config.model_validate(
        {
            "storage": {"warehouse": str(place), "state": str(place), "reports": str(place)},
            "images": {"source": "zip" if path.suffix else "folder", "path": str(path), "file": "{id}", "size": size},
            "backbone": {"name": "efficientnet_lite0", "weights": "imagenet"},
            "model": {"text_branch": "textcnn", "embedding_size": 2, "widths": [1], "filters": 2, "fcl_dim": 2,
                      "margin": False, "image_fcl_dim": 16},
            "train": {"batch_size": 16, "epochs": 6, "learning_rate": 0.01, "patience": 6, "tensorboard": False,
                      "heads": {"text_prod_output": 0.0, "text_cat_output": 0.0, "img_output": 1.0, "output": 0.1}},
        }
    )  # fmt: skip


def test_a_trial_learns_from_pictures_and_keeps_their_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = config(data_set(tmp_path / "set"))
    figures = pictures.measure(given, tmp_path / "kept")
    assert figures["accuracy"] == 1.0
    assert figures["pictures"] == 12
    assert figures["epoch_seconds"] > 0
    monkeypatch.setattr(pictures, "extractor", None)  # nobody is to look again
    again = pictures.measure(given, tmp_path / "kept")
    assert again["accuracy"] == 1.0
    assert again["images_per_second"] == figures["images_per_second"]


def test_a_zip_is_listed_as_a_folder_is(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as packed:
        for file in sorted(folder.rglob("*.jpg")):
            packed.write(file, file.relative_to(folder).as_posix())
        packed.writestr("../train/red/out.jpg", b"x")
        packed.writestr("train/readme.txt", b"x")
    images, zipped = config(folder).images, config(tmp_path / "set.zip").images
    assert images is not None
    assert zipped is not None
    from_folder, from_zip = pictures.listing(images), pictures.listing(zipped)
    assert from_folder.files == from_zip.files
    assert from_folder.classes.tolist() == from_zip.classes.tolist()
    assert set(from_zip.splits) == {"train", "validation", "test"}


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no pictures as train/<class>/<picture>"):
        pictures.measure(config(tmp_path / "empty"), tmp_path / "kept")
    folder = data_set(tmp_path / "set")
    (folder / "train" / "red" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"train/red/broken\.jpg .* is no picture"):
        pictures.measure(config(folder), tmp_path / "kept")


def test_activations_grow_with_the_area_of_the_picture_and_parameters_do_not() -> None:
    small, large = (pictures.cost(BackboneSettings(weights="none"), size) for size in (64, 128))
    assert large["activation_bytes"] == pytest.approx(4 * small["activation_bytes"], rel=0.02)
    assert large["parameters"] == small["parameters"]
