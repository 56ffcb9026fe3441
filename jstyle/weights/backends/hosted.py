"""A network of this project whose calls another library's network answers: the same weights, names and seams.

A hosted network is a native one, with its configuration, sites and modules, whose parameters *are* the other's: nothing
is copied, and what a method does to it (``attached``, ``swapped``, training) it does as ever. For the time of a call
what was changed takes effect in the other network, through processors and bridges. Between calls that is untouched.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Callable, ContextManager, Dict, Iterator, Mapping, Union

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks import AutoencoderKL, CLIPTextModel, TextContext, UNet2DConditionModel
from jstyle.networks.attention import GEGLU
from jstyle.networks.config import CLIPTextConfig, UNetConfig, VAEConfig
from jstyle.networks.editing import bind, place, swapped
from jstyle.networks.layers import GroupNorm, LayerNorm, Nothing
from jstyle.networks.resnet import ResnetBlock2D
from jstyle.networks.unet import Times
from jstyle.networks.vae import DiagonalGaussian
from jstyle.runtime import jt
from jstyle.weights.backends.bridges import BRIDGES, Bridge, GEGLUBridge, GroupNormBridge, Place, TimeSilu
from jstyle.weights.backends.processors import FusedAttnProcessor, attention_modules, processing
from jstyle.weights.tensors import IGNORED_KEYS

Mode = Callable[[], ContextManager[Any]]


class Host:
    """The other library's network behind a native one, which takes its parameters over.

    ``mode`` is entered for every call. Raises InputError where the two have not the same parameters.
    """

    def __init__(self, own: jt.Module, network: Any, what: str, mode: Mode = nullcontext) -> None:
        _share_parameters(own, network, what)
        self.network = network
        self._mode = mode
        self._attention = attention_modules(network)
        self._modules = {path: module for path, module in own.named_modules() if path}
        self._places = {path: Place(*place(own, path)) for path in self._modules}
        self._bridged: Dict[str, Any] = {}

    @contextmanager
    def call(self, processors: Mapping[str, FusedAttnProcessor]) -> Iterator[Any]:
        """The other network, for one call, with these processors and all that was swapped in ours."""
        changed = {path: one for path, one in self._places.items() if path not in self._bridged and one.changed}
        bridges = {path: _bridge(path, one) for path, one in changed.items()}
        with self._mode(), swapped(self.network, bridges), processing(self._attention, processors):
            yield self.network

    @contextmanager
    def accelerated(self) -> Iterator[None]:
        """Fused attention, norms and gates in every call of the other network, whoever calls it."""
        if self._bridged:
            raise InputError("this pipeline is accelerated already")
        bridges = self._fused_layers()
        processors = {path: FusedAttnProcessor() for path in self._attention}
        with swapped(self.network, bridges), processing(self._attention, processors):
            gates = {f"{path}.proj": one for path, one in bridges.items() if isinstance(one, GEGLUBridge)}
            self._bridged = {**bridges, **gates}
            try:
                yield
            finally:
                self._bridged = {}

    def _fused_layers(self) -> Dict[str, Any]:
        """What takes the place of norms, of the activations that go into them, and of gates, by path."""
        layers: Dict[str, Any] = {}
        for path, module in self._modules.items():
            parent, _, name = path.rpartition(".")
            if isinstance(module, GroupNorm):
                block = isinstance(self._modules.get(parent), ResnetBlock2D)
                layers[path] = GroupNormBridge(self._places[path], silu=block or name == "conv_norm_out")
                if block:
                    layers[f"{parent}.nonlinearity"] = TimeSilu()
                elif name == "conv_norm_out":
                    layers[f"{parent}.conv_act".lstrip(".")] = Nothing()
            elif isinstance(module, LayerNorm):
                layers[path] = Bridge(self._places[path])
            elif isinstance(module, GEGLU):
                holder, key = place(self.network, f"{path}.proj")
                layers[path] = GEGLUBridge(self._places[path], holder[key])
        return layers


class HostedUNet(UNet2DConditionModel):
    """A UNet in diffusers' manner."""

    def __init__(self, network: Any, mode: Mode = nullcontext) -> None:
        super().__init__(UNetConfig.from_dict(dict(network.config)))
        self._host = Host(self, network, "UNet", mode)

    def execute(
        self, sample: jt.Var, timestep: Times, encoder_hidden_states: Union[jt.Var, TextContext], step: int = 0
    ) -> jt.Var:
        text = encoder_hidden_states
        text = text.text if isinstance(text, TextContext) else text
        times = np.broadcast_to(np.asarray(timestep, np.float32).reshape(-1), (sample.shape[0],))
        edit = bind(self.attachments, step)
        paths = {path for attachment in self.attachments for path in attachment.paths}
        processors = {site.path: FusedAttnProcessor(site, edit) for site in self.sites if site.path in paths}
        inputs = ops.cast(sample, self.dtype), jt.array(np.array(times)), ops.cast(text, self.dtype)
        with self._host.call(processors) as network:
            return ops.cast(network(*inputs, return_dict=False)[0], "float32")


