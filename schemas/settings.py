"""Settings: where things stand, and what a lab says about itself.

Everything can be set by environment variables `NEUROBALANCE_...`; what a lab says stands in
`labs.toml` in the home folder.
"""

from __future__ import annotations

import secrets
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.bucket import Bucket
from schemas.layout_checks import Timezone
from schemas.layout_errors import mend, spelled
from schemas.store import Folder, Store, read

_S3 = "s3://"
_KEY = "secrets/id.key"


def _known_place(place: str) -> str:
    """`place` where it is a folder, or a bucket of S3; raises ValueError."""
    if "://" in place and not (place.startswith(_S3) and place.removeprefix(_S3).split("/")[0]):
        raise ValueError("must be a folder, or s3://bucket/prefix")
    return place


#: a folder, or a URL of a bucket
Place = Annotated[
    str,
    BeforeValidator(lambda said: str(said) if isinstance(said, Path) else said),
    AfterValidator(_known_place),
]


class SettingsError(Exception):
    """Settings that cannot be used. The message says which, and how to mend them."""


class Lab(BaseModel):
    """What `labs.toml` says about one lab."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: Timezone = Field(None, description="IANA name, for clock times without an offset")
    ids_are_study_codes: bool = Field(False, description="publish subject and sample ids as they are")
    layouts: tuple[str, ...] = Field(
        (), description="pinned: only these layouts are tried for the lab's exports"
    )
    silent_after_hours: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="the lab is silent when nothing new came from it for longer than this",
    )


class Settings(BaseSettings):
    """The settings of one run."""

    model_config = SettingsConfigDict(env_prefix="NEUROBALANCE_", extra="ignore")

    def __init__(self, **said: Any) -> None:
        """Raises SettingsError: a variable of the environment is told by its name, without its value."""
        wrong = []
        try:
            super().__init__(**said)
        except ValidationError as error:
            wrong = error.errors(include_url=False)
        if wrong:
            told = (
                f"NEUROBALANCE_{spelled(found['loc']).upper()}: {mend(found, Settings)}" for found in wrong
            )
            raise SettingsError("; ".join(told))

    home: Place = Field(
        "data", description="where inbox, archive, ledger and outputs stand: a folder, or s3://bucket/prefix"
    )
    inbox: Place | None = Field(
        None, description="another inbox, with one folder per lab; nothing is removed from it"
    )
    id_key: SecretStr | None = Field(None, description="key of the pseudonyms of subjects and samples")
    shared_home: bool = Field(False, description="several workers share the home, so id_key must be given")
    rows_per_batch: int = Field(450_000, ge=1, description="rows of outputs computed at a time, about")
    settle_seconds: float = Field(
        30, ge=0, description="a file in the inbox is left alone until it has not changed for so long"
    )
    quarantine_alert: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of a lab's new rows in quarantine above which a run sends an event",
    )
    dask_address: str | None = Field(
        None, description="address of a Dask cluster that does the stages; without one, threads do"
    )
    s3_endpoint: str | None = Field(
        None, description="address of the S3 server, where it is not the usual one"
    )
    s3_region: str = Field("us-east-1", description="region of the bucket")
    s3_access_key_id: SecretStr | None = Field(
        None, description="S3 access key; without one, what the machine itself is allowed counts"
    )
    s3_secret_access_key: SecretStr | None = Field(None, description="the secret of the S3 access key")

    @cached_property
    def store(self) -> Store:
        """Where archive, ledger and outputs stand."""
        return self._store_at(self.home)

    @cached_property
    def inbox_store(self) -> Store:
        """Where exports wait: `<lab>/...` below it."""
        return self._store_at(self.inbox or f"{self.home}/inbox")

    @property
    def in_bucket(self) -> bool:
        """Whether the home stands in a bucket."""
        return self.home.startswith(_S3)

    def _store_at(self, place: str) -> Store:
        if not place.startswith(_S3):
            return Folder(Path(place).expanduser().absolute())
        config = {"region": self.s3_region}
        if self.s3_endpoint:
            config["endpoint"] = self.s3_endpoint
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise SettingsError(
                "an access key and its secret belong together: set NEUROBALANCE_S3_ACCESS_KEY_ID and "
                "NEUROBALANCE_S3_SECRET_ACCESS_KEY, or neither"
            )
        if self.s3_access_key_id and self.s3_secret_access_key:
            config["access_key_id"] = self.s3_access_key_id.get_secret_value()
            config["secret_access_key"] = self.s3_secret_access_key.get_secret_value()
        return Bucket(place.rstrip("/"), config)

    def labs(self) -> dict[str, Lab]:
        """What labs.toml says, by lab. Raises SettingsError naming the lab and the key."""
        text = read(self.store, "labs.toml")
        if text is None:
            return {}
        try:
            said = tomllib.loads(text.decode("utf-8-sig"))  # editors on Windows put a mark before it
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"labs.toml of the home: not TOML: {error}") from None
        labs = {}
        for name, keys in said.items():
            try:
                labs[name] = Lab.model_validate(keys)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                key = spelled((name, *first["loc"]))
                raise SettingsError(f"labs.toml of the home: {key}: {mend(first, Lab)}") from None
        return labs

    def lab(self, name: str) -> Lab:
        """What labs.toml says about one lab; a lab that it does not name has no settings."""
        return self.labs().get(name, Lab())

    def pseudonym_key(self) -> bytes:
        """The key of the pseudonyms; made once, readable by its owner only, for the embedded default.

        Raises SettingsError where there is none to share, or an empty one, by which anybody could make them.
        """
        if self.id_key is not None:
            if not self.id_key.get_secret_value().strip():
                raise SettingsError(
                    "NEUROBALANCE_ID_KEY is empty: give the key that the home was published with"
                )
            return self.id_key.get_secret_value().encode()
        if self.shared_home or self.in_bucket:
            raise SettingsError(
                "a home shared by several workers, and one in a bucket, needs the same key for all: "
                "set NEUROBALANCE_ID_KEY"
            )
        # of two first runs, one wins and both use its key
        if self.store.item(_KEY) is None:
            self.store.create(_KEY, secrets.token_hex(32).encode())
        key = (read(self.store, _KEY) or b"").strip()
        if not key:
            raise SettingsError(
                f"{_KEY} of the home is empty: put the key back; without a copy, remove the file, and every pseudonym changes"
            )
        return key
