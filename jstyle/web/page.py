"""The page in Gradio: a tab for each work, and beside them what was asked for and what came of it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import gradio as gr  # pyright: ignore[reportMissingImports]
import pandas as pd  # pyright: ignore[reportMissingImports]

from jstyle import __version__
from jstyle.errors import InputError
from jstyle.web import showing
from jstyle.web.forms import AXES, Field
from jstyle.web.service import Service
from jstyle.web.widgets import make_widget
from jstyle.web.works import COMPETITION, PICTURES, TEACHING, Work

_POLL = 1.0  # seconds
_MOST_BUTTONS = 4
"""Requests that can be cancelled at once: those that are made next."""

_MOST_FILES = 12
"""That are listed for download; all pictures are in the gallery."""

_MOST_SESSIONS = 8
"""Of which Gradio keeps a copy of the page's configuration, 2 MB each: pages that are open, and calls by programs. It
would keep 10000, and needs none here.
"""

_LARGEST_SEED = 2**31 - 1
_VERBS = {PICTURES: "Make", TEACHING: "Teach", COMPETITION: "Start"}

CSS = """
.jstyle-status {padding: .5rem 0; line-height: 1.6; overflow-wrap: anywhere}
.jstyle-status progress {width: 100%; height: .8rem; accent-color: #6366f1}
.jstyle-preview {max-width: 100%; width: 256px; border-radius: 6px}
.jstyle-error {color: #b00020}
.dark .jstyle-error {color: #ff8a80}
"""


@dataclass
class Form:
    """A work's tab: its fields with their components."""

    work: Work
    fields: list[Field]
    widgets: list[gr.components.Component]

    def find_seed(self) -> Optional[int]:
        """Which of the fields is the seed, None where there is none."""
        names = [field.name for field in self.fields]
        return names.index("seed") if "seed" in names else None


def make_theme() -> gr.themes.Base:
    """Gradio's own look in the fonts of the system: none is fetched."""
    return gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def build_page(service: Service) -> gr.Blocks:
    """All of it; `service` does what is asked."""
    with gr.Blocks(title="jstyle", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        token = gr.BrowserState("", storage_key="jstyle-visitor", secret="jstyle")
        gr.Markdown(f"## jstyle\nStyle transfer with Stable Diffusion in Jittor, version {__version__}.")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                forms = _build_tabs(service)
            with gr.Column(scale=2, min_width=320):
                results = _build_results(service, token)
        for form, buttons in forms:
            _connect(service, form, buttons, token, results)
            _offer_api(service, form)
        page.load(service.welcome, token, token, api_visibility="private")
        poll = gr.Timer(_POLL)
        poll.tick(
            lambda token, seen: _look(service, token, seen),
            [token, results.seen],
            results.components,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
    page.state_session_capacity = _MOST_SESSIONS
    return page


@dataclass
class Buttons:
    """What starts a work, and what its form is filled in from."""

    make: gr.Button
    another: Optional[gr.Button]
    picture: Optional[gr.File]
    grid: list[Any]
    """The button of a grid, and its settings with their values; empty where there is none."""


def _build_tabs(service: Service) -> list[tuple[Form, Buttons]]:
    forms = []
    groups = [group for group in (PICTURES, TEACHING, COMPETITION) if service.list_group(group)]
    with gr.Tabs():
        for group in groups:
            with gr.Tab(group), gr.Tabs():
                for work in service.list_group(group):
                    with gr.Tab(work.title, id=work.name):
                        forms.append(_build_form(service, work))
    return forms


def _build_form(service: Service, work: Work) -> tuple[Form, Buttons]:
    source = f" ({work.source})" if work.source else ""
    gr.Markdown(f"{work.summary[:1].upper()}{work.summary[1:]}{source}.")
    fields = service.fields[work.name]
    lacking = service.find_lacking(work)
    if lacking:
        gr.Markdown(f"*{lacking}*")
    widgets: dict[str, gr.components.Component] = {}
    for some in _split_foremost(fields):
        with gr.Row(equal_height=False):
            widgets.update(_make_widgets(service, work, some))
    has_seed = work.group == PICTURES and "seed" in work.foremost
    with gr.Row():
        make = gr.Button(_VERBS[work.group], variant="primary", elem_id=f"make-{work.name}")
        another = gr.Button("Another seed", elem_id=f"another-{work.name}") if has_seed else None
    optional = [field for field in fields if field.kind == "pictures" and not field.is_required]
    if optional:
        with gr.Accordion("Pictures to start from", open=False), gr.Row(equal_height=False):
            widgets.update(_make_widgets(service, work, optional))
    with gr.Accordion("More settings", open=False), gr.Row(equal_height=False):
        widgets.update(_make_widgets(service, work, [field for field in fields if field.name not in widgets]))
    picture, grid = None, []
    if work.group == PICTURES:
        with gr.Accordion("A grid: what one or two settings do", open=False):
            grid = _build_grid(work, fields)
        with gr.Accordion("Settings from a picture", open=False):
            picture = gr.File(label="A PNG that was made here", elem_id=f"from-{work.name}", height=90)
    return Form(work, fields, [widgets[field.name] for field in fields]), Buttons(make, another, picture, grid)


def _build_grid(work: Work, fields: Sequence[Field]) -> list[Any]:
    """A button, then a setting and its values, twice."""
    names = [("", ""), *((field.label, field.name) for field in fields if field.kind in AXES)]
    parts: list[Any] = []
    for side in ("down", "across"):
        with gr.Row():
            parts.append(gr.Dropdown(names, value="", label=f"Setting {side}", elem_id=f"{side}-{work.name}"))
            parts.append(gr.Textbox(label=f"Its values {side}", placeholder="0.3 0.5 0.75"))
    return [gr.Button("Make the grid", elem_id=f"grid-{work.name}"), *parts]


def _split_foremost(fields: Sequence[Field]) -> list[list[Field]]:
    """What stands in front, a row each: pictures, every text that takes the whole width, the rest."""
    foremost = [field for field in fields if field.is_foremost and (field.is_required or field.kind != "pictures")]
    pictures = [field for field in foremost if field.kind == "pictures"]
    texts = [field for field in foremost if field.kind in ("text", "texts")]
    return [pictures, *([field] for field in texts), [field for field in foremost if field not in (*pictures, *texts)]]


def _make_widgets(service: Service, work: Work, fields: Sequence[Field]) -> dict[str, gr.components.Component]:
    return {field.name: make_widget(field, service.list_names(work, field)) for field in fields}


@dataclass
class Results:
    """What stands beside the forms."""

    status: gr.HTML
    gallery: gr.Gallery
    download: gr.File
    curve: gr.LinePlot
    learnt: gr.HTML
    buttons: list[gr.Button]
    numbers: gr.JSON
    """Which request each of the buttons cancels."""

    seen: gr.JSON
    """Hashes of what was shown last. Browsers hold it, so nothing is lost where Gradio forgets a session."""

    @property
    def components(self) -> list[Any]:
        """What a look at the queue changes."""
        return [
            self.status,
            self.gallery,
            self.download,
            self.curve,
            self.learnt,
            *self.buttons,
            self.numbers,
            self.seen,
        ]


def _build_results(service: Service, token: gr.BrowserState) -> Results:
    seen, numbers = gr.JSON({}, visible=False), gr.JSON([], visible=False)
    status = gr.HTML(showing.show_request(service.queue, None), elem_id="status")
    curve = gr.LinePlot(
        pd.DataFrame({"update": [], "loss": []}), x="update", y="loss", height=180, visible=False, label="Loss"
    )

    buttons = [gr.Button(visible=False, size="sm", elem_classes="jstyle-cancel") for _ in range(_MOST_BUTTONS)]
    for place, button in enumerate(buttons):
        button.click(
            lambda token, numbers, place=place: service.cancel(token, *(numbers or [])[place : place + 1]),
            [token, numbers],
            queue=False,
            api_visibility="private",
        )
    gallery = gr.Gallery(
        label="Made", format="png", columns=3, height="auto", object_fit="contain", interactive=False,
        buttons=["download", "fullscreen"], elem_id="made",
    )  # fmt: skip
    download = gr.File(
        label="Last files, as they are", file_count="multiple", interactive=False, height=160, elem_id="files"
    )
    learnt = gr.HTML("")
    return Results(status, gallery, download, curve, learnt, buttons, numbers, seen)


def _look(service: Service, token: str, seen: Any) -> list[Any]:
    """What has changed since the last look, the rest skipped."""
    visitor = service.visitors.find(token)
    requests = [] if visitor is None else service.queue.list_of(visitor.token)
    shown = showing.choose_shown(requests)
    pictures = [] if visitor is None else visitor.list_pictures()
    losses = showing.describe_losses(shown)
    now = {
        "status": showing.show_request(service.queue, shown),
        "pictures": [str(path) for path in pictures],
        "files": [str(path) for request in requests for path in service.list_other_files(request)],
        "losses": len(losses) and (shown.number if shown else 0, losses[-1]["update"]),
        "cancel": showing.list_cancellable(requests)[:_MOST_BUTTONS],
        "learnt": showing.list_learnt(requests),
    }
    hashes = {name: hashlib.sha256(repr(value).encode()).hexdigest()[:16] for name, value in now.items()}
    new = {name: found != (seen or {}).get(name) for name, found in hashes.items()}
    if not any(new.values()):
        return [gr.skip()] * (7 + _MOST_BUTTONS)
    gallery = [(str(path), showing.caption(path)) for path in pictures]
    curve = gr.LinePlot(pd.DataFrame(losses, columns=["update", "loss"]), visible=bool(losses))
    return [
        now["status"] if new["status"] else gr.skip(),
        gallery if new["pictures"] else gr.skip(),
        [*now["files"], *now["pictures"]][:_MOST_FILES] if new["files"] or new["pictures"] else gr.skip(),
        curve if new["losses"] else gr.skip(),
        now["learnt"] if new["learnt"] else gr.skip(),
        *(_label_buttons(now["cancel"]) if new["cancel"] else [gr.skip()] * (_MOST_BUTTONS + 1)),
        hashes,
    ]


def _label_buttons(cancellable: Sequence[tuple[int, str]]) -> list[Any]:
    """The buttons that are needed, and which request each is for."""
    shown = [gr.Button(words, visible=True) for _, words in cancellable]
    hidden = [gr.Button(visible=False)] * (_MOST_BUTTONS - len(shown))
    return [*shown, *hidden, [number for number, _ in cancellable]]


def _connect(service: Service, form: Form, buttons: Buttons, token: gr.BrowserState, results: Results) -> None:
    place = form.find_seed()

    def make(token: str, *values: Any) -> str:
        return _ask(service, form, token, list(values))

    buttons.make.click(make, [token, *form.widgets], token, api_visibility="private", concurrency_limit=None)
    if buttons.another is not None and place is not None:

        def make_another(token: str, *values: Any) -> tuple[str, int]:
            seed = random.randrange(_LARGEST_SEED)
            return _ask(service, form, token, [*values[:place], seed, *values[place + 1 :]]), seed

        outputs = [token, form.widgets[place]]
        buttons.another.click(
            make_another, [token, *form.widgets], outputs, api_visibility="private", concurrency_limit=None
        )
    if buttons.grid:

        def make_grid(token: str, *values: Any) -> str:
            down, down_values, across, across_values = values[:4]
            axes = [(down, down_values), (across, across_values)]
            return _ask(service, form, token, list(values[4:]), axes)

        inputs = [token, *buttons.grid[1:], *form.widgets]
        buttons.grid[0].click(make_grid, inputs, token, api_visibility="private", concurrency_limit=None)
    if buttons.picture is not None:
        buttons.picture.upload(
            lambda path: _fill_in(service, form, path), buttons.picture, form.widgets, api_visibility="private"
        )


def _ask(
    service: Service, form: Form, token: str, values: list[Any], axes: Optional[Sequence[tuple[str, str]]] = None
) -> str:
    """Put the form's request into the queue, a grid where there are ``axes``, or say in a line why not.

    Returns the visitor's token.
    """
    visitor = service.visitors.welcome(token)
    given = {field.name: _unwrap(field, value) for field, value in zip(form.fields, values)}
    try:
        if axes is None:
            service.ask(visitor, form.work, given)
        else:
            service.ask_for_grid(visitor, form.work, given, axes)
    except InputError as error:
        gr.Warning(showing.escape(str(error)), duration=20)
    return visitor.token


def _unwrap(field: Field, value: Any) -> Any:
    """Pictures as the paths of what was uploaded, without captions."""
    if field.kind != "pictures":
        return value
    return [path for path, _ in value or []]


def _fill_in(service: Service, form: Form, path: Optional[str]) -> list[Any]:
    """The fields as the settings in a picture have them; what it does not say stays."""
    if path is None:
        return [gr.skip()] * len(form.widgets)
    try:
        values, lines = service.recall(form.work, Path(path))
    except InputError as error:
        gr.Warning(showing.escape(str(error).replace(path, Path(path).name)), duration=20)
        return [gr.skip()] * len(form.widgets)
    for line in lines:
        gr.Info(showing.escape(line.replace(path, Path(path).name)))
    return [values.get(field.name, gr.skip()) for field in form.fields]


def _offer_api(service: Service, form: Form) -> None:
    """The work for programs: pictures that it needs, the settings as one JSON object, pictures that it may have."""
    pictures = [field for field in form.fields if field.kind == "pictures"]
    needed = [field for field in pictures if field.is_required]
    others = [field for field in pictures if not field.is_required]

    async def make(*given: Any) -> list[str]:
        visitor, settings = service.visitors.welcome(), given[len(needed)]
        brought = dict(zip([*needed, *others], [*given[: len(needed)], *given[len(needed) + 1 :]]))
        try:
            paths = {field.name: paths or [] for field, paths in brought.items()}
            request = service.ask(visitor, form.work, {**service.read_api_settings(settings), **paths})
        except InputError as error:
            raise gr.Error(showing.escape(str(error)), print_exception=False) from None
        while not request.is_over:
            await asyncio.sleep(0.2)
        if request.state != "done":
            raise gr.Error(showing.escape(request.error or "it was cancelled"), print_exception=False)
        return [str(path) for path in service.list_results(request)]

    with gr.Row(visible=False):
        inputs: list[Any] = [_take_files(field) for field in needed]
        inputs.append(gr.JSON(label="Settings"))
        inputs += [_take_files(field) for field in others]
        output, button = gr.File(label="Results", file_count="multiple"), gr.Button()
    button.click(make, inputs, output, api_name=form.work.name, concurrency_limit=None)


def _take_files(field: Field) -> gr.File:
    return gr.File(label=field.label, file_count="multiple", type="filepath")
