# pyright: reportMissingImports=false
"""The networks that distances of pictures are taken in, with torchvision's names of weights and without torchvision.

Part of `torch_comparison.py`, which runs in an environment of PyTorch's and imports nothing of the project.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import torch
from torch import nn
from torch.nn import functional

PLACES = {
    "alexnet": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    "squeezenet1_1": "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
    "art_inception": "https://huggingface.co/matthias-wright/art_inception/resolve/main/art_inception.pth",
}
"""Where each network's published weights are."""

_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0 halves the map
_VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0)


def read_weights(name: str, folder: Optional[str]) -> dict[str, torch.Tensor]:
    """The weights NAME*.safetensors or NAME*.pth of the folder, or the published ones; no code in a file is run.

    Raises FileNotFoundError where the folder has none.
    """
    if folder is None:
        return torch.hub.load_state_dict_from_url(PLACES[name], map_location="cpu", weights_only=True)
    found = [path for end in ("safetensors", "pth") for path in sorted(Path(folder).glob(f"{name}*.{end}"))]
    if not found:
        raise FileNotFoundError(f"{folder} has no {name}.safetensors or {name}.pth (published: {PLACES.get(name, '')})")
    return read_file(found[0])


def read_file(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, or of a .pth file read as data alone."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def hash_weights(weights: dict[str, torch.Tensor]) -> str:
    """Which weights these are, in 12 digits."""
    known = hashlib.sha256()
    for name in sorted(weights):
        known.update(name.encode() + weights[name].contiguous().cpu().numpy().tobytes())
    return known.hexdigest()[:12]


def fill(network: nn.Module, weights: dict[str, torch.Tensor]) -> nn.Module:
    """The network with these weights; heads that it lacks are left out. Raises ValueError where one is missing."""
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in weights and not name.endswith("num_batches_tracked")]
    if missing:
        raise ValueError(f"the weights lack {missing[0]} and {len(missing) - 1} more")
    network.load_state_dict({name: weights[name] for name in wanted if name in weights}, strict=False)
    return network.eval().requires_grad_(False)


class Features(nn.Module):
    """A chain of layers, torchvision's `features`; a call gives the maps after the layers that are tapped."""

    def __init__(self, layers: Iterable[nn.Module], taps: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.Sequential(*list(layers)[: max(taps) + 1])
        self._taps = taps

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The tapped maps of pictures (n, 3, h, w)."""
        maps = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                maps.append(x)
        return maps


def make_alexnet() -> Features:
    """Up to conv5, with the maps of its five convolutions."""
    sizes = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
    layers: list[nn.Module] = []
    for index, (inside, outside, side, stride, padding) in enumerate(sizes):
        layers += [nn.Conv2d(inside, outside, side, stride, padding), nn.ReLU()]
        if index < 2:
            layers.append(nn.MaxPool2d(3, 2))
    return Features(layers, (1, 4, 7, 9, 11))


def make_vgg16() -> Features:
    """relu1_2, relu2_2, relu3_3, relu4_3, relu5_3."""
    return Features(_list_vgg(_VGG16), (3, 8, 15, 22, 29))


def make_vgg19() -> Features:
    """relu1_1, relu2_1, relu3_1, relu4_1, relu5_1."""
    return Features(_list_vgg(_VGG19), (1, 6, 11, 20, 29))


def _list_vgg(widths: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = 3
    for width in widths:
        if width:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        else:
            layers.append(nn.MaxPool2d(2, 2))
    return layers


class _Fire(nn.Module):
    def __init__(self, inside: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inside, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.squeeze(x))
        return torch.cat([functional.relu(self.expand1x1(x)), functional.relu(self.expand3x3(x))], 1)


def make_squeezenet() -> Features:
    """The first convolution and six of version 1.1's fires."""

    def halve() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    fires = [_Fire(*sizes) for sizes in (
        (64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128),
        (256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256),
    )]  # fmt: skip
    layers = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), halve(), *fires[:2], halve(), *fires[2:4], halve(), *fires[4:]]
    return Features(layers, (1, 4, 7, 9, 10, 11, 12))


class _Convolution(nn.Module):
    def __init__(self, inside: int, outside: int, side: Any, stride: int = 1, padding: Any = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, side, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.bn(self.conv(x)))


_WIDE, _HIGH = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
_WIDE3, _HIGH3 = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
_ONE, _SAME, _HALF = (1,), (3, 1, 1), (3, 2)
_Branch = tuple[tuple[str, int, Any], ...]


