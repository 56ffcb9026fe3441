"""A network of this project whose calls another library's network answers: the same weights, names and seams.

A hosted network is a native one, with its configuration, sites and modules, whose parameters *are* the other's: nothing
is copied, and methods work on it as on any other (``attached``, ``swapped``, training). During a call, through
processors and bridges, what they changed takes effect in the other network, which is untouched between calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Optional

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks import AutoencoderKL, CLIPTextModel, TextContext, UNet2DConditionModel
from jstyle.networks.attention import GEGLU
from jstyle.networks.config import CLIPTextConfig, UNetConfig, VAEConfig
from jstyle.networks.editing import bind, find_holder, swapped
from jstyle.networks.layers import GroupNorm, LayerNorm, Nothing
from jstyle.networks.outputs import ControlNetOutput
from jstyle.networks.posterior import DiagonalGaussian
from jstyle.networks.resnet import ResnetBlock2D
from jstyle.runtime import jt
from jstyle.weights.backends.bridges import BRIDGES, Bridge, GEGLUBridge, GroupNormBridge, Seat, TimeSilu
from jstyle.weights.backends.processors import FusedAttnProcessor, list_attention, use_processors
from jstyle.weights.loading import IGNORED_KEYS

Mode = Callable[[], AbstractContextManager[Any]]


class Host:
    """The other library's network behind a native one, which takes over its parameters.

    ``mode`` is entered for every call. Raises InputError where the two do not have the same parameters.
    """

    def __init__(self, native: jt.Module, network: Any, what: str, mode: Mode = nullcontext) -> None:
        _share_parameters(native, network, what)
        self.network = network
        self._mode = mode
        self._attention = list_attention(network)
        self._modules = {path: module for path, module in native.named_modules() if path}
        self._seats = {path: Seat(*find_holder(native, path)) for path in self._modules}
        self._bridged: dict[str, Any] = {}

    @contextmanager
    def call(self, processors: Mapping[str, FusedAttnProcessor]) -> Iterator[Any]:
        """The other network, for one call, with these processors and with all that was swapped in ours.

        Raises InputError for a change of a whole block, which has no bridge.
        """
        changed = {path: seat for path, seat in self._seats.items() if path not in self._bridged and seat.changed}
        bridges = {path: _make_bridge(path, seat) for path, seat in changed.items()}
        with self._mode(), swapped(self.network, bridges), use_processors(self._attention, processors):
            yield self.network

    @contextmanager
    def accelerate(self) -> Iterator[None]:
        """Fused attention, norms and gates in every call of the other network, whoever calls it.

        Raises InputError where they are at work already.
        """
        if self._bridged:
            raise InputError("this pipeline is accelerated already")
        bridges = self._make_fused_layers()
        processors = {path: FusedAttnProcessor() for path in self._attention}
        with swapped(self.network, bridges), use_processors(self._attention, processors):
            gates = {f"{path}.proj": gate for path, gate in bridges.items() if isinstance(gate, GEGLUBridge)}
            self._bridged = {**bridges, **gates}
            try:
                yield
            finally:
                self._bridged = {}

    def _make_fused_layers(self) -> dict[str, Any]:
        """What takes the place of norms, of the activations that these then include, and of gates, by path."""
        layers: dict[str, Any] = {}
        for path, module in self._modules.items():
            parent, _, name = path.rpartition(".")
            if isinstance(module, GroupNorm):
                in_resnet = isinstance(self._modules.get(parent), ResnetBlock2D)
                layers[path] = GroupNormBridge(self._seats[path], silu=in_resnet or name == "conv_norm_out")
                if in_resnet:
                    layers[f"{parent}.nonlinearity"] = TimeSilu()
                elif name == "conv_norm_out":
                    layers[f"{parent}.conv_act".lstrip(".")] = Nothing()
            elif isinstance(module, LayerNorm):
                layers[path] = Bridge(self._seats[path])
            elif isinstance(module, GEGLU):
                holder, key = find_holder(self.network, f"{path}.proj")
                layers[path] = GEGLUBridge(self._seats[path], holder[key])
        return layers


class HostedUNet(UNet2DConditionModel):
    """The UNet in front of a UNet of diffusers' kind."""

    takes_residuals = False

    def __init__(self, network: Any, mode: Mode = nullcontext) -> None:
        config = UNetConfig.from_dict(dict(network.config))
        if config.has_addition:
            raise InputError("Stable Diffusion XL computes here with the native backend alone; take backend native")
        super().__init__(config)
        self._host = Host(self, network, "UNet", mode)

    def compute(
        self,
        sample: jt.Var,
        times: np.ndarray,
        text: TextContext,
        step: int,
        residuals: Optional[ControlNetOutput] = None,
    ) -> jt.Var:
        """sample (batch, in_channels, height, width) -> (batch, out_channels, height, width), as the native UNet.

        Raises InputError for residuals.
        """
        if residuals is not None:
            raise InputError("no ControlNet steers another library's networks: leave backend at native")
        edit = bind(self.attachments, step)
        paths = {path for attachment in self.attachments for path in attachment.paths}
        processors = {site.path: FusedAttnProcessor(site, edit) for site in self.sites if site.path in paths}
        inputs = ops.cast(sample, self.dtype), jt.array(np.array(times)), ops.cast(text.text, self.dtype)
        with self._host.call(processors) as network:
            return ops.cast(network(*inputs, return_dict=False)[0], "float32")


