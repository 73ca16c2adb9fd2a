"""Each backbone of the registry as it is built, its preprocessing, the files its weights are read from, fine-tuning."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format
from numpy.typing import NDArray

from lib.config import BackboneSettings
from lib.config.images import BackboneName
from lib.errors import UserError
from lib.images import backbones, facts, pretrained, weights
from lib.images.backbones import backbone_key, extractor, feature_size, network, trainable_from, weights_key
from lib.images.efficientnet_lite import efficientnet_lite0
from tests.images.photographs import china, clothing, flower

NETWORKS = [name for name in get_args(BackboneName) if name != facts.QUANTISED]
APPLICATIONS = [name for name in NETWORKS if name != facts.LITE]
# Their files' names are made when they are built.
COMPOSED = ["resnet50", "mobilenet", "mobilenetv2", "mobilenetv2_140"]
# Their module in keras.applications, where it has another name.
MODULES = {
    "inceptionv3": "inception_v3", "inceptionresnetv2": "inception_resnet_v2", "mobilenetv2": "mobilenet_v2",
    "mobilenetv2_140": "mobilenet_v2", "densenet121": "densenet", "densenet169": "densenet",
    "densenet201": "densenet", "nasnetlarge": "nasnet", "nasnetmobile": "nasnet",
}  # fmt: skip
QUANTISED_FILE = Path("weights") / "coral_mobilenet_v2_1.0_224_quant.tflite"


def application(name: str) -> ModuleType:
    found: ModuleType = getattr(keras.applications, MODULES.get(name, name))
    return found


def settings(name: str, weights: str | Path = "none") -> BackboneSettings:
    return BackboneSettings(name=name, weights=str(weights))  # type: ignore[arg-type]


def body(model: keras.Model) -> keras.Model:
    return next(layer for layer in model.layers if isinstance(layer, keras.Model))


def pictures(count: int, size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.fixture(scope="module", params=NETWORKS)
def built(request: pytest.FixtureRequest) -> tuple[str, keras.Model]:
    """Each network once, with random weights, for pictures of its smallest size."""
    name = request.param
    return name, network(settings(name), backbones.smallest_size(name))


class TestEveryNetwork:
    def test_gives_as_many_features_as_announced_and_is_frozen(self, built: tuple[str, keras.Model]) -> None:
        name, model = built
        assert model.output_shape == (None, feature_size(name))
        assert model.layers[-1].dtype == "float32"
        assert not model.trainable_variables

    def test_sees_pixels_as_its_application_wants_them(self, built: tuple[str, keras.Model]) -> None:
        name, model = built
        seen = keras.Model(model.inputs[0], model.get_layer("preprocessing").output)
        pixels = pictures(2, backbones.smallest_size(name))
        if name == facts.LITE:
            expected = (pixels.astype(np.float32) - 127) / 128
        else:
            expected = application(name).preprocess_input(pixels.astype(np.float32))
        np.testing.assert_allclose(seen(pixels), expected, atol=1e-5, rtol=1e-5)

    def test_names_its_layers_as_a_fresh_process_does(self, built: tuple[str, keras.Model]) -> None:
        """Earlier tests have built others, after which Keras counts on."""
        _, model = built
        names = [layer.name for layer in body(model).layers]
        assert len(set(names)) == len(names)
        for kind in ("conv2d", "batch_normalization", "activation", "concatenate", "max_pooling2d"):
            numbered = {name for name in names if re.fullmatch(rf"{kind}(_\d+)?", name)}
            assert numbered == {f"{kind}_{number}" if number else kind for number in range(len(numbered))}


def test_random_features_are_numbers_and_the_same_every_time() -> None:
    seen = network(settings("mobilenetv2_140"), 32)(pictures(2, 32)).numpy()
    keras.utils.set_random_seed(2)
    again = network(settings("mobilenetv2_140"), 32)(pictures(2, 32)).numpy()
    np.testing.assert_array_equal(seen, again)
    assert np.isfinite(seen).all()
    assert seen.std(axis=1).min() > 1e-3
    assert np.abs(seen[0] - seen[1]).max() > 1e-3


def test_the_published_sizes_are_those_of_the_registry() -> None:
    """R6: 1,792 numbers for MobileNetV2 at alpha 1.4."""
    assert feature_size("mobilenetv2_140") == 1792
    assert feature_size("efficientnet_lite0") == feature_size("mobilenetv2_quantised") == 1280
    assert set(facts.FACTS) == set(get_args(BackboneName))


def test_a_picture_too_small_is_refused() -> None:
    message = "images.size 70 is too small for backbone.name xception, which takes 71 pixels"
    for refused in (
        lambda: network(settings("xception"), 70),
        lambda: extractor(settings("xception"), 70, 1),
        lambda: backbone_key(settings("xception"), 70),
    ):
        with pytest.raises(UserError, match=message):
            refused()


class TestInput:
    """Pictures come as bytes, as numbers with a point, alone, in batches, from Keras, from TensorFlow."""

    @pytest.fixture(scope="class")
    def model(self) -> keras.Model:
        return network(BackboneSettings(), 64)

    @pytest.fixture(scope="class")
    def look(self) -> backbones.Extractor:
        return extractor(BackboneSettings(), 64, 1)

    def test_bytes_and_floats_are_the_same(self, model: keras.Model) -> None:
        some = pictures(2, 64)
        expected = model(some.astype(np.float32)).numpy()
        np.testing.assert_array_equal(model(some).numpy(), expected)
        np.testing.assert_allclose(tf.function(model)(tf.constant(some)), expected, atol=1e-4)
        bytes_in = keras.Input((64, 64, 3), dtype="uint8")
        np.testing.assert_allclose(keras.Model(bytes_in, model(bytes_in))(some), expected, atol=1e-4)

    def test_the_extractor_gives_the_networks_features(self, model: keras.Model, look: backbones.Extractor) -> None:
        some = np.stack([china(64), flower(64)])
        found = look(some)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, model(some), atol=1e-4)
        np.testing.assert_array_equal(look(tf.constant(some)), found)

    def test_features_do_not_depend_on_the_batch(self, look: backbones.Extractor) -> None:
        some = pictures(7, 64)
        together = look(some)
        for row in range(7):
            np.testing.assert_allclose(look(some[row : row + 1])[0], together[row], atol=1e-5)
        assert look(some[:0]).shape == (0, 1280)

    def test_other_pictures_are_a_defect_of_the_caller(self, look: backbones.Extractor) -> None:
        for wrong in (pictures(1, 63), pictures(1, 64).astype(np.float32), pictures(1, 64)[..., :1]):
            with pytest.raises(ValueError, match="expected uint8 of"):
                look(wrong)

    def test_features_are_float32_in_bfloat16_too(self, model: keras.Model) -> None:
        some = np.stack([china(64), flower(64)])
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        try:
            half = network(BackboneSettings(), 64)(some)
        finally:
            keras.mixed_precision.set_global_policy("float32")
        assert half.dtype == tf.float32
        assert 0 < np.abs(half - model(some)).mean() < 0.05


class TestWeights:
    """Files that the tests write with Keras itself: today's format, and the older one of keras.applications."""

    @pytest.fixture
    def trained(self) -> keras.Model:
        """A MobileNet of other random weights than ours."""
        keras.utils.set_random_seed(11)
        return keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))

    def features(self, trained: keras.Model, some: NDArray[np.uint8]) -> NDArray[np.float32]:
        maps = trained(keras.applications.mobilenet.preprocess_input(some.astype(np.float32)))
        return np.asarray(keras.ops.mean(maps, axis=(1, 2)))

    def check(self, chosen: BackboneSettings, trained: keras.Model) -> None:
        some = pictures(3, 32)
        expected = self.features(trained, some)
        np.testing.assert_allclose(network(chosen, 32)(some), expected, rtol=1e-3, atol=np.abs(expected).max() * 1e-4)

    def test_todays_format_is_read(self, trained: keras.Model, tmp_path: Path) -> None:
        path = tmp_path / "mine.weights.h5"
        trained.save_weights(path)
        self.check(settings("mobilenet", path), trained)

    def test_the_format_of_keras_applications_is_read(self, trained: keras.Model, tmp_path: Path) -> None:
        path = save_as_published(trained, tmp_path / "mine.h5")
        self.check(settings("mobilenet", path), trained)

    def test_imagenet_is_read_from_keras_cache(
        self, trained: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        save_as_published(trained, tmp_path / "models" / "mobilenet_1_0_224_tf_no_top.h5")
        self.check(settings("mobilenet", "imagenet"), trained)
        assert re.fullmatch("mobilenet-32-[0-9a-f]{8}", backbone_key(settings("mobilenet", "imagenet"), 32))

    def test_layers_without_names_of_their_own_find_their_weights(self, tmp_path: Path) -> None:
        """Xception's shortcuts are numbered by Keras, which counts on from network to network."""
        keras.utils.set_random_seed(12)
        trained = keras.applications.Xception(include_top=False, weights=None, input_shape=(71, 71, 3))
        path = save_as_published(trained, tmp_path / "mine.h5")
        loaded = body(network(settings("xception", path), 71))
        for mine, theirs in zip(loaded.weights, trained.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def test_our_own_format_is_read(self, tmp_path: Path) -> None:
        copy = tmp_path / "copy.npz"
        copy.write_bytes(pretrained.WEIGHTS.read_bytes())
        some = pictures(2, 32)
        np.testing.assert_array_equal(
            network(settings("efficientnet_lite0", copy), 32)(some), network(BackboneSettings(), 32)(some)
        )
        assert weights_key(settings("efficientnet_lite0", copy)) == weights_key(BackboneSettings())


class TestMissingWeights:
    @pytest.mark.parametrize("name", APPLICATIONS)
    def test_a_message_says_which_file_goes_where(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        place = tmp_path / "models" / facts.FACTS[name].imagenet  # type: ignore[index]
        with pytest.raises(UserError, match=f"of {name} are not at {re.escape(str(place))}; put Keras' file"):
            network(settings(name, "imagenet"), 224)

    @pytest.mark.parametrize("name", COMPOSED)
    def test_it_is_the_file_that_keras_would_fetch(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        def no_fetch(fname: str, *_: object, **__: object) -> None:
            asked.append(fname)
            raise ConnectionError

        monkeypatch.setattr("keras.src.utils.file_utils.get_file", no_fetch)
        known = facts.FACTS[name]  # type: ignore[index]
        build = getattr(keras.applications, str(known.application))
        with pytest.raises(ConnectionError):
            build(include_top=False, input_shape=(224, 224, 3), **dict(known.options))
        assert asked == [known.imagenet]

    @pytest.mark.parametrize("name", [name for name in APPLICATIONS if name not in COMPOSED])
    def test_it_is_named_in_keras_own_text(self, name: str) -> None:
        source = (
            Path(str(keras.src.applications.__file__))
            .with_name(f"{MODULES.get(name, name)}.py")
            .read_text(encoding="utf-8")
        )
        joined = re.sub(r'"\s*"', "", source)
        assert f'"{facts.FACTS[name].imagenet}"' in joined  # type: ignore[index]

    def test_set_up_is_named_where_its_file_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "absent.npz")
        with pytest.raises(UserError, match=r"absent\.npz, the weights of efficientnet_lite0, is missing"):
            network(BackboneSettings(), 32)

    def test_a_path_to_nothing_or_to_another_kind_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "some.pth").write_bytes(b"x")
        for path in (tmp_path / "absent.h5", tmp_path / "some.pth", tmp_path):
            with pytest.raises(UserError, match=f"{path} is no file of resnet50, whose weights end in .h5"):
                weights_key(settings("resnet50", path))


class TestBadWeights:
    """Files that are no weights of the network, or that would have us read more than they hold."""

    @pytest.fixture(scope="class")
    def mobilenet(self) -> keras.Model:
        return keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))

    @pytest.fixture(scope="class")
    def lite(self) -> keras.Model:
        return efficientnet_lite0(32)

    def refused(self, model: keras.Model, path: Path) -> str:
        with pytest.raises(UserError, match=f"the weights in {re.escape(str(path))} do not fit {model.name}") as raised:
            weights.load(model, path)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    @pytest.fixture
    def whole(self, mobilenet: keras.Model, tmp_path: Path) -> Path:
        return save_as_published(mobilenet, tmp_path / "whole.h5")

    def test_another_network(self, mobilenet: keras.Model, whole: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="3228864 numbers, the network 2257984"):
            network(settings("mobilenetv2", whole), 32)
        with_classes = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3))
        assert "the network 3228864" in self.refused(
            mobilenet, save_as_published(with_classes, tmp_path / "classes.h5")
        )

    def test_no_hdf5(self, mobilenet: keras.Model, whole: Path, tmp_path: Path) -> None:
        path = tmp_path / "some.h5"
        for content in (b"", b"no numbers", whole.read_bytes()[:5000]):
            path.write_bytes(content)
            self.refused(mobilenet, path)

    def test_links_and_datasets_of_other_files(self, mobilenet: keras.Model, whole: Path, tmp_path: Path) -> None:
        path = tmp_path / "some.h5"
        other = {
            "external link": lambda file: file.__setitem__("more", h5py.ExternalLink(str(whole), "/conv1")),
            "soft link": lambda file: file.__setitem__("more", h5py.SoftLink("/conv1")),
            "external": lambda file: file.create_dataset("more", (1,), "f4", external=[(str(whole), 0, 4)]),
            "virtual": lambda file: file.create_virtual_dataset("more", virtual_layout(whole)),
            "text": lambda file: file.create_dataset("more", data=b"text"),
        }
        for add in other.values():
            path.write_bytes(whole.read_bytes())
            with h5py.File(path, "a") as file:
                add(file)
            assert re.search(
                "nothing outside the file is read|no plain array of numbers", self.refused(mobilenet, path)
            )

    def test_more_numbers_than_there_is_memory(self, mobilenet: keras.Model, tmp_path: Path) -> None:
        path = tmp_path / "some.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("huge", (10**7, 10**7), "f4", chunks=(10, 10))
        assert "it holds 100000000000000 numbers" in self.refused(mobilenet, path)

    @pytest.mark.parametrize(
        "change",
        [
            lambda arrays: arrays.pop("top_conv/kernel"),
            lambda arrays: arrays.update({"stem_conv/kernel": np.array(["a", None], object)}),
            lambda arrays: arrays.update({"stem_conv/kernel": np.zeros((3, 3, 3, 31), np.float32)}),
            lambda arrays: arrays.update({"stem_conv/kernel": np.zeros((3, 3, 3, 32), np.int32)}),
            lambda arrays: arrays.update({"stem_conv/kernel": np.zeros((3000, 3000), np.float32)}),
        ],
    )
    def test_an_npz_of_other_arrays(self, lite: keras.Model, change: Any, tmp_path: Path) -> None:
        arrays = dict(np.load(pretrained.WEIGHTS))
        change(arrays)
        np.savez(tmp_path / "some.npz", **arrays)
        self.refused(lite, tmp_path / "some.npz")

    def test_no_npz(self, lite: keras.Model, tmp_path: Path) -> None:
        path = tmp_path / "some.npz"
        for content in (b"", b"no numbers", pretrained.WEIGHTS.read_bytes()[:100_000]):
            path.write_bytes(content)
            self.refused(lite, path)
        np.save(path.with_suffix(".npy"), np.zeros(3))
        path.with_suffix(".npy").rename(path)
        self.refused(lite, path)