class _Mixed(nn.Module):
    """Branches of convolutions on one map, put one after the other; then the pooled map, itself convolved or not.

    A branch whose last names are a pair ends in two convolutions of the same map.
    """

    def __init__(self, inside: int, branches: tuple[_Branch, ...], pooled: int = 0) -> None:
        super().__init__()
        self._branches = [[name for name, _, _ in branch] for branch in branches]
        for branch in branches:
            before = inside
            for name, width, how in branch:
                self.add_module(name, _Convolution(before, width, *how))
                before = before if name.endswith("a") else width
        if pooled:
            self.branch_pool = _Convolution(inside, pooled, 1)
        self._pooled = pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [y for names in self._branches for y in self._walk(x, names)]
        if self._pooled:
            return torch.cat([*maps, self.branch_pool(functional.avg_pool2d(x, 3, 1, 1))], 1)
        return torch.cat([*maps, functional.max_pool2d(x, 3, 2)], 1)

    def _walk(self, x: torch.Tensor, names: list[str]) -> list[torch.Tensor]:
        chain = [name for name in names if name[-1] not in "ab"]
        for name in chain:
            x = getattr(self, name)(x)
        ends = [name for name in names if name[-1] in "ab"]
        return [getattr(self, name)(x) for name in ends] or [x]


def _mix_5(inside: int, pooled: int) -> _Mixed:
    five = (("branch5x5_1", 48, _ONE), ("branch5x5_2", 64, (5, 1, 2)))
    three = (("branch3x3dbl_1", 64, _ONE), ("branch3x3dbl_2", 96, _SAME), ("branch3x3dbl_3", 96, _SAME))
    return _Mixed(inside, ((("branch1x1", 64, _ONE),), five, three), pooled)


def _mix_6(width: int) -> _Mixed:
    seven = (("branch7x7_1", width, _ONE), ("branch7x7_2", width, _WIDE), ("branch7x7_3", 192, _HIGH))
    twice = (
        ("branch7x7dbl_1", width, _ONE), ("branch7x7dbl_2", width, _HIGH), ("branch7x7dbl_3", width, _WIDE),
        ("branch7x7dbl_4", width, _HIGH), ("branch7x7dbl_5", 192, _WIDE),
    )  # fmt: skip
    return _Mixed(768, ((("branch1x1", 192, _ONE),), seven, twice), 192)


def _mix_7(inside: int) -> _Mixed:
    three = (("branch3x3_1", 384, _ONE), ("branch3x3_2a", 384, _WIDE3), ("branch3x3_2b", 384, _HIGH3))
    twice = (
        ("branch3x3dbl_1", 448, _ONE), ("branch3x3dbl_2", 384, _SAME), ("branch3x3dbl_3a", 384, _WIDE3),
        ("branch3x3dbl_3b", 384, _HIGH3),
    )  # fmt: skip
    return _Mixed(inside, ((("branch1x1", 320, _ONE),), three, twice), 192)


class ArtInception(nn.Module):
    """ArtFID's Inception v3 (github.com/matthias-wright/art-fid) without its heads: (n, 3, h, w) to (n, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, 1, 1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _mix_5(192, 32), _mix_5(256, 64), _mix_5(288, 64)
        shrunk = (("branch3x3dbl_1", 64, _ONE), ("branch3x3dbl_2", 96, _SAME), ("branch3x3dbl_3", 96, _HALF))
        self.Mixed_6a = _Mixed(288, ((("branch3x3", 384, _HALF),), shrunk))
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_mix_6, (128, 160, 160, 192))
        three = (("branch3x3_1", 192, _ONE), ("branch3x3_2", 320, _HALF))
        seven = (
            ("branch7x7x3_1", 192, _ONE), ("branch7x7x3_2", 192, _WIDE), ("branch7x7x3_3", 192, _HIGH),
            ("branch7x7x3_4", 192, _HALF),
        )  # fmt: skip
        self.Mixed_7a = _Mixed(768, (three, seven))
        self.Mixed_7b, self.Mixed_7c = _mix_7(1280), _mix_7(2048)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The features of pictures from 0 to 1."""
        for layer in self.children():
            x = layer(x)
        return x.mean((2, 3))


MAKERS = {
    "alexnet": make_alexnet,
    "vgg16": make_vgg16,
    "vgg19": make_vgg19,
    "squeezenet1_1": make_squeezenet,
    "art_inception": ArtInception,
}


def open_network(name: str, folder: Optional[str], device: str) -> tuple[nn.Module, str]:
    """A network by its name in `PLACES`, and which weights it has."""
    weights = read_weights(name, folder)
    return fill(MAKERS[name](), weights).to(device), hash_weights(weights)
