"""A home in a bucket of an S3 server, through obstore."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

from schemas.store import Item, spool_folder, sweep_spool

_BLOCK = 1 << 20


class _Object(io.RawIOBase):
    """An object as PyArrow and others ask for a file: obstore's reader lacks `closed` and `readinto`."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()

    def readinto(self, buffer: Any) -> int:
        block = self._reader.read(len(buffer))
        buffer[: len(block)] = bytes(block)
        return len(block)


@dataclass(frozen=True)
class Bucket:
    """A home below a prefix of a bucket; `config` is what the S3 server asks for, by obstore's names."""

    root: str
    config: Mapping[str, str] = field(repr=False)

    @cached_property
    def _store(self) -> Any:
        from obstore.store import S3Store

        return S3Store.from_url(self.root, config=dict(self.config), client_options=self._client)  # type: ignore[arg-type]

    @property
    def _client(self) -> dict[str, bool]:
        return {"allow_http": self.config.get("endpoint", "").startswith("http://")}

    def __getstate__(self) -> dict:
        return {"root": self.root, "config": dict(self.config)}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)

    @property
    def options(self) -> dict[str, str]:
        """The same configuration by the names of Polars and delta-rs."""
        names = {"endpoint": "aws_endpoint_url"}
        said = {names.get(key, f"aws_{key}"): value for key, value in self.config.items()}
        return said | {"aws_allow_http": str(self._client["allow_http"]).lower()}

    def url(self, name: str) -> str:
        """`name` as a URL."""
        return f"{self.root}/{name}"

    def items(self, folder: str) -> Iterator[Item]:
        """Every object below a prefix."""
        import obstore

        for batch in obstore.list(self._store, f"{folder}/" if folder else None):
            for found in batch:
                yield self._item(found)

    def _item(self, found: Any) -> Item:
        tag = f"{found['e_tag']} {found['last_modified'].isoformat()}"
        return Item(found["path"], found["size"], found["last_modified"], tag)

    def item(self, name: str) -> Item | None:
        """One object, None where there is none."""
        import obstore

        try:
            return self._item(obstore.head(self._store, name))
        except FileNotFoundError:
            return None

    def open(self, name: str) -> IO[bytes]:
        """An object to read and seek in."""
        import obstore

        return cast(IO[bytes], io.BufferedReader(_Object(obstore.open_reader(self._store, name)), _BLOCK))

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """A private copy, removed afterwards."""
        import obstore

        with self.spool(name) as path:
            with path.open("wb") as file:
                for block in obstore.get(self._store, name).stream(min_chunk_size=_BLOCK):
                    file.write(block)
            yield path

    @contextmanager
    def spool(self, near: str) -> Iterator[Path]:
        """A path in a private folder of this machine."""
        made = spool_folder()
        try:
            yield made / "spooled"
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def keep(self, spooled: Path, name: str) -> None:
        """Upload; a reader sees the object when it is whole."""
        import obstore

        obstore.put(self._store, name, spooled)

    def create(self, name: str, content: bytes) -> bool:
        """A conditional put."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            obstore.put(self._store, name, content, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def delete(self, name: str) -> None:
        """Delete the object."""
        import obstore

        with suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    def sweep(self, before: datetime) -> int:
        """Remove what was spooled on this machine. Unfinished uploads are for the bucket's lifecycle rule."""
        return sweep_spool(before)