class TestKeys:
    def test_they_name_network_size_and_weights(self, tmp_path: Path) -> None:
        assert weights_key(settings("resnet50")) == "random"
        assert backbone_key(settings("resnet50"), 100) == "resnet50-100-random"
        assert re.fullmatch("efficientnet_lite0-224-[0-9a-f]{8}", backbone_key(BackboneSettings(), 224))

    def test_they_follow_the_files_content(self, tmp_path: Path) -> None:
        first, second, copy = (tmp_path / name for name in ("first.h5", "second.h5", "copy.h5"))
        first.write_bytes(b"some")
        second.write_bytes(b"other")
        copy.write_bytes(b"some")
        keys = [backbone_key(settings("resnet50", path), 64) for path in (first, second, copy)]
        assert keys[0] == keys[2] != keys[1]


class TestFineTuning:
    @pytest.fixture
    def model(self) -> keras.Model:
        return network(BackboneSettings(), 32)

    def test_only_that_layer_and_those_after_it_learn(self, model: keras.Model) -> None:
        trainable_from(model, "block7a_project_conv")
        assert {weight.path for weight in model.trainable_variables} == {
            "block7a_project_conv/kernel", "top_conv/kernel",
        }  # fmt: skip
        before = {weight.path: np.array(weight) for weight in model.weights}
        optimizer = keras.optimizers.SGD(0.1)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(pictures(4, 32), training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        changed = {weight.path for weight in model.weights if not np.array_equal(before[weight.path], weight)}
        assert changed == {weight.path for weight in variables}

    def test_a_later_choice_replaces_an_earlier_one(self, model: keras.Model) -> None:
        trainable_from(model, "stem_conv")
        assert len(model.trainable_variables) == 49
        trainable_from(model, "top_conv")
        assert [weight.path for weight in model.trainable_variables] == ["top_conv/kernel"]

    def test_an_unknown_layer_is_refused_with_some_that_are_there(self, model: keras.Model) -> None:
        with pytest.raises(UserError, match="fine_tune_from conv9 is no layer of efficientnet_lite0") as raised:
            trainable_from(model, "conv9")
        named = re.findall(r"\w+_(?:conv|bn|dwconv)\b", str(raised.value))
        assert len(named) >= 3
        assert set(named) <= {layer.name for layer in body(model).layers}


class TestQuantised:
    @pytest.fixture(scope="class")
    def small(self) -> tuple[keras.Model, bytes]:
        """A network of 1,280 features in 8-bit numbers, and the same as it was before."""
        given = keras.Input((224, 224, 3), batch_size=1)
        coarse = keras.layers.AveragePooling2D(32)(given)
        keras.utils.set_random_seed(4)
        found = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(1280, 1, activation="relu")(coarse))
        whole = keras.Model(given, keras.layers.Dense(10)(found))
        converter = tf.lite.TFLiteConverter.from_keras_model(whole)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([shown[None].astype(np.float32)] for shown in pictures(3, 224))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        return keras.Model(given, found), converter.convert()

    def test_features_are_those_before_the_classes(self, small: tuple[keras.Model, bytes], tmp_path: Path) -> None:
        model, content = small
        path = tmp_path / "small.tflite"
        path.write_bytes(content)
        look, some = extractor(settings(facts.QUANTISED, path), 224, 1), pictures(3, 224)
        found, expected = look(some), np.concatenate([model(shown[None].astype(np.float32)) for shown in some])
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < expected.max() / 100
        np.testing.assert_array_equal(look(tf.constant(some[1:2]))[0], found[1])
        assert look(some[:0]).shape == (0, 1280)
        assert backbone_key(settings(facts.QUANTISED, path), 224).startswith("mobilenetv2_quantised-224-")

    def test_another_size_or_file_is_refused(self, small: tuple[keras.Model, bytes], tmp_path: Path) -> None:
        path = tmp_path / "small.tflite"
        path.write_bytes(small[1])
        with pytest.raises(UserError, match=r"takes uint8 of \(1, 224, 224, 3\), not pictures of images.size 256"):
            extractor(settings(facts.QUANTISED, path), 256, 1)
        path.write_bytes(b"no network" * 10)
        with pytest.raises(UserError, match="is no TensorFlow Lite file"):
            extractor(settings(facts.QUANTISED, path), 224, 1)

    def test_it_is_no_keras_network_and_has_no_weights_of_its_own(self) -> None:
        with pytest.raises(UserError, match="mobilenetv2_quantised gives features only"):
            network(settings(facts.QUANTISED, "x.tflite"), 224)
        for word in ("imagenet", "none"):
            with pytest.raises(UserError, match=f"backbone.weights {word} says nothing of mobilenetv2_quantised"):
                extractor(settings(facts.QUANTISED, word), 224, 1)

    @pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenetv2_quantised"])
    def test_clothes_of_a_kind_are_neighbours(self, name: str, real_data: Path) -> None:
        chosen = settings(name, "imagenet" if name == facts.LITE else real_data / QUANTISED_FILE)
        kinds = [clothing(real_data, kind, 8, 224) for kind in ("t-shirt", "shoes", "shorts")]
        seen = extractor(chosen, 224, 1)(np.concatenate(kinds))
        assert seen.shape == (24, 1280)
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        nearest = (seen @ seen.T - 2 * np.eye(24)).argmax(axis=1)
        assert (nearest // 8 == np.arange(24) // 8).mean() >= 0.85


def test_naming_features_loads_no_tensorflow() -> None:
    """A Spark driver that names features has no use for it."""
    program = (
        "import sys; from lib.images.backbones import backbone_key; from lib.config import BackboneSettings; "
        "print(backbone_key(BackboneSettings(), 224), 'tensorflow' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [backbone_key(BackboneSettings(), 224), "False"]


def save_as_published(model: keras.Model, path: Path) -> Path:
    """As the files of keras.applications were written."""
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


def virtual_layout(source: Path) -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout((1,), "f4")
    layout[:] = h5py.VirtualSource(str(source), "x", (1,))
    return layout