class HostedVAE(AutoencoderKL):
    """An autoencoder in diffusers' manner."""

    def __init__(self, network: Any, mode: Mode = nullcontext) -> None:
        super().__init__(VAEConfig.from_dict(dict(network.config)))
        self._host = Host(self, network, "VAE", mode)

    def encode(self, image: jt.Var) -> DiagonalGaussian:
        with self._host.call({}) as network:
            posterior = network.encode(ops.cast(image, self._dtype)).latent_dist
            return DiagonalGaussian(ops.cast(posterior.mean, "float32"), ops.cast(posterior.logvar, "float32"))

    def decode(self, latent: jt.Var) -> jt.Var:
        with self._host.call({}) as network:
            return ops.cast(network.decode(ops.cast(latent, self._dtype), return_dict=False)[0], "float32")

    @property
    def _dtype(self) -> str:
        return str(self.quant_conv.weight.dtype)


class HostedTextEncoder(CLIPTextModel):
    """A text encoder in transformers' manner."""

    def __init__(self, network: Any, mode: Mode = nullcontext) -> None:
        super().__init__(CLIPTextConfig.from_dict(network.config.to_dict()))
        self._host = Host(self, network, "text encoder", mode)

    def execute(self, input_ids: jt.Var) -> jt.Var:
        with self._host.call({}) as network:
            return ops.cast(network(input_ids)[0], "float32")


@contextmanager
def accelerated(*networks: Any) -> Iterator[None]:
    """`Host.accelerated` for all of these that are hosted; native networks are fast as they are."""
    with ExitStack() as stack:
        for network in networks:
            if isinstance(network, (HostedUNet, HostedVAE, HostedTextEncoder)):
                stack.enter_context(network._host.accelerated())
        yield


def _bridge(path: str, changed: Place) -> Any:
    for kind, bridge in BRIDGES:
        if isinstance(changed.original, kind) and isinstance(changed.current, kind):
            return bridge(changed)
    raise InputError(
        f"{path} was replaced by a {type(changed.current).__name__}, but here only single layers can be, by their "
        "like; for recompute and other changes of whole blocks take the native backend"
    )


def _share_parameters(own: jt.Module, network: Any, what: str) -> None:
    ours = dict(own.named_parameters())
    theirs = {key: one for key, one in network.named_parameters() if key not in IGNORED_KEYS}
    wrong = sorted(set(ours) ^ set(theirs))
    wrong += [key for key in ours if key in theirs and tuple(ours[key].shape) != tuple(theirs[key].shape)]
    if wrong:
        raise InputError(
            f"the {what} of this pipeline has other parameters than its configuration says ({', '.join(wrong[:3])}); "
            "take adapters off it before it is handed in"
        )
    for key in ours:
        holder, name = place(own, key)
        holder[name] = theirs[key]
