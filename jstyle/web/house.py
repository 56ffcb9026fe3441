"""What the page does, without the page: settings are read, pictures kept, requests put into the queue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jstyle.cli.paths import check_paths
from jstyle.errors import InputError
from jstyle.methods.recalling import recall_settings
from jstyle.methods.table import METHODS
from jstyle.settings.messages import show
from jstyle.settings.reader import plain
from jstyle.web.desk import Desk, Request
from jstyle.web.forms import Field, build_settings, list_fields, read_form, show_value
from jstyle.web.offers import Offers, list_offers, select_models
from jstyle.web.process import WorkerProcess
from jstyle.web.settings import WebSettings
from jstyle.web.showing import name_learnt
from jstyle.web.visitors import Visitor, Visitors
from jstyle.web.works import Work, list_works


class House:
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
        self.desk = Desk(self._process, settings.most_waiting)

    def start(self) -> None:
        """Bring the worker up before the first visitor waits for it."""
        self._process.start()

    def close(self) -> None:
        """End what is under way; a training writes a checkpoint."""
        self.desk.close()

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
        try:
            settings, folder = self._read(visitor, work, given)
        except InputError as error:
            raise InputError(visitor.shorten(str(error))) from None
        return self.desk.ask(visitor, work.name, work.title, settings, folder)

    def _read(self, visitor: Visitor, work: Work, given: Mapping[str, Any]) -> tuple[list[Any], Path]:
        """The plain settings of a request, and the folder of its results, made where all is right."""
        fields, offers = self.fields[work.name], self._offer_learnt(visitor, work)
        most = self._settings.most_pictures
        values = read_form(fields, given, offers, lambda path: str(visitor.admit(Path(path))), most)
        if self._settings.data is not None and work.name == "submit":
            values["data"] = str(self._settings.data)
        for part in build_settings(work, values, self.visitors.root):
            check_paths(part)
        folder = visitor.new_folder(work.name)
        return [plain(part) for part in build_settings(work, values, folder)], folder

    def cancel(self, token: Any, number: int = 0) -> None:
        """End a visitor's own request; there is none of the number 0."""
        visitor = self.visitors.find(token)
        if visitor is not None:
            self.desk.cancel(visitor.token, number)

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
        for request in self.desk.list_of(visitor.token):
            serves = self.works[request.work].serves
            if request.learnt and serves:
                offers[serves][name_learnt(request)] = request.learnt
        return offers


def _flatten(settings: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flatten(value, f"{start}{name}.") if isinstance(value, Mapping) else {f"{start}{name}": value})
    return flat