class HostedVAE(AutoencoderKL):
    """The autoencoder in front of one of diffusers' kind."""

    def __init__(self, network: Any, mode: Mode = nullcontext) -> None:
        super().__init__(VAEConfig.from_dict(dict(network.config)))
        self._host = Host(self, network, "VAE", mode)

    def compute_posterior(self, image: jt.Var) -> DiagonalGaussian:
        """The posterior of the latent of ``image`` (batch, 3, h, w), in fp32."""
        with self._host.call({}) as network:
            posterior = network.encode(ops.cast(image, self._dtype)).latent_dist
            return DiagonalGaussian(ops.cast(posterior.mean, "float32"), ops.cast(posterior.logvar, "float32"))

    def compute_image(self, latent: jt.Var) -> jt.Var:
        """The image (batch, 3, h, w) of a latent (batch, latent_channels, h / factor, w / factor), in fp32."""
        with self._host.call({}) as network:
            return ops.cast(network.decode(ops.cast(latent, self._dtype), return_dict=False)[0], "float32")

    @property
    def _dtype(self) -> str:
        return str(self.quant_conv.weight.dtype)


class HostedTextEncoder(CLIPTextModel):
    """The text encoder in front of one of transformers' kind."""

    def __init__(self, network: Any, mode: Mode = nullcontext) -> None:
        super().__init__(CLIPTextConfig.from_dict(network.config.to_dict()))
        self._host = Host(self, network, "text encoder", mode)

    def compute(self, ids: jt.Var, states: Optional[list[jt.Var]]) -> jt.Var:
        """Token ids (batch, tokens) -> the last hidden state (batch, tokens, hidden_size), in fp32."""
        with self._host.call({}) as network:
            if states is None:
                return ops.cast(network(ids)[0], "float32")
            output = network(ids, output_hidden_states=True)
            states.extend(ops.cast(state, "float32") for state in output.hidden_states)
            return ops.cast(output[0], "float32")


@contextmanager
def accelerate_networks(*networks: Any) -> Iterator[None]:
    """`Host.accelerate` for all of these that are hosted; native networks are fast as they are."""
    with ExitStack() as stack:
        for network in networks:
            if isinstance(network, (HostedUNet, HostedVAE, HostedTextEncoder)):
                stack.enter_context(network._host.accelerate())
        yield


def _make_bridge(path: str, seat: Seat) -> Any:
    for kind, bridge in BRIDGES:
        if isinstance(seat.original, kind) and isinstance(seat.current, kind):
            return bridge(seat)
    raise InputError(
        f"{path} was replaced by a {type(seat.current).__name__}, but here only single layers can be, by their "
        "like; for recompute and other changes of whole blocks take the native backend"
    )


def _share_parameters(native: jt.Module, network: Any, what: str) -> None:
    ours = dict(native.named_parameters())
    theirs = {key: var for key, var in network.named_parameters() if key not in IGNORED_KEYS}
    wrong = sorted(set(ours) ^ set(theirs))
    wrong += [key for key in ours if key in theirs and tuple(ours[key].shape) != tuple(theirs[key].shape)]
    if wrong:
        raise InputError(
            f"the {what} of this pipeline has other parameters than its configuration says ({', '.join(wrong[:3])}); "
            "take adapters off it before it is handed in"
        )
    for key in ours:
        holder, name = find_holder(native, key)
        holder[name] = theirs[key]
