"""What a model says about the value at a path: its annotation, its members, whether it may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from connector.declared.problem import Path


def annotation_at(model: type[BaseModel], path: Path) -> Any:  # Any: an annotation can be anything
    """The annotation of the value at ``path``; ``None`` when the model knows of none."""
    annotation: Any = model
    for step in path:
        annotation = _step(annotation, step)
    return annotation


def _step(annotation: Any, step: str | int) -> Any:  # Any: as above
    """The annotation of the member ``step`` of what ``annotation`` describes; ``None`` when it has none."""
    for option in options_of(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            info = option.model_fields.get(str(step))
            if info is None:
                continue
            return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        elif get_origin(option) in (list, tuple, dict, Mapping):
            return get_args(option)[-1 if get_origin(option) in (dict, Mapping) else 0]
    return None


def options_of(annotation: Any) -> list[Any]:  # Any: as above
    """``annotation`` without ``Annotated``, and each branch of a union."""
    if get_origin(annotation) is Annotated:
        return options_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for branch in get_args(annotation) for option in options_of(branch)]
    return [annotation]


def member_names(annotation: Any) -> list[str]:  # Any: an annotation can be anything
    """The members of the model or models that ``annotation`` names."""
    return [
        name
        for option in options_of(annotation)
        if isinstance(option, type) and issubclass(option, BaseModel)
        for name in option.model_fields
    ]


def is_showable(annotation: Any) -> bool:  # Any: an annotation can be anything
    """Whether what was given for it may be quoted: plain words, numbers and paths only. A secret is none of
    these, nor is a group that may hold one."""
    return all(
        option in (str, int, float, bool, FilePath, type(None)) or get_origin(option) is Literal
        for option in options_of(annotation)
    )
