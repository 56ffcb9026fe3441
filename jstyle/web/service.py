"""What the page does, without the page: settings are read, pictures kept, requests put into the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from jstyle.cli.paths import check_paths
from jstyle.errors import InputError
from jstyle.methods.recalling import recall_settings
from jstyle.methods.table import METHODS
from jstyle.settings.messages import show
from jstyle.settings.reader import plain
from jstyle.web.forms import AXES, Field, build_settings, list_fields, read_axis, read_form, show_value
from jstyle.web.offers import Offers, list_offers, select_models
from jstyle.web.process import WorkerProcess
from jstyle.web.request_queue import Request, RequestQueue
from jstyle.web.settings import WebSettings
from jstyle.web.showing import name_learnt
from jstyle.web.visitors import Visitor, Visitors
from jstyle.web.works import GRID, TEACHING, GridSettings, Work, list_works

MOST_CELLS = 64
"""Of one grid."""


class Service:
    """Everything behind the page. Raises InputError where nothing can be offered."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self.works = list_works(submits=settings.data is not None)
        self.fields = {name: list_fields(work) for name, work in self.works.items()}
        offers = list_offers(settings)
        self._offers = {
            name: {**offers, "model": select_models(work.model, offers["model"])} for name, work in self.works.items()
        }
        if not self._offers["txt2img"]["model"]:
            raise InputError(f"none of the models is here: {', '.join(settings.model)}")
        self.visitors = Visitors(settings.output)
        self._process = WorkerProcess()
        self.queue = RequestQueue(self._process, settings.most_waiting)

    def start(self) -> None:
        """Bring the worker up before the first visitor waits for it."""
        self._process.start()

    def close(self) -> None:
        """End what is under way; a training writes a checkpoint."""
        self.queue.close()

    def list_group(self, group: str) -> list[Work]:
        """The works of a group."""
        return [work for work in self.works.values() if work.group == group]

    def list_names(self, work: Work, field: Field) -> list[str]:
        """The names that are offered for a field; for most none."""
        return list(self._offers[work.name].get(field.option.path[-1], ()))

    def find_lacking(self, work: Work) -> str:
        """What the page was not given that a work needs, in a line; for most nothing."""
        needs_model = any(field.name == "model" and field.is_required for field in self.fields[work.name])
        lacks = needs_model and not self._offers[work.name]["model"]
        return "The page was started without a model for this: `jstyle web --model FILE` offers one." if lacks else ""

    def welcome(self, token: Any) -> str:
        """The visitor's token, a new one for who has none."""
        return self.visitors.welcome(token).token

    def ask(self, visitor: Visitor, work: Work, given: Mapping[str, Any]) -> Request:
        """Put a request into the queue; ``given`` are its form's values by the fields' names.

        Raises InputError, one line, for what is wrong with them.
        """
        with _shortened(visitor):
            values = self._read_values(visitor, work, given)
            for part in build_settings(work, values, self.visitors.root):
                check_paths(part)
            folder = self._choose_folder(visitor, work, values)
            settings = [plain(part) for part in build_settings(work, values, folder)]
        return self.queue.ask(visitor, work.name, work.title, settings, folder)

    def ask_for_grid(
        self, visitor: Visitor, work: Work, given: Mapping[str, Any], axes: Sequence[tuple[str, str]]
    ) -> Request:
        """Put a grid into the queue: of one or two fields, by their names, the values in ``axes``.

        Raises InputError, one line, for what is wrong with any cell.
        """
        with _shortened(visitor):
            values = self._read_values(visitor, work, given)
            grid = GridSettings(work.name, values, self._read_axes(work, axes), self.visitors.root)
            cells = grid.plan().cells
            if len(cells) > MOST_CELLS:
                raise InputError(f"a grid of {len(cells)} cells: {MOST_CELLS} are made at once")
            check_paths(cells[0].inputs)
            folder = visitor.new_folder(f"grid-{work.name}")
        return self.queue.ask(
            visitor, GRID.name, f"Grid of {work.title}", [plain(replace(grid, output=folder))], folder
        )

    def _choose_folder(self, visitor: Visitor, work: Work, values: Mapping[str, Any]) -> Path:
        """A new folder, or that of the same training where it was cancelled or has failed: it goes on from there."""
        for request in self.queue.list_of(visitor.token) if work.group == TEACHING else ():
            if request.work == work.name and request.state in ("stopped", "failed"):
                again = [plain(part) for part in build_settings(work, values, request.folder)]
                if again == list(request.settings):
                    return request.folder
        return visitor.new_folder(work.name)

    def _read_axes(self, work: Work, axes: Sequence[tuple[str, str]]) -> dict[str, tuple[Any, ...]]:
        """Values by their setting, without those that are of none. Raises InputError for what is no axis."""
        fields = {field.name: field for field in self.fields[work.name] if field.kind in AXES}
        read: dict[str, tuple[Any, ...]] = {}
        for name, text in axes:
            if name and (name not in fields or name in read):
                raise InputError(f"a grid goes through two different settings, and not twice through {name!r:.80}")
            if name:
                read[name] = tuple(read_axis(fields[name], text))
        return read

    def _read_values(self, visitor: Visitor, work: Work, given: Mapping[str, Any]) -> dict[str, Any]:
        """The plain settings of a form, nested."""
        fields, offers = self.fields[work.name], self._offer_learnt(visitor, work)
        most = self._settings.most_pictures
        values = read_form(fields, given, offers, lambda path: str(visitor.admit(Path(path))), most)
        if self._settings.data is not None and work.name == "submit":
            values["data"] = str(self._settings.data)
        return values

    def cancel(self, token: Any, number: int = 0) -> None:
        """End a visitor's own request; there is none of the number 0."""
        visitor = self.visitors.find(token)
        if visitor is not None:
            self.queue.cancel(visitor.token, number)

    def recall(self, work: Work, picture: Path) -> tuple[dict[str, Any], list[str]]:
        """The values of a form's fields that a picture's file says, and lines on what was not taken over.

        What it was made from is not: its files are not looked for. Raises InputError for a file that says nothing.
        """
        recalled = recall_settings(METHODS[work.name], work.kinds, picture)
        values = {}
        for field in self.fields[work.name]:
            value: Any = recalled.values
            for part in field.option.path:
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None and field.kind not in ("pictures", "name", "names"):
                values[field.name] = show_value(field, value)
        return values, list(recalled.lines)

    def read_api_settings(self, settings: Any) -> dict[str, Any]:
        """Settings of a program's request, by the fields' dotted names. Raises InputError for anything else."""
        if settings is None:
            return {}
        if not isinstance(settings, dict):
            raise InputError(f"settings must be an object of names and values, not {show(settings)}")
        return _flatten(settings)

    def list_results(self, request: Request) -> list[Path]:
        """The files that a request has made: its pictures and sheets, what was learnt, and a submission's zip."""
        sheets = sorted(request.folder.glob("*sheet*.png"))
        others = self.list_other_files(request)
        return [*request.pictures, *(sheet for sheet in sheets if sheet not in request.pictures), *others]

    def list_other_files(self, request: Request) -> list[Path]:
        """Those of the files that are no pictures."""
        learnt = [Path(request.learnt)] if request.learnt and Path(request.learnt).is_file() else []
        return [*learnt, *sorted(request.folder.glob("*.zip"))]

    def _offer_learnt(self, visitor: Visitor, work: Work) -> Offers:
        """What is offered, with what the visitor has taught."""
        offers = {name: dict(offered) for name, offered in self._offers[work.name].items()}
        for request in self.queue.list_of(visitor.token):
            serves = self.works[request.work].serves if request.work in self.works else ""
            if request.learnt and serves:
                offers[serves][name_learnt(request)] = request.learnt
        return offers


@contextmanager
def _shortened(visitor: Visitor) -> Iterator[None]:
    """Inside, an InputError says nothing of the server's folders."""
    try:
        yield
    except InputError as error:
        raise InputError(visitor.shorten(str(error))) from None


def _flatten(settings: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flatten(value, f"{start}{name}.") if isinstance(value, Mapping) else {f"{start}{name}": value})
    return flat
