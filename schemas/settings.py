"""Settings: where things stand, and what a lab says about itself.

Everything can be set by environment variables `NEUROBALANCE_...`; what a lab says stands in
`labs.toml` in the home folder.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.layout import known_timezone


class SettingsError(ValueError):
    """Settings that cannot be used. The message says which, and how to mend them."""


class Lab(BaseModel):
    """What `labs.toml` says about one lab."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: Annotated[str | None, AfterValidator(known_timezone)] = Field(
        None, description="IANA name, for clock times without an offset"
    )
    ids_are_study_codes: bool = Field(False, description="publish subject and sample ids as they are")
    layouts: tuple[str, ...] = Field(
        (), description="pinned: only these layouts are tried for the lab's exports"
    )


class Settings(BaseSettings):
    """The settings of one run."""

    model_config = SettingsConfigDict(env_prefix="NEUROBALANCE_", extra="ignore")

    home: Path = Field(Path("data"), description="folder of inbox, archive, ledger and outputs")
    inbox: Path | None = Field(
        None, description="another inbox, with one folder per lab; nothing is removed from it"
    )
    id_key: SecretStr | None = Field(None, description="key of the pseudonyms of subjects and samples")
    shared_home: bool = Field(False, description="several workers share the home, so id_key must be given")
    rows_per_batch: int = Field(500_000, ge=1, description="rows of outputs computed at a time, about")

    @property
    def archive(self) -> Path:
        """The bytes as received: archive/<lab>/<sha256>."""
        return self.home / "archive"

    @property
    def ledger(self) -> Path:
        """The Delta table."""
        return self.home / "ledger"

    @property
    def outputs(self) -> Path:
        """The Parquet datasets."""
        return self.home / "outputs"

    @property
    def layouts(self) -> Path:
        """Layouts of this home, beside the built-in ones."""
        return self.home / "layouts"

    @property
    def catalogue(self) -> Path:
        """Catalogue rows of this home, beside the built-in ones."""
        return self.home / "catalogue"

    def labs(self) -> dict[str, Lab]:
        """What labs.toml says, by lab. Raises SettingsError naming the lab and the key."""
        path = self.home / "labs.toml"
        if not path.exists():
            return {}
        try:
            return {
                name: Lab.model_validate(said)
                for name, said in tomllib.loads(path.read_text("utf-8")).items()
            }
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{path}: not TOML: {error}") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise SettingsError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    def lab(self, name: str) -> Lab:
        """What labs.toml says about one lab; a lab that it does not name has no settings."""
        return self.labs().get(name, Lab())

    def pseudonym_key(self) -> bytes:
        """The key of the pseudonyms; made once, readable by its owner only, for the embedded default."""
        if self.id_key is not None:
            return self.id_key.get_secret_value().encode()
        if self.shared_home:
            raise SettingsError(
                "a home shared by several workers needs the same key for all: set NEUROBALANCE_ID_KEY"
            )
        path = self.home / "secrets" / "id.key"
        if not path.exists():
            private_folder(path.parent)
            fresh = path.with_suffix(f".{os.getpid()}.tmp")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            try:
                os.link(fresh, path)  # of two first runs, one wins and both use its key
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return path.read_text().strip().encode()


def private_folder(path: Path) -> Path:
    """Make `path` a folder that only its owner can enter (PHI stays inside)."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path
