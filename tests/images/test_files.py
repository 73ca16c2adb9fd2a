"""Files of a folder or a zip are found by ids that may be anything, and nothing outside is ever read."""

import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lib.config import ImagesSettings
from lib.errors import UserError
from lib.images.files import check, fingerprint, name_of, reading
from lib.images.reasons import NoPictureError
from tests.images.samples import settings

CONTENT = b"a picture's bytes"


def folder(place: Path, **more: Any) -> ImagesSettings:
    """A folder with a picture, a subfolder with one, and secrets beside."""
    root = place / "pictures"
    (root / "sub").mkdir(parents=True)
    (place / "secret.jpg").write_bytes(b"secret")
    (root / "1.jpg").write_bytes(CONTENT)
    (root / "sub" / "2.jpg").write_bytes(CONTENT)
    (root / "out.jpg").symlink_to(place / "secret.jpg")
    (root / "up").symlink_to(place)
    (root / "within.jpg").symlink_to(root / "1.jpg")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    (root / "gone.jpg").symlink_to(root / "nothing")
    os.mkfifo(root / "pipe.jpg")
    return settings(root, **more)


def zipped(place: Path, **more: Any) -> ImagesSettings:
    """A zip with the same two, and entries that would unpack elsewhere."""
    with zipfile.ZipFile(place / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("1.jpg", "sub/2.jpg", "../up.jpg", "sub/../../up.jpg", "/root.jpg", "folder.jpg/"):
            made.writestr(name, CONTENT)
    return settings(place / "pictures.zip", source="zip", **more)


@pytest.fixture(params=[folder, zipped])
def given_settings(request: pytest.FixtureRequest, tmp_path: Path) -> ImagesSettings:
    made: ImagesSettings = request.param(tmp_path)
    return made


def code(given: ImagesSettings, name: str) -> str:
    with reading(given) as read, pytest.raises(NoPictureError) as caught:
        read(name)
    return caught.value.code


def test_files_are_read_by_name(given_settings: ImagesSettings) -> None:
    with reading(given_settings) as read:
        assert read("1.jpg") == read("sub/2.jpg") == CONTENT


def test_what_is_not_there_is_missing(given_settings: ImagesSettings) -> None:
    for name in ("3.jpg", "", "sub", "sub/", "1.jpg/x", "x" * 5000, "한글.jpg", "\n", "folder.jpg/"):
        assert code(given_settings, name) == "missing_file", name


@pytest.mark.parametrize("name", ["../secret.jpg", "sub/../../secret.jpg", "..", "/etc/passwd", "/root.jpg", "1\0.jpg",
                                  "../up.jpg", "sub/../1.jpg"])  # fmt: skip
def test_names_that_lead_out_are_unsafe(given_settings: ImagesSettings, name: str) -> None:
    assert code(given_settings, name) == "unsafe_name"


def test_links_are_followed_within_the_folder_only(tmp_path: Path) -> None:
    made = folder(tmp_path)
    with reading(made) as read:
        assert read("within.jpg") == CONTENT
    assert code(made, "out.jpg") == "unsafe_name"
    assert code(made, "up/secret.jpg") == "unsafe_name"
    assert code(made, "loop.jpg") == "missing_file"
    assert code(made, "gone.jpg") == "missing_file"
    assert code(made, "pipe.jpg") == "missing_file"  # and is not waited for


def test_no_more_is_read_than_a_picture_may_have(tmp_path: Path) -> None:
    for made in (folder(tmp_path, max_bytes=len(CONTENT)), zipped(tmp_path, max_bytes=len(CONTENT))):
        with reading(made) as read:
            assert read("1.jpg") == CONTENT
        assert code(made.model_copy(update={"max_bytes": len(CONTENT) - 1}), "1.jpg") == "too_large"


def test_a_zip_that_lies_about_its_entries_is_bounded(tmp_path: Path) -> None:
    place = tmp_path / "bomb.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("1.jpg", bytes(50 << 20))
    small = (50 << 20).to_bytes(4, "little")
    place.write_bytes(place.read_bytes().replace(small, (100).to_bytes(4, "little")))
    assert code(settings(place, source="zip", max_bytes=1000), "1.jpg") in ("too_large", "unreadable_file")


def test_what_cannot_be_unpacked_is_unreadable(tmp_path: Path) -> None:
    place = tmp_path / "odd.zip"
    with zipfile.ZipFile(place, "w") as made:
        made.writestr("1.jpg", CONTENT, zipfile.ZIP_STORED)
        made.writestr("2.jpg", CONTENT, zipfile.ZIP_LZMA)
        made.writestr("3.jpg", CONTENT, zipfile.ZIP_BZIP2)
    place.write_bytes(place.read_bytes().replace(CONTENT, CONTENT[::-1], 1))  # against its checksum
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        assert code(settings(place, source="zip"), name) == "unreadable_file"


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=30), st.lists(st.sampled_from(["..", ".", "up", "sub", "secret.jpg", "", "\0"]))
                 .map("/".join)))  # fmt: skip
def test_no_name_reads_what_lies_outside(given_settings: ImagesSettings, name: str) -> None:
    with reading(given_settings) as read, suppress(NoPictureError):
        assert read(name) == CONTENT


def test_a_path_that_is_not_what_conf_says_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"PK nothing of the kind")
    with pytest.raises(UserError, match=r"images\.path .*gone is no folder"):
        check(settings(tmp_path / "gone"))
    with pytest.raises(UserError, match="is no folder"):
        check(settings(file))
    with pytest.raises(UserError, match="gone does not exist"):
        check(settings(tmp_path / "gone", source="zip"))
    with pytest.raises(UserError, match="is no zip that can be read"):
        check(settings(file, source="zip"))
    with pytest.raises(UserError, match="is no zip that can be read"):
        check(settings(tmp_path, source="zip"))


def test_a_fingerprint_tells_changed_pictures(tmp_path: Path) -> None:
    files = folder(tmp_path)
    before = fingerprint(files)
    assert fingerprint(files) == before
    (tmp_path / "pictures" / "sub" / "2.jpg").write_bytes(b"another")
    assert fingerprint(files) != before
    packed = zipped(tmp_path)
    before = fingerprint(packed)
    os.utime(tmp_path / "pictures.zip", (1, 1))
    assert fingerprint(packed) == before
    with zipfile.ZipFile(tmp_path / "pictures.zip", "a") as more:
        more.writestr("3.jpg", CONTENT)
    assert fingerprint(packed) != before


def test_a_file_is_named_by_the_malls_own_id(spark: SparkSession) -> None:
    ids = ["mall:1001", "mall:a:b", "mall:", "mall:../x", "mall:{id}", "mall:한글 1"]
    frame = spark.createDataFrame([(one,) for one in ids], "product_id string")
    made = frame.select(name_of(F.col("product_id"), settings(file="{id}/{id}.jpg"))).collect()
    assert [row[0] for row in made] == [
        "1001/1001.jpg", "a:b/a:b.jpg", "/.jpg", "../x/../x.jpg", "{id}/{id}.jpg", "한글 1/한글 1.jpg",
    ]  # fmt: skip
