"""The numbers that tell a style: deviations and means of what VGG16 (arXiv 1409.1556) sees in a picture."""

from __future__ import annotations

from jstyle import ops
from jstyle.networks.entry import check_shape
from jstyle.networks.layers import Conv2d
from jstyle.runtime import jt

WIDTHS = (64, 128, 256, 512, 512)
_CONVOLUTIONS = (2, 2, 3, 3, 3)
# Of pictures in [-1, 1], as LPIPS (arXiv 1801.03924) shows them to VGG.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Slice(jt.Module):
    """Convolutions at one resolution, each before a relu; ``place`` is that of the first, which is its name."""

    def __init__(self, channels: int, width: int, count: int, place: int) -> None:
        self._names = [str(place + 2 * number) for number in range(count)]
        for name in self._names:
            setattr(self, name, Conv2d(channels, width, 3, padding=(1, 1)))
            channels = width

    def execute(self, x: jt.Var) -> jt.Var:
        """x (batch, height, width, channels) -> (batch, height, width, width of the slice)."""
        for name in self._names:
            x = jt.maximum(getattr(self, name)(x), 0.0)
        return x


class VGG16(jt.Module):
    """The convolutions up to relu5_3, in five slices that end at relu1_2, 2_2, 3_3, 4_3 and 5_3.

    A layer's name is its slice and its place among torchvision's ``features``.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        self.style_width = 2 * sum(widths)
        channels, place = 3, 0
        for number, (width, count) in enumerate(zip(widths, _CONVOLUTIONS), 1):
            setattr(self, f"slice{number}", Slice(channels, width, count, place))
            channels, place = width, place + 2 * count + 1  # a pooling lies between

    def execute(self, image: jt.Var) -> list[jt.Var]:
        """Images (batch, 3, height, width) in [-1, 1] -> five maps (batch, height', width', channels)."""
        check_shape("VGG16", "images", image, ("batch", 3, "height", "width"))
        shift, scale = (jt.array(values).reshape(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
        maps = [self.slice1(ops.channels_last((image - shift) / scale, "float32"))]
        for slice_ in (self.slice2, self.slice3, self.slice4, self.slice5):
            maps.append(slice_(_halve(maps[-1])))
        return maps

    def describe(self, image: jt.Var) -> jt.Var:
        """A picture's style (batch, style_width): layer by layer all unbiased deviations, then all means."""
        told = []
        for x in self(image):
            mean = x.mean([1, 2], keepdims=True)
            places = x.shape[1] * x.shape[2]
            told += [(((x - mean) ** 2).sum([1, 2]) / (places - 1)).sqrt(), mean.reshape(x.shape[0], -1)]
        return jt.concat(told, dim=1)


def _halve(x: jt.Var) -> jt.Var:
    """The greatest of each two by two."""
    batch, height, width, channels = x.shape
    cut = x[:, : height // 2 * 2, : width // 2 * 2]
    return cut.reshape(batch, height // 2, 2, width // 2, 2, channels).max([2, 4])
