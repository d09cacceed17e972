"""The judge block of a grid file."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from warehouse.records import Name


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PricesSpec(_Spec):
    """Prices per million tokens, in any one currency."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class JudgeModelSpec(_Spec):
    """One judge and the OpenAI-compatible endpoint where it is asked."""

    # How votes and tables call it; not the endpoint's name for it, which may be a folder.
    name: Name
    model: str = Field(min_length=1)
    endpoint: str
    # The environment variable that holds the key: never the key itself.
    key_variable: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]{0,63}$")] | None = None
    # To be changed when the endpoint serves other weights under the same name.
    revision: str | None = None
    prices: PricesSpec | None = None
    # More fields of each request; null drops one that is sent by default.
    parameters: dict[str, Any] = Field(default_factory=dict)
    concurrency: int = Field(default=8, ge=1, le=1024)
    timeout_seconds: float = Field(default=120.0, gt=0)

    @model_validator(mode="after")
    def _endpoint_is_a_plain_url(self) -> JudgeModelSpec:
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("endpoint is a URL such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("endpoint must hold no credentials; name a key_variable instead")
        return self


class JudgeSpec(_Spec):
    """Which judges read the replies to which items, and what they are asked.

    No part of any cell's identity: a grid may get judges when its cells are done.
    """

    judges: tuple[JudgeModelSpec, ...] = Field(min_length=1)
    # rubric: a mark from 1 to 10; reference: the same, given the right answer; pairwise: which of
    # two replies is better, in both orders.
    protocols: tuple[Literal["rubric", "reference", "pairwise"], ...] = ("rubric",)
    abilities: tuple[Name, ...] = Field(min_length=1)
    # Pairwise, whom a cell's reply meets: the untouched base model ("base"), the next smaller
    # volume of the same kind ("previous"), the item's right answer ("gold"), or one cell for all
    # (its id or label).
    against: str = Field(default="base", min_length=1)
    # Keep only the first items of each ability (in hash order).
    max_items_per_ability: int | None = Field(default=None, ge=1)
    # Longest reply of a cell, and of a judge, in tokens.
    max_new_tokens: int = Field(default=256, ge=1)
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    # What a good reply is, by ability ("default" for all others), beside the shipped criteria.
    criteria: dict[Name, tuple[str, ...]] = Field(default_factory=dict)
    # In the currency of the prices, over all runs of this study.
    max_cost: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> JudgeSpec:
        names = [judge.name for judge in self.judges]
        for field, values in (
            ("judges", names), ("abilities", self.abilities), ("protocols", self.protocols)
        ):  # fmt: skip
            if len(set(values)) != len(values):
                raise ValueError(f"{field} lists the same entry twice")
        unpriced = [judge.name for judge in self.judges if judge.prices is None]
        if self.max_cost is not None and unpriced:
            raise ValueError(f"max_cost needs the prices of {unpriced[0]} (0 where it is free)")
        return self
