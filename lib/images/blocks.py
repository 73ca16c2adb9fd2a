"""The blocks of EfficientNet-Lite0, for those who build it and those who name its weights without TensorFlow."""

from dataclasses import dataclass

STEM_FILTERS = 32


@dataclass(frozen=True)
class Block:
    """An inverted residual block (MBConv): widen by a 1x1 convolution, look around in each channel, narrow again.

    Attributes:
        name: "block" + number of the stage + letter within it.
        kernel: side of the depthwise filters.
        stride: of the depthwise convolution.
        expansion: wide channels for each channel that comes in; 1 widens nothing.
        channels_in, channels_out: before and after.
    """

    name: str
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int

    @property
    def is_residual(self) -> bool:
        """Whether its input is added to its output."""
        return self.stride == 1 and self.channels_in == self.channels_out


def _blocks() -> list[Block]:
    stages = [  # blocks, kernel, stride of the first, expansion, channels: table 1 of the paper
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ]
    blocks: list[Block] = []
    before = STEM_FILTERS
    for number, (count, kernel, stride, expansion, channels) in enumerate(stages, 1):
        for letter in "abcd"[:count]:
            first = letter == "a"
            blocks.append(Block(f"block{number}{letter}", kernel, stride if first else 1, expansion, before, channels))
            before = channels
    return blocks


BLOCKS = _blocks()
