"""Where pictures come from, how they are kept, and the network that looks at them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lib.config.base import Positive, Settings, Share, Text
from lib.config.crawl import PORT, HostSettings

# Names by which lib/images/backbones.py knows them.
BackboneName = Literal[
    "xception", "resnet50", "inceptionv3", "inceptionresnetv2", "mobilenet", "mobilenetv2", "mobilenetv2_140",
    "densenet121", "densenet169", "densenet201", "nasnetlarge", "nasnetmobile", "efficientnet_lite0",
    "mobilenetv2_quantised",
]  # fmt: skip


class ImagesSettings(Settings):
    """The pictures of a month's products (lib/images)."""

    source: Literal["url", "folder", "zip"] = Field(
        "url", description="fetched from products.image_url, or files of a folder or a zip"
    )
    path: Text | None = Field(None, description="the folder or zip, which driver and workers see")
    file: Text = Field("{id}.jpg", description="file of a product within it; {id} is the mall's own id of the offer")
    hosts: dict[Text, HostSettings] = Field(
        default_factory=dict,
        description="source url: hosts that pictures may be fetched from, as crawl.hosts; all else is as crawl says",
    )
    share: Share = Field(1.0, description="share of the products whose pictures are taken, by their ids' hash")
    size: Annotated[int, Field(ge=16, le=1024)] = Field(224, description="pixels of a kept picture's side")
    fit: Literal["crop", "pad", "stretch"] = Field(
        "crop", description="how a picture becomes square: its middle, white beside it, or out of proportion"
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(90, description="of the kept JPEG")
    max_bytes: Positive = Field(16 << 20, description="of a picture as delivered")
    max_pixels: Positive = Field(50_000_000, description="of a picture as delivered; larger ones are not decoded")
    min_side: Positive = Field(8, description="pixels of its shorter side; smaller ones, such as 1x1, show nothing")
    staging: Annotated[str, Field(pattern=r"^[^\[\]{}*?\\]+$")] = Field(
        ".run/images", description="folder that driver and workers see; what is fetched lies there until it is stored"
    )

    @model_validator(mode="after")
    def _has_a_place(self) -> "ImagesSettings":
        if self.source == "url" and not self.hosts:
            raise ValueError("images.source url needs images.hosts, the hosts that pictures may be fetched from")
        if (self.source == "url") != (self.path is None):
            raise ValueError("images.path is for the sources folder and zip, which need it")
        if self.source != "url" and "{id}" not in self.file:
            raise ValueError("images.file needs {id}, the place of the offer's id")
        if self.file.startswith("/") or ".." in self.file.split("/"):
            raise ValueError("images.file leads out of images.path; name files within it, such as {id}.jpg")
        for host in self.hosts:
            if "@" in host or "/" in host:
                raise ValueError("a key of images.hosts is no host; give its name alone, without user, scheme or path")
        return self

    @property
    def on_embedded_site(self) -> bool:
        """Whether its hosts name the port of the embedded site, which is known only when that runs."""
        return any(PORT in host for host in self.hosts)

    def at_port(self, port: int) -> "ImagesSettings":
        """The same with the embedded site's port in its place."""
        hosts = {host.replace(PORT, str(port)): found for host, found in self.hosts.items()}
        return self.model_copy(update={"hosts": hosts})


class BackboneSettings(Settings):
    """The pretrained network that looks at pictures (lib/images/backbones.py)."""

    name: BackboneName = "efficientnet_lite0"
    weights: Text = Field(
        "imagenet", description="imagenet, none (random, for tests and speed), or the path of a weights file"
    )


class ImageFeaturesSettings(Settings):
    """Batch prediction of feature vectors on Spark. No key of it changes a feature."""

    batch_size: Positive = Field(32, description="pictures that the backbone sees at once")
    threads: Positive = Field(1, description="TensorFlow threads of one Python worker")
    chunk_rows: Positive = Field(50_000, description="pictures between two points that a killed run goes on from")
